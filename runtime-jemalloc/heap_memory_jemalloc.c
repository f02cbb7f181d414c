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

/* The memory of the heap, from one jemalloc arena.  Nothing is cached here:
   what is put back is jemalloc's at once, so that its decay sees all of it
   and a freed pool can serve a large block and the other way round. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it, and limits.h */
#include <limits.h>
#include "caml/heap_memory.h"
#include "caml/misc.h"
#include "caml/mlvalues.h"
#include "caml/sizeclasses.h"
#include "jemalloc_arena.h"

static struct caml_arena heap_arena;

void caml_heap_memory_init(void) {
  const char* failed = caml_arena_create(&heap_arena);
  if (failed)
    caml_fatal_error("cannot make the jemalloc arena of the major heap: %s",
                     failed);
}

void caml_heap_memory_shutdown(void) {
  caml_arena_destroy(&heap_arena);
}

void* caml_heap_pool_get(void) {
  return caml_arena_get(&heap_arena, Bsize_wsize(POOL_WSIZE));
}

void caml_heap_pool_put(void* pool) {
  caml_arena_put(&heap_arena, pool, Bsize_wsize(POOL_WSIZE));
}

void* caml_heap_large_get(asize_t size) {
  return caml_arena_get(&heap_arena, size);
}

void caml_heap_large_put(void* block, asize_t size) {
  caml_arena_put(&heap_arena, block, size);
}

void caml_heap_compacted(void) {
  caml_arena_purge(&heap_arena);
}

bool caml_heap_compactable(void) {
  return true;
}

const char* caml_heap_memory_jemalloc(void) {
  return caml_arena_jemalloc();
}
