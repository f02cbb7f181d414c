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

/* The kernel's limits on the process, and a kernel that is older than it is.
   To be included by one source file of a test: the program's madvise is
   this. */

#ifndef LIMITS_H
#define LIMITS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static bool before_5_18; /* Linux */
static bool no_memory_for_pages; /* MADV_POPULATE_WRITE fails. */
static int asked_for_locked; /* how often MADV_DONTNEED_LOCKED was asked for */

int madvise(void* p, size_t size, int advice) {
  if (advice == MADV_DONTNEED_LOCKED) asked_for_locked++;
  if (advice == MADV_DONTNEED_LOCKED && before_5_18) {
    errno = EINVAL;
    return -1;
  }
  if (advice == MADV_POPULATE_WRITE && no_memory_for_pages) {
    errno = ENOMEM;
    return -1;
  }
  return (int)syscall(SYS_madvise, p, size, advice);
}

/* Has the kernel that the test runs on MADV_DONTNEED_LOCKED? */
static inline bool kernel_takes_locked(void) {
  return syscall(SYS_madvise, NULL, 0, MADV_DONTNEED_LOCKED) == 0;
}

/* Skips a test that locks pages, which a sanitizer makes do nothing, or leaves
   no address space, of which it needs some. */
static inline void not_under_a_sanitizer(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  print_message("# not under a sanitizer\n");
  skip();
#endif
}

/* Sets a soft limit and returns the one before. */
static inline rlim_t set_limit(int resource, rlim_t value) {
  struct rlimit limit;
  rlim_t old;
  assert_int_equal(getrlimit(resource, &limit), 0);
  old = limit.rlim_cur;
  limit.rlim_cur = value;
  assert_int_equal(setrlimit(resource, &limit), 0);
  return old;
}

/* Finite, and out of reach */
#define FAR ((rlim_t)1 << 60)

#endif /* LIMITS_H */
