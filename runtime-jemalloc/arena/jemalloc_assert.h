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

/* Assertions, which are checked in the debug runtime only, as all of OCaml's
   are, and what they ask. */

#ifndef CAML_JEMALLOC_ASSERT_H
#define CAML_JEMALLOC_ASSERT_H

#ifndef DEBUG
#undef NDEBUG
#define NDEBUG
#endif
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Is [size] bytes from [p] some pages of the kernel's, and nothing else? */
static inline bool caml_is_pages(const void* p, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return size > 0 && ((uintptr_t)p | size) % page == 0;
}

/* Is [n] a power of two? */
static inline bool caml_is_power_of_two(size_t n) {
  return n > 0 && (n & (n - 1)) == 0;
}

#endif /* CAML_JEMALLOC_ASSERT_H */
