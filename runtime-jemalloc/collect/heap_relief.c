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
  struct caml_ranked_mutex lock; /* of all but [waits] */
  struct caml_pressure_policy policy;
  uint64_t began; /* a part of the last: the purge, or the collection, ns */
  size_t held;    /* bytes, when that began */
  uint64_t took;  /* all parts that have ended, ns */
  size_t returned;
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

/* The wait from the purge to the collection is neither's: the program may be in
   C code that comes to no safe point. */
static void begin_part(void) {
  size_t holds = held();
  lock();
  relief.began = caml_heap_now();
  relief.held = holds;
  unlock();
}

/* It took so long, and no longer than since it began. */
static void end_part(uint64_t ns, size_t holds) {
  uint64_t since = caml_heap_now() - relief.began;
  caml_ranked_mutex_assert_held(&relief.lock);
  relief.took += ns < since ? ns : since;
  if (relief.held > holds) relief.returned += relief.held - holds;
}

static void end_purge(void) {
  size_t holds = held();
  lock();
  end_part(UINT64_MAX, holds);
  unlock();
}

static bool begin(void) {
  uint64_t now = caml_heap_now();
  bool acts;
  lock();
  acts = caml_pressure_policy_acts(&relief.policy, now);
  if (acts) {
    caml_pressure_policy_begin(&relief.policy, now);
    relief.took = relief.returned = 0;
  }
  unlock();
  return acts;
}

bool caml_relief_begin(void) {
  if (!begin()) return false;
  begin_part();
  atomic_fetch_add(&caml_collector.automatic.pressure_events, 1);
  caml_gc_message(0x10, "Memory is short: what is free goes back\n");
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_heap_trim_malloc();
  end_purge();
  begin_part();
  atomic_store(&relief.waits, true);
  return true;
}

bool caml_relief_waits(void) {
  return atomic_load(&relief.waits);
}

static bool take(void) {
  return caml_relief_waits() && atomic_exchange(&relief.waits, false);
}

bool caml_relief_take(void) {
  if (!take()) return false;
  begin_part();
  return true;
}

static void end(uint64_t ns) {
  size_t holds = held();
  lock();
  end_part(ns, holds);
  caml_pressure_policy_end(&relief.policy, caml_heap_now(), relief.took,
                           holds + relief.returned, relief.returned);
  unlock();
}

void caml_relief_end(void) {
  end(UINT64_MAX);
}

void caml_relief_done(uint64_t ns) {
  if (take()) end(ns);
}

size_t caml_relief_count(void) {
  return atomic_load(&caml_collector.automatic.pressure_events);
}

static void reset(void) {
  relief.policy = (struct caml_pressure_policy){ .futile = 0 };
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
