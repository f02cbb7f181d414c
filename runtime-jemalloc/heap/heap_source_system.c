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

/* The memory of the heap, from the OS and [malloc]: what OCaml does without
   jemalloc.  Pools that were freed wait on a list until the next compaction
   unmaps them; in OCaml 5.1, which has none, for good. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it, and limits.h */
#include <limits.h>
#include <stdlib.h>
#include "caml/heap_source.h"
#include "caml/mlvalues.h"
#include "caml/platform.h"
#include "caml/sizeclasses.h"
#include "caml/version.h"

#if OCAML_VERSION < 50300
#define caml_plat_lock_blocking caml_plat_lock /* before it was renamed */
#endif

#define POOL_SIZE Bsize_wsize(POOL_WSIZE)

struct free_pool {
  struct free_pool* next;
};

static struct {
  caml_plat_mutex lock;
  struct free_pool* head;
} free_pools = { CAML_PLAT_MUTEX_INITIALIZER, NULL };

#if OCAML_VERSION < 50200

#define POOLS_PER_MAPPING 16

/* A list of new pools, NULL when there is no memory */
static struct free_pool* map_pools(void) {
  char* mapping = caml_mem_map(POOLS_PER_MAPPING * POOL_SIZE, POOL_SIZE, 0);
  struct free_pool* pools = NULL;
  if (!mapping) return NULL;
  for (int i = 0; i < POOLS_PER_MAPPING; i++) {
    struct free_pool* p = (struct free_pool*)(mapping + i * POOL_SIZE);
    p->next = pools;
    pools = p;
  }
  return pools;
}

/* A mapping of several pools can only be unmapped as a whole. */
void caml_heap_trim(void) {
}

#else

static struct free_pool* map_pools(void) {
  struct free_pool* p = caml_mem_map(POOL_SIZE, 0);
  if (p) p->next = NULL;
  return p;
}

void caml_heap_trim(void) {
  caml_plat_lock_blocking(&free_pools.lock);
  while (free_pools.head) {
    struct free_pool* p = free_pools.head;
    free_pools.head = p->next;
    caml_mem_unmap(p, POOL_SIZE);
  }
  caml_plat_unlock(&free_pools.lock);
}

#endif

void caml_heap_source_init(void) {
}

void caml_heap_source_destroy(void) {
}

void* caml_heap_pool_alloc(mlsize_t wsize) {
  struct free_pool* p;
  CAMLassert(wsize == POOL_WSIZE);
  caml_plat_lock_blocking(&free_pools.lock);
  if (!free_pools.head) free_pools.head = map_pools();
  p = free_pools.head;
  if (p) free_pools.head = p->next;
  caml_plat_unlock(&free_pools.lock);
  return p;
}

void caml_heap_pool_free(void* pool, mlsize_t wsize) {
  struct free_pool* p = pool;
  CAMLassert(wsize == POOL_WSIZE);
  caml_plat_lock_blocking(&free_pools.lock);
  p->next = free_pools.head;
  free_pools.head = p;
  caml_plat_unlock(&free_pools.lock);
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
