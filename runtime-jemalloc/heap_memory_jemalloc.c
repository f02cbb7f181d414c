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

#include <stdlib.h>
#include "caml/domain.h"
#include "caml/heap_memory.h"
#include "caml/misc.h"
#include "caml/mlvalues.h"
#include "heap_jemalloc.h"
#include "heap_map.h"
#include "heap_sizeclasses.h"

_Static_assert(CAML_POOL_SIZE == Bsize_wsize(POOL_WSIZE), "OCaml's pools");

struct caml_heap caml_heap;

static intnat knob(enum caml_heap_knob_index index) {
  return caml_heap_knob_get(index);
}

bool caml_heap_memory_started(void) {
  return atomic_load(&caml_heap.ready);
}

/* As [caml_heap_give_back], which purges too.  Of two that set a knob at once,
   both apply what was set last. */
static bool apply_decay(enum caml_heap_knob_index index) {
  bool done;
  caml_background_hold(&caml_heap.background);
  done = index == CAML_KNOB_dirty_decay_ms
    ? caml_arena_set_dirty_decay(&caml_heap.arena, knob(index))
    : caml_arena_set_muzzy_decay(&caml_heap.arena, knob(index));
  caml_background_release(&caml_heap.background);
  return done;
}

bool caml_heap_knob_apply(enum caml_heap_knob_index index, intnat value) {
  if (!caml_heap_memory_started()) return true;
  switch (index) {
    case CAML_KNOB_dirty_decay_ms:
    case CAML_KNOB_muzzy_decay_ms:
      return apply_decay(index);
    case CAML_KNOB_background_purge:
      if (value)
        caml_background_on(&caml_heap.background);
      else
        caml_background_off(&caml_heap.background);
      return true;
    case CAML_KNOB_idle_compact_ms:
      caml_idle_look_again(&caml_heap.idle);
      return true;
    default: /* read where it is used */
      return true;
  }
}

static void prefork(void) {
  caml_idle_prefork(&caml_heap.idle);
  pthread_mutex_lock(&caml_heap.limit_lock);
  caml_heap_finalise_prefork();
  caml_background_hold(&caml_heap.background);
  caml_arena_prefork(&caml_heap.arena);
}

static void postfork_parent(void) {
  caml_arena_postfork_parent(&caml_heap.arena);
  caml_background_release(&caml_heap.background);
  caml_heap_finalise_postfork_parent();
  pthread_mutex_unlock(&caml_heap.limit_lock);
  caml_idle_postfork_parent(&caml_heap.idle);
}

static void postfork_child(void) {
  caml_arena_postfork_child(&caml_heap.arena);
  caml_background_postfork_child(&caml_heap.background);
  caml_heap_finalise_postfork_child();
  pthread_mutex_init(&caml_heap.limit_lock, NULL);
  caml_idle_postfork_child(&caml_heap.idle);
}

void caml_heap_memory_init(void) {
  const char* failed = caml_arena_create(&caml_heap.arena, knob(CAML_KNOB_thp));
  if (failed)
    caml_fatal_error("cannot make the jemalloc arena of the major heap: %s",
                     failed);
  pthread_mutex_init(&caml_heap.limit_lock, NULL);
  caml_thread_init();
  caml_idle_init(&caml_heap.idle);
  caml_background_init(&caml_heap.background, &caml_heap.arena);
  /* After jemalloc's own: its locks are taken after ours and free before a
     child makes its thread. */
  if (pthread_atfork(prefork, postfork_parent, postfork_child) != 0
      || atexit(caml_heap_print_statistics) != 0)
    caml_fatal_error("no memory for the major heap's fork and exit handlers");
  caml_heap_map_init();
  atomic_store(&caml_heap.ready, true);
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    if (!caml_heap_knob_apply(i, knob(i)))
      caml_fatal_error("cannot set %s of the major heap",
                       caml_heap_knobs[i].name);
  }
}

void caml_heap_memory_stop(void) {
  caml_idle_stop(&caml_heap.idle);
  caml_heap_finalise_postponed();
}

void caml_heap_memory_shutdown(void) {
  caml_heap_print_statistics();
  atomic_store(&caml_heap.ready, false);
  caml_background_off(&caml_heap.background);
  caml_arena_destroy(&caml_heap.arena);
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

size_t caml_heap_refused_threads(void) {
  return atomic_load(&caml_heap.background.retry.failures)
    + atomic_load(&caml_heap.idle.retry.failures);
}

void caml_heap_tell_refused_threads(void) {
  static _Atomic bool told;
  if (caml_heap_refused_threads() == 0 || atomic_exchange(&told, true)) return;
  caml_gc_message(-1, "The system refuses a thread for the major heap: unused "
                  "memory goes back while the program runs, not when it is "
                  "idle\n");
}

void caml_heap_compacted(void) {
  bool left_to_decay = caml_heap.overhead.compacting
    || atomic_load(&caml_heap.idle.compacting); /* which gives back itself */
  caml_heap_note_compaction();
  caml_heap.sweep = CAML_SWEEP_NOTHING;
  if (left_to_decay) return;
  caml_idle_compacted(&caml_heap.idle);
  caml_heap_give_back(knob(CAML_KNOB_compact_purge));
}

bool caml_heap_compactable(void) {
  return true;
}

const char* caml_heap_memory_jemalloc(void) {
  return caml_arena_jemalloc();
}
