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
   is unmapped then.  Here, by the first domain that frees or takes a pool in
   the next cycle: the pools that have been free since before it began.  Since
   OCaml 5.2, where each pool is a mapping. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include <stdlib.h>
#include "caml/heap_source.h"
#include "caml/major_gc.h"
#include "caml/platform.h"
#include "caml/version.h"
#include "heap_sizeclasses.h"

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
  uintnat cycle; /* those completed when the list was last emptied */
} free_pools = { CAML_PLAT_MUTEX_INITIALIZER, NULL, 0 };

/* All free pools, if a cycle has ended since.  With the lock. */
static struct free_pool* take_old(void) {
  struct free_pool* old = NULL;
  if (free_pools.cycle != caml_major_cycles_completed) {
    old = free_pools.head;
    free_pools.head = NULL;
    free_pools.cycle = caml_major_cycles_completed;
  }
  return old;
}

static void unmap(struct free_pool* p) {
  while (p != NULL) {
    struct free_pool* next = p->next;
    caml_mem_unmap(p, POOL_SIZE);
    p = next;
  }
}

void caml_heap_source_init(void) {
}

void caml_heap_source_destroy(void) {
}

void* caml_heap_pool_alloc(void) {
  struct free_pool *p, *old;
  caml_plat_lock_blocking(&free_pools.lock);
  old = take_old();
  p = old != NULL ? old : free_pools.head;
  if (old != NULL)
    old = old->next;
  else if (p != NULL)
    free_pools.head = p->next;
  caml_plat_unlock(&free_pools.lock);
  unmap(old);
  return p != NULL ? (void*)p : caml_mem_map(POOL_SIZE, 0);
}

void caml_heap_pool_free(void* pool) {
  struct free_pool *p = pool, *old;
  caml_plat_lock_blocking(&free_pools.lock);
  old = take_old();
  p->next = free_pools.head;
  free_pools.head = p;
  caml_plat_unlock(&free_pools.lock);
  unmap(old);
}

void caml_heap_trim(void) {
  struct free_pool* all;
  caml_plat_lock_blocking(&free_pools.lock);
  all = free_pools.head;
  free_pools.head = NULL;
  caml_plat_unlock(&free_pools.lock);
  unmap(all);
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
