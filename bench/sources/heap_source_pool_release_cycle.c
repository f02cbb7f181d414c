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

/* The other branch of that discussion: what is free at the end of a major cycle
   is unmapped then.  Here, by the first domain that takes or frees a pool in
   the next cycle.  Else as the system's source.  Since OCaml 5.2, where each
   pool is a mapping. */

#define CAML_INTERNALS

#include <stdbool.h>
#include "caml/heap_source.h"
#include "caml/major_gc.h"

#define caml_heap_pool_alloc system_pool_alloc
#define caml_heap_pool_free system_pool_free
#include "heap_source_system.c"
#undef caml_heap_pool_alloc
#undef caml_heap_pool_free

/* Has a cycle ended since this was last called? */
static bool cycle_has_ended(void) {
  static atomic_uintnat last;
  uintnat cycle = caml_major_cycles_completed;
  return atomic_load(&last) != cycle && atomic_exchange(&last, cycle) != cycle;
}

void* caml_heap_pool_alloc(mlsize_t wsize) {
  if (cycle_has_ended()) caml_heap_trim();
  return system_pool_alloc(wsize);
}

void caml_heap_pool_free(void* pool, mlsize_t wsize) {
  if (cycle_has_ended()) caml_heap_trim();
  system_pool_free(pool, wsize);
}
