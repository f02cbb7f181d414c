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
#include "caml/heap_source.h"
#include "caml/misc.h"
#include "caml/mlvalues.h"
#include "heap_jemalloc.h"
#include "heap_quarantine.h"
#include "heap_share_part.h"
#include "heap_sizeclasses.h"

_Static_assert(CAML_POOL_SIZE == Bsize_wsize(POOL_WSIZE), "OCaml's pools");
_Static_assert(CAML_MEDIUM_POOL_SIZE == Bsize_wsize(CAML_MEDIUM_POOL_WSIZE),
               "medium pools");

struct caml_heap caml_heap;

static intnat knob(enum caml_heap_knob_index index) {
  return caml_heap_knob_get(index);
}

/* The domain's, if the thread has one */
static unsigned shard(void) {
  return Caml_state_opt == NULL ? 0 : (unsigned)Caml_state_opt->id;
}

/* Relaxed: sums, which nobody orders anything by.  Bytes are subtracted first
   and added last, so that statistics never count more in use than there is. */
static size_t add(_Atomic size_t* sum, size_t bytes) {
  return atomic_fetch_add_explicit(sum, bytes, memory_order_relaxed);
}

/* Each MiB that the domain takes is told. */
#define TOLD ((size_t)1 << 20)

static void take(_Atomic size_t* sum, size_t bytes) {
  size_t before = add(sum, bytes);
  if ((before + bytes) / TOLD != before / TOLD) caml_heap_note_grown();
}

static struct caml_in_use_shard* in_use(void) {
  return caml_in_use_shard(&caml_heap.in_use, shard());
}

/* There is no memory for [size] bytes.  What another thread is giving back just
   now, jemalloc has for nobody until it is done.  Waits for that, and gives
   back the rest, if it may be enough.  False if it may not. */
static bool give_back_for(size_t size) {
  return size <= caml_extents_mapped(&caml_heap.arena.extents)
    && caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

static void* get_pool(mlsize_t wsize) {
  return wsize == POOL_WSIZE
    ? caml_arena_get_pool(&caml_heap.arena, shard())
    : caml_arena_get_medium_pool(&caml_heap.arena, shard());
}

/* What was filled ahead and is not used goes back, like what is freed. */
static void note_filled_ahead(void) {
  if (caml_arena_filled_ahead(&caml_heap.arena))
    caml_background_freed(&caml_heap.background);
}

void* caml_heap_pool_alloc(mlsize_t wsize) {
  void* pool = get_pool(wsize);
  if (pool == NULL && give_back_for(Bsize_wsize(wsize)))
    pool = get_pool(wsize);
  if (pool == NULL) return NULL;
  take(&in_use()->pools, Bsize_wsize(wsize));
  note_filled_ahead();
  caml_heap_note_taken(Bsize_wsize(wsize));
  return pool;
}

void caml_heap_pool_free(void* pool, mlsize_t wsize) {
  add(&in_use()->pools, -Bsize_wsize(wsize));
  pool = caml_quarantine(pool, Bsize_wsize(wsize));
  if (pool == NULL) return;
  caml_arena_put_pool(&caml_heap.arena, pool);
  caml_background_freed(&caml_heap.background);
}

/* A block with a mapping of its own takes pages that are not in the arena:
   unused ones there make room for it, if they are no more than it, so that a
   growing array does not have those that it has left beside it. */
static void purge_for_mapped(asize_t size) {
  size_t dirty;
  if (knob(CAML_KNOB_dirty_decay_ms) < 0) return;
  dirty = caml_arena_dirty(&caml_heap.arena);
  if (dirty > 0 && dirty <= size)
    caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

static void* get_cached(asize_t size) {
  return caml_arena_get_cached(&caml_heap.arena, shard(), size);
}

/* On no page of what is shared */
static void* get_large(asize_t size) {
  void* block;
  if (!caml_share_is_listed(false)) return NULL;
  while ((block = get_cached(size)) != NULL && caml_share_touches(block, size))
    caml_share_plug(block, size);
  return block;
}

void* caml_heap_large_alloc(asize_t size) {
  void* block;
  if (size >= CAML_MAPPED_BLOCK) purge_for_mapped(size);
  block = get_large(size);
  if (block == NULL && give_back_for(size)) block = get_large(size);
  if (block == NULL) return NULL;
  take(&in_use()->large, size);
  caml_heap_note_taken(size);
  return block;
}

void caml_heap_populate(void* block, asize_t size) {
  caml_arena_populate(&caml_heap.arena, block, size);
  note_filled_ahead();
}

void caml_heap_large_free(void* block, asize_t size) {
  add(&in_use()->large, -size);
  caml_arena_put_cached(&caml_heap.arena, shard(), block, size);
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

void caml_heap_trim(void) {
  caml_heap_give_back(caml_heap_knob_get(CAML_KNOB_compact_purge));
}

const char* caml_heap_source_version(void) {
  return caml_arena_jemalloc();
}

void caml_heap_source_init(void) {
  const char* failed =
    caml_arena_create(&caml_heap.arena, (enum caml_thp)knob(CAML_KNOB_thp));
  if (failed)
    caml_fatal_error("cannot make the jemalloc arena of the major heap: %s",
                     failed);
  caml_background_init(&caml_heap.background, &caml_heap.arena);
}

void caml_heap_source_destroy(void) {
  caml_background_off(&caml_heap.background);
  caml_quarantine_end();
  caml_arena_destroy(&caml_heap.arena);
}
