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

/* The kernel's limits on the process */

#ifndef LIMITS_H
#define LIMITS_H

#include <sys/resource.h>

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
#define FAR ((rlim_t)1 << 44)

#endif /* LIMITS_H */
