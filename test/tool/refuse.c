/**************************************************************************/
/*                                                                        */
/*                            runtime-jemalloc                            */
/*                                                                        */
/*   Copyright 2026 the runtime-jemalloc developers                       */
/*                                                                        */
/*   All rights reserved.  This file is distributed under the terms of    */
/*   the GNU Lesser General Public License version 2.1, with the          */
/*   special exception on linking described in the file LICENSE.          */
/*                                                                        */
/**************************************************************************/

/* Preloaded: a system that refuses one thing. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/uio.h>

#if defined(REFUSE_memory)

/* Another process's memory to anybody, as Yama does where
   kernel.yama.ptrace_scope is set */
ssize_t process_vm_readv(pid_t pid, const struct iovec* local,
                         unsigned long n_local, const struct iovec* remote,
                         unsigned long n_remote, unsigned long flags) {
  (void)pid; (void)local; (void)n_local;
  (void)remote; (void)n_remote; (void)flags;
  errno = EPERM;
  return -1;
}

#elif defined(REFUSE_directories)

DIR* opendir(const char* name) {
  (void)name;
  errno = EMFILE;
  return NULL;
}

#else

/* close_range, as a kernel that has none */
long syscall(long number, ...) {
  long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  void* arguments[6];
  va_list list;
  if (number == 436) {
    errno = ENOSYS;
    return -1;
  }
  va_start(list, number);
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(list, void*);
  va_end(list);
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3],
              arguments[4], arguments[5]);
}

#endif
