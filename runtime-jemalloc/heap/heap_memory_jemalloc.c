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

/* The memory of the heap, from one jemalloc arena. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/heap_memory.h"
#include "caml/misc.h"
#include "caml/mlvalues.h"
#include "heap_jemalloc.h"
#include "heap_sizeclasses.h"

_Static_assert(CAML_POOL_SIZE == Bsize_wsize(POOL_WSIZE), "OCaml's pools");

struct caml_heap caml_heap;

static intnat knob(enum caml_heap_knob_index index) {
  return caml_heap_knob_get(index);
}

/* The domain's, if the thread has one */
static unsigned shard(void) {
  return Caml_state_opt == NULL ? 0 : (unsigned)Caml_state_opt->id;
}

void* caml_heap_pool_get(void) {
  void* pool = caml_arena_get_pool(&caml_heap.arena, shard());
  if (pool == NULL) return NULL;
  atomic_fetch_add(&caml_heap.in_use.pools, CAML_POOL_SIZE);
  caml_heap_note_limit();
  return pool;
}

void caml_heap_pool_put(void* pool) {
  /* first: statistics never count more in use than there is */
  atomic_fetch_sub(&caml_heap.in_use.pools, CAML_POOL_SIZE);
  caml_arena_put_pool(&caml_heap.arena, pool);
  caml_background_freed(&caml_heap.background);
}

#if OCAML_VERSION < 50500

/* The largest size class of OCaml's own, words */
#define STOCK_SIZECLASS_MAX 128

#if OCAML_VERSION < 50200
#define FIRST_BLOCK(sizeclass) POOL_HEADER_WSIZE
#else
#define FIRST_BLOCK(sizeclass)                                                \
  (POOL_HEADER_WSIZE + wastage_sizeclass[sizeclass])
#endif

/* Of those with a header.  At least one: caml_sweep takes no work for no pool
   left. */
static intnat words_in_blocks(const header_t* hp, mlsize_t slots,
                              mlsize_t wsize) {
  mlsize_t words = 1;
  for (; slots > 0; slots--, hp += wsize) {
    header_t hd = Hd_hp(hp);
    if (hd != 0) words += Whsize_hd(hd);
  }
  return (intnat)words;
}

intnat caml_heap_words_to_sweep(const void* pool, unsigned sizeclass) {
  mlsize_t wsize = wsize_sizeclass[sizeclass];
  mlsize_t words =
    POOL_WSIZE - POOL_HEADER_WSIZE - wastage_sizeclass[sizeclass];
  if (wsize <= STOCK_SIZECLASS_MAX) return (intnat)words;
  return words_in_blocks((const header_t*)pool + FIRST_BLOCK(sizeclass),
                         words / wsize, wsize);
}

#endif

/* A block with a mapping of its own takes pages that are not in the arena:
   unused ones there make room for it, if they are no more than it, so that a
   growing array does not have those that it has left beside it. */
static void give_way(asize_t size) {
  size_t dirty;
  if (knob(CAML_KNOB_dirty_decay_ms) < 0) return;
  dirty = caml_arena_dirty(&caml_heap.arena);
  if (dirty > 0 && dirty <= size)
    caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

void* caml_heap_large_get(asize_t size) {
  void* block;
  if (size >= CAML_MAPPED_BLOCK) give_way(size);
  block = caml_arena_get(&caml_heap.arena, size);
  if (block != NULL) atomic_fetch_add(&caml_heap.in_use.large, size);
  return block;
}

void caml_heap_large_put(void* block, asize_t size) {
  atomic_fetch_sub(&caml_heap.in_use.large, size);
  caml_arena_put(&caml_heap.arena, block, size);
  caml_background_freed(&caml_heap.background);
}

bool caml_heap_give_back(enum caml_compact_purge how) {
  bool done = false;
  caml_background_hold(&caml_heap.background);
  switch (how) {
    case CAML_COMPACT_PURGE_DECAY:
      done = caml_arena_decay(&caml_heap.arena);
      break;
    case CAML_COMPACT_PURGE_LAZY:
      done = caml_arena_purge_lazily(&caml_heap.arena);
      break;
    case CAML_COMPACT_PURGE_FORCED:
      done = caml_arena_purge(&caml_heap.arena);
      break;
  }
  caml_background_release(&caml_heap.background);
  return done;
}

const char* caml_heap_memory_jemalloc(void) {
  return caml_arena_jemalloc();
}
