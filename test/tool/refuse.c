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

/* Preloaded: a kernel that lets nobody read another process's memory, as Yama
   does where kernel.yama.ptrace_scope is set. */

#define _GNU_SOURCE
#include <errno.h>
#include <sys/uio.h>

ssize_t process_vm_readv(pid_t pid, const struct iovec* local,
                         unsigned long n_local, const struct iovec* remote,
                         unsigned long n_remote, unsigned long flags) {
  (void)pid; (void)local; (void)n_local;
  (void)remote; (void)n_remote; (void)flags;
  errno = EPERM;
  return -1;
}
