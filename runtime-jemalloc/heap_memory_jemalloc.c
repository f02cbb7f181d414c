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
#include "heap_knobs.h"
#include "jemalloc_arena.h"
#include "jemalloc_background.h"

#define POOL_SIZE Bsize_wsize(POOL_WSIZE)

static struct {
  struct caml_arena arena;
  struct caml_background background;
  _Atomic bool ready; /* there is an arena */
} heap;

static intnat knob(enum caml_heap_knob_index index) {
  return caml_heap_knob_get(index);
}

bool caml_heap_memory_started(void) {
  return atomic_load(&heap.ready);
}

bool caml_heap_knob_apply(enum caml_heap_knob_index index, intnat value) {
  if (!caml_heap_memory_started()) return true;
  switch (index) {
    case CAML_KNOB_dirty_decay_ms:
      return caml_arena_set_dirty_decay(&heap.arena, value);
    case CAML_KNOB_muzzy_decay_ms:
      return caml_arena_set_muzzy_decay(&heap.arena, value);
    case CAML_KNOB_background_purge:
      if (value)
        caml_background_on(&heap.background);
      else
        caml_background_off(&heap.background);
      return true;
    default: /* read where it is used */
      return true;
  }
}

static void prefork(void) {
  caml_background_hold(&heap.background);
}

static void postfork_parent(void) {
  caml_background_release(&heap.background);
}

static void postfork_child(void) {
  caml_background_forked(&heap.background);
}

void caml_heap_memory_init(void) {
  const char* failed = caml_arena_create(&heap.arena, knob(CAML_KNOB_thp));
  if (failed)
    caml_fatal_error("cannot make the jemalloc arena of the major heap: %s",
                     failed);
  caml_background_init(&heap.background, &heap.arena);
  /* After jemalloc's own: its locks are taken after ours and free before a
     child makes its thread. */
  if (pthread_atfork(prefork, postfork_parent, postfork_child) != 0)
    caml_fatal_error("no memory for the major heap's fork handlers");
  atomic_store(&heap.ready, true);
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    if (!caml_heap_knob_apply(i, knob(i)))
      caml_fatal_error("cannot set %s of the major heap",
                       caml_heap_knobs[i].name);
  }
}

void caml_heap_memory_shutdown(void) {
  atomic_store(&heap.ready, false);
  caml_background_off(&heap.background);
  caml_arena_destroy(&heap.arena);
}

void* caml_heap_pool_get(void) {
  return caml_arena_get(&heap.arena, POOL_SIZE);
}

void caml_heap_pool_put(void* pool) {
  caml_arena_put(&heap.arena, pool, POOL_SIZE);
  caml_background_freed(&heap.background);
}

void* caml_heap_large_get(asize_t size) {
  return caml_arena_get(&heap.arena, size);
}

void caml_heap_large_put(void* block, asize_t size) {
  caml_arena_put(&heap.arena, block, size);
  caml_background_freed(&heap.background);
}

void caml_heap_compacted(void) {
  caml_background_hold(&heap.background);
  switch (knob(CAML_KNOB_compact_purge)) {
    case CAML_COMPACT_PURGE_DECAY:
      caml_arena_decay(&heap.arena);
      break;
    case CAML_COMPACT_PURGE_LAZY:
      caml_arena_purge_lazily(&heap.arena, knob(CAML_KNOB_dirty_decay_ms));
      break;
    default:
      caml_arena_purge(&heap.arena);
  }
  caml_background_release(&heap.background);
}

bool caml_heap_compactable(void) {
  return true;
}

const char* caml_heap_memory_jemalloc(void) {
  return caml_arena_jemalloc();
}
