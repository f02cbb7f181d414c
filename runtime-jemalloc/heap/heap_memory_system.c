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
   compaction unmaps them; in OCaml 5.1, which has none, for good. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it, and limits.h */
#include <limits.h>
#include <stdlib.h>
#include "caml/custom.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/mlvalues.h"
#include "caml/platform.h"
#include "caml/shared_heap.h"
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
bool caml_heap_compactable(void) {
  return false;
}

void caml_heap_compacted(void) {
}

#else

static struct free_pool* map_pools(void) {
  struct free_pool* p = caml_mem_map(POOL_SIZE, 0);
  if (p) p->next = NULL;
  return p;
}

bool caml_heap_compactable(void) {
  return true;
}

void caml_heap_compacted(void) {
  caml_plat_lock_blocking(&free_pools.lock);
  while (free_pools.head) {
    struct free_pool* p = free_pools.head;
    free_pools.head = p->next;
    caml_mem_unmap(p, POOL_SIZE);
  }
  caml_plat_unlock(&free_pools.lock);
}

#endif

void caml_heap_cycle_ended(int asked, bool adopted) {
  (void)asked;
  (void)adopted;
}

bool caml_heap_outgrew(uintnat entries) {
  (void)entries;
  return false;
}

bool caml_heap_prepare_compaction(int asked) {
  return asked > 0;
}

enum caml_heap_sweep caml_heap_compaction_sweeps(void) {
  return CAML_SWEEP_NOTHING;
}

#if OCAML_VERSION >= 50200
void caml_heap_compaction_cycle(int i) {
  caml_finish_major_cycle(i == 2);
}
#endif

double caml_heap_hurry(intnat howmuch) {
  (void)howmuch;
  return 0.0;
}

void caml_heap_finalise(value block) {
  Custom_ops_val(block)->finalize(block);
}

intnat caml_heap_max_overhead(void) {
  return 0;
}

void caml_heap_set_max_overhead(intnat percent) {
  (void)percent;
}

void caml_heap_lock_domain(void* domain_lock) {
  caml_plat_lock_blocking(domain_lock);
}

void caml_heap_unlock_domain(void* domain_lock) {
  caml_plat_unlock(domain_lock);
}

void caml_heap_memory_init(void) {
}

void caml_heap_memory_stop(void) {
}

void caml_heap_memory_shutdown(void) {
}

void* caml_heap_pool_get(void) {
  struct free_pool* p;
  caml_plat_lock_blocking(&free_pools.lock);
  if (!free_pools.head) free_pools.head = map_pools();
  p = free_pools.head;
  if (p) free_pools.head = p->next;
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

#if OCAML_VERSION < 50500
intnat caml_heap_words_to_sweep(const void* pool, unsigned sizeclass) {
  (void)pool;
  return POOL_WSIZE - POOL_HEADER_WSIZE - wastage_sizeclass[sizeclass];
}
#endif

void* caml_heap_large_get(asize_t size) {
  return malloc(size);
}

void caml_heap_large_put(void* block, asize_t size) {
  (void)size;
  free(block);
}

value* caml_heap_try_alloc(struct caml_heap_state* heap, mlsize_t wosize,
                           tag_t tag, reserved_t reserved
                           CAML_HEAP_PINNED_PARAMETER) {
  return caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
}

void caml_heap_make_room(mlsize_t wosize) {
  (void)wosize;
}

#if OCAML_VERSION < 50300
#define Result_unit Val_unit
#endif

caml_heap_result caml_heap_check_limit(void) {
  return Result_unit;
}

bool caml_heap_memory_parse(const char* text) {
  (void)text;
  return false;
}

const char* caml_heap_memory_tweak(int index, atomic_uintnat** value) {
  (void)index;
  (void)value;
  return NULL;
}

void caml_heap_memory_set_tweak(atomic_uintnat* tweak, uintnat value) {
  atomic_store(tweak, value);
}

const char* caml_heap_memory_jemalloc(void) {
  return "none";
}
