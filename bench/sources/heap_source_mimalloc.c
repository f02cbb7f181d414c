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

/* Pools and large blocks from mimalloc, as Debian has it.  It has heaps of one
   thread each only, so this is the one that malloc would use; and the program's
   malloc is mimalloc's too, since that library takes its place. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include <mimalloc.h>
#include "caml/heap_source.h"
#include "heap_sizeclasses.h"

#define POOL_SIZE Bsize_wsize(POOL_WSIZE)
#define PAGE 4096

void caml_heap_source_init(void) {
}

void caml_heap_source_destroy(void) {
}

void* caml_heap_pool_alloc(mlsize_t wsize) {
  CAMLassert(wsize == POOL_WSIZE);
  return mi_malloc_aligned(POOL_SIZE, PAGE);
}

void caml_heap_pool_free(void* pool, mlsize_t wsize) {
  CAMLassert(wsize == POOL_WSIZE);
  mi_free(pool);
}

void* caml_heap_large_alloc(asize_t size) {
  return mi_malloc(size);
}

void caml_heap_large_free(void* block, asize_t size) {
  (void)size;
  mi_free(block);
}

void caml_heap_trim(void) {
  mi_collect(true);
}

const char* caml_heap_source_version(void) {
  return "none";
}
