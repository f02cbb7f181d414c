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
   jemalloc.  Pools that were put back wait on a list until the next
   compaction unmaps them. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it, and limits.h */
#include <limits.h>
#include <stdlib.h>
#include "caml/heap_memory.h"
#include "caml/mlvalues.h"
#include "caml/platform.h"
#include "caml/sizeclasses.h"

struct free_pool {
  struct free_pool* next;
};

static struct {
  caml_plat_mutex lock;
  struct free_pool* head;
} free_pools = { CAML_PLAT_MUTEX_INITIALIZER, NULL };

void caml_heap_memory_init(void) {
}

void caml_heap_memory_shutdown(void) {
}

void* caml_heap_pool_get(void) {
  struct free_pool* p;
  caml_plat_lock_blocking(&free_pools.lock);
  p = free_pools.head;
  if (p)
    free_pools.head = p->next;
  else
    p = caml_mem_map(Bsize_wsize(POOL_WSIZE), 0);
  caml_plat_unlock(&free_pools.lock);
  return p;
}

void caml_heap_pool_put(void* pool) {
  struct free_pool* p = pool;
  caml_plat_lock_blocking(&free_pools.lock);
  p->next = free_pools.head;
  free_pools.head = p;
  caml_plat_unlock(&free_pools.lock);
}

void* caml_heap_large_get(asize_t size) {
  return malloc(size);
}

void caml_heap_large_put(void* block, asize_t size) {
  (void)size;
  free(block);
}

void caml_heap_compacted(void) {
  caml_plat_lock_blocking(&free_pools.lock);
  while (free_pools.head) {
    struct free_pool* p = free_pools.head;
    free_pools.head = p->next;
    caml_mem_unmap(p, Bsize_wsize(POOL_WSIZE));
  }
  caml_plat_unlock(&free_pools.lock);
}
