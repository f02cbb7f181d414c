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

/* A kernel, or a filter, that refuses: preloaded.  REFUSE lists what, as in "free
   populate", REFUSE_ERROR with what error, and REFUSE_FIRST, if it is set, how many
   calls fail before all succeed.  At exit stderr gets "FAILED DONE": how many such
   calls did. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const struct { const char* name; int error; } errors[] = {
  { "EAGAIN", EAGAIN }, { "EINVAL", EINVAL }, { "ENOMEM", ENOMEM },
  { "ENOSYS", ENOSYS }, { "EPERM", EPERM }
};

static const char* what;
static int error;
static long first = -1;
static atomic_long failed, done;

__attribute__((constructor)) static void start(void) {
  const char *n = getenv("REFUSE_FIRST"), *e = getenv("REFUSE_ERROR");
  what = getenv("REFUSE");
  if (n != NULL) first = atol(n);
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
    if (e != NULL && strcmp(e, errors[i].name) == 0) error = errors[i].error;
  if (what != NULL && error == 0) abort();
}

__attribute__((destructor)) static void end(void) {
  if (what != NULL) fprintf(stderr, "%ld %ld\n", failed, done);
}

static bool refuses(const char* name) {
  return what != NULL && strstr(what, name) != NULL
    && (first < 0 || atomic_load(&failed) < first);
}

static int counted(const char* name, int result) {
  if (what != NULL && strstr(what, name) != NULL && result == 0)
    atomic_fetch_add(&done, 1);
  return result;
}

static int refuse(void) {
  atomic_fetch_add(&failed, 1);
  errno = error;
  return -1;
}

static const char* name_of(int advice) {
  return advice == MADV_FREE ? "free"
    : advice == MADV_POPULATE_WRITE ? "populate"
    : advice == MADV_HUGEPAGE ? "huge"
    : advice == MADV_NOHUGEPAGE ? "plain" : "other";
}

int madvise(void* p, size_t size, int advice) {
  const char* name = name_of(advice);
  return refuses(name)
    ? refuse() : counted(name, (int)syscall(SYS_madvise, p, size, advice));
}

int prctl(int option, ...) {
  unsigned long a[4];
  va_list ap;
  va_start(ap, option);
  for (int i = 0; i < 4; i++) a[i] = va_arg(ap, unsigned long);
  va_end(ap);
  if (option == 0x53564d41 && refuses("name")) return refuse();
  return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}
