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

/* The idea from the discussion that started this project: a pool is unmapped as
   soon as it is free.  Since OCaml 5.2, where each pool is a mapping. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include <stdlib.h>
#include "caml/heap_source.h"
#include "caml/platform.h"
#include "heap_sizeclasses.h"

#define POOL_SIZE Bsize_wsize(POOL_WSIZE)

void caml_heap_source_init(void) {
}

void caml_heap_source_destroy(void) {
}

void* caml_heap_pool_alloc(void) {
  return caml_mem_map(POOL_SIZE, 0);
}

void caml_heap_pool_free(void* pool) {
  caml_mem_unmap(pool, POOL_SIZE);
}

void caml_heap_trim(void) {
}

void* caml_heap_large_alloc(asize_t size) {
  return malloc(size);
}

void caml_heap_large_free(void* block, asize_t size) {
  (void)size;
  free(block);
}

const char* caml_heap_source_version(void) {
  return "none";
}
