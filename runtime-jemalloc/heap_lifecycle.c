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

/* The heap's start, forks and end, and a knob that takes effect: what concerns
   all layers at once. */

#define CAML_INTERNALS

#include <stdlib.h>
#include "caml/domain.h"
#include "caml/heap_source.h"
#include "caml/heap_startup.h"
#include "caml/misc.h"
#include "heap_collect.h"
#include "heap_control.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_map.h"
#include "heap_memory.h"
#include "heap_pressure.h"
#include "heap_relief.h"
#include "heap_share_part.h"
#include "heap_tweaks.h"

static intnat knob(enum caml_heap_knob_index index) {
  return caml_heap_knob_get(index);
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

static bool apply(enum caml_heap_knob_index index) {
  switch (index) {
    case CAML_KNOB_dirty_decay_ms:
    case CAML_KNOB_muzzy_decay_ms:
      return apply_decay(index);
    case CAML_KNOB_background_purge:
      if (knob(index))
        caml_background_on(&caml_heap.background);
      else
        caml_background_off(&caml_heap.background);
      return true;
    case CAML_KNOB_idle_compact_ms:
      caml_idle_look_again(&caml_heap_idle);
      return true;
    case CAML_KNOB_memory_limit:
    case CAML_KNOB_memory_limit_cpu:
      caml_memory_look_again();
      return true;
    default: /* read where it is used */
      return true;
  }
}

/* The handlers of forks stay when the heap has gone.  The idle thread's lock is
   for this too: a fork holds it, so that its handlers agree. */
static bool ended;

static void prefork(void) {
  caml_idle_prefork(&caml_heap_idle);
  if (ended) return;
  caml_share_prefork();
  caml_memory_prefork();
  caml_pressure_prefork();
  caml_relief_prefork();
  caml_heap_finalise_prefork();
  caml_background_hold(&caml_heap.background);
  caml_arena_prefork(&caml_heap.arena);
}

static void parent_has_forked(void) {
  caml_arena_postfork_parent(&caml_heap.arena);
  caml_background_release(&caml_heap.background);
  caml_heap_finalise_postfork_parent();
  caml_relief_postfork_parent();
  caml_pressure_postfork_parent();
  caml_memory_postfork_parent();
  caml_share_postfork_parent();
}

static void postfork_parent(void) {
  if (!ended) parent_has_forked();
  caml_idle_postfork_parent(&caml_heap_idle);
}

static void child_begins(void) {
  caml_arena_postfork_child(&caml_heap.arena);
  caml_background_postfork_child(&caml_heap.background);
  caml_heap_finalise_postfork_child();
  caml_relief_postfork_child();
  caml_pressure_postfork_child();
  caml_memory_postfork_child();
  caml_share_postfork_child();
  caml_heap_limit_postfork_child();
}

static void postfork_child(void) {
  if (!ended) child_begins();
  caml_idle_postfork_child(&caml_heap_idle);
}

void caml_heap_init(void) {
  caml_heap_source_init();
  caml_share_init();
  caml_memory_init();
  caml_pressure_init();
  caml_relief_init();
  caml_thread_init();
  caml_idle_init(&caml_heap_idle);
  /* After jemalloc's own: its locks are taken after ours. */
  if (pthread_atfork(prefork, postfork_parent, postfork_child) != 0
      || atexit(caml_heap_print_statistics) != 0)
    caml_fatal_error("no memory for the major heap's fork and exit handlers");
  caml_heap_map_init();
  caml_heap_knobs_take_effect(apply);
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    if (!apply(i))
      caml_fatal_error("cannot set %s of the major heap",
                       caml_heap_knobs[i].name);
  }
}

/* What is shared is given back, so that the cycles to come finalise all of the
   heap.  The one that goes on may be past the point at which it could. */
static void take_back_shared(void) {
  caml_share_ask(false);
  if (caml_share_has_some() && caml_domain_alone())
    caml_heap_finish_cycle(false);
}

void caml_heap_stop(void) {
  caml_idle_stop(&caml_heap_idle);
  caml_pressure_stop();
  take_back_shared();
  caml_heap_finalise_postponed();
}

void caml_heap_destroy(void) {
  pthread_mutex_lock(&caml_heap_idle.lock);
  ended = true;
  pthread_mutex_unlock(&caml_heap_idle.lock);
  caml_heap_print_statistics();
  caml_heap_knobs_take_effect(NULL);
  caml_share_end();
  caml_heap_source_destroy();
}
