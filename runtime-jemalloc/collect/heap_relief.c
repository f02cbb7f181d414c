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

#define CAML_INTERNALS

#include <stdatomic.h>
#include "caml/misc.h"
#include "heap_collect.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_pressure_policy.h"
#include "heap_relief.h"
#include "jemalloc_thread.h"

static struct {
  struct caml_ranked_mutex lock; /* of the next two */
  struct caml_pressure_policy policy;
  size_t held;        /* bytes, when the last began */
  _Atomic bool waits; /* Garbage is to be collected. */
} relief;

static void lock(void) {
  caml_ranked_mutex_lock(&relief.lock);
}

static void unlock(void) {
  caml_ranked_mutex_unlock(&relief.lock);
}

static size_t held(void) {
  return caml_heap_in_use() + caml_arena_unused(&caml_heap.arena);
}

static bool begin(void) {
  uint64_t now = caml_heap_now();
  size_t holds = held();
  bool acts;
  lock();
  acts = caml_pressure_policy_acts(&relief.policy, now);
  if (acts) {
    caml_pressure_policy_begin(&relief.policy, now);
    relief.held = holds;
  }
  unlock();
  return acts;
}

bool caml_relief_begin(void) {
  if (!begin()) return false;
  atomic_fetch_add(&caml_collector.automatic.pressure_events, 1);
  caml_gc_message(0x10, "Memory is short: what is free goes back\n");
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_heap_trim_malloc();
  atomic_store(&relief.waits, true);
  return true;
}

bool caml_relief_waits(void) {
  return atomic_load(&relief.waits);
}

bool caml_relief_take(void) {
  return caml_relief_waits() && atomic_exchange(&relief.waits, false);
}

void caml_relief_end(void) {
  size_t before, after = held();
  lock();
  before = relief.held;
  caml_pressure_policy_end(&relief.policy, caml_heap_now(), before,
                           before > after ? before - after : 0);
  unlock();
}

size_t caml_relief_count(void) {
  return atomic_load(&caml_collector.automatic.pressure_events);
}

static void reset(void) {
  relief.policy = (struct caml_pressure_policy){ .began = 0 };
  atomic_store(&relief.waits, false);
}

void caml_relief_init(void) {
  caml_ranked_mutex_init(&relief.lock, CAML_RANK_RELIEF);
  reset();
}

void caml_relief_prefork(void) {
  lock();
}

void caml_relief_postfork_parent(void) {
  unlock();
}

void caml_relief_postfork_child(void) {
  caml_ranked_mutex_postfork_child(&relief.lock);
  reset();
}
