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

/* The end of a major cycle: measures the heap, and has heap_overhead.c say
   whether a compaction is due.  A heap that is too small for one is not
   measured, but near Xmemory_limit: a program may have many thousands of cycles
   a second then. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/heap_compaction.h"
#include "caml/heap_domain.h"
#include "caml/heap_share.h"
#include "caml/major_gc.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_memory.h"
#include "heap_pressure.h"

static uint64_t busy(void) {
  return caml_heap_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static const struct caml_overhead_clock overhead_clock = {
  caml_heap_now, busy
};

/* The domains whose marks are not known: a number that no domains have */
#define NO_DOMAINS 0

/* Blocks marked in the cycle; SIZE_MAX: not known, since a domain began or
   ended. */
static size_t take_marks(struct caml_marks marks) {
  struct caml_marks before = caml_collector.marks;
  caml_collector.marks = marks;
  return marks.domains == before.domains && marks.blocks >= before.blocks
    ? marks.blocks - before.blocks : SIZE_MAX;
}

/* Blocks are counted as they are marked, their words are not: so those counted
   are taken to be as large as all in pools are on average, and large ones for
   marked.  Unknown ones are all: [marked] is SIZE_MAX. */
static size_t counted_bytes(const struct heap_stats* s, size_t marked) {
  double pools = (double)Bsize_wsize((size_t)s->pool_live_words);
  double count = (double)s->pool_live_blocks;
  double part = (double)marked < count ? (double)marked / count : 1.0;
  return (size_t)(pools * part) + Bsize_wsize((size_t)s->large_words);
}

static struct caml_overhead_measures measure(size_t in_use) {
  struct gc_stats s;
  size_t marked = take_marks(caml_domain_marks(&s));
  return (struct caml_overhead_measures){
    .in_use = in_use,
    .blocks = counted_bytes(&s.heap_stats, SIZE_MAX),
    .counted = counted_bytes(&s.heap_stats, marked),
    .lost = Bsize_wsize((size_t)s.heap_stats.pool_frag_words),
    .allocated = Bsize_wsize(s.alloc_stats.major_words),
    .known = marked != SIZE_MAX
  };
}

/* ns that a compaction may take */
static uint64_t most_stop(void) {
  intnat ms = caml_heap_knob_get(CAML_KNOB_overhead_pause_ms);
  return ms < 0 ? UINT64_MAX : (uint64_t)ms * NS_PER_MS;
}

/* Half a minor heap is allocated from one slice to the next. */
static void consider_overhead(struct caml_overhead* o,
                              const struct caml_overhead_measures* measures,
                              intnat percent, bool others) {
  struct caml_overhead_cycle cycle = {
    .max_overhead = percent, .space_overhead = (intnat)caml_percent_free,
    .between = Bsize_wsize(Caml_state->minor_heap_wsz) / 2, .others = others,
    .most_stop = most_stop()
  };
  caml_overhead_cycle_ended(o, &overhead_clock, &cycle, measures);
}

static void consider_memory(struct caml_overhead* o,
                            const struct caml_overhead_measures* measures,
                            bool others) {
  bool may_compact = !others && caml_heap_may_compact_unasked();
  if (!caml_memory_cycle_ended(measures, may_compact) || o->compacting) return;
  caml_overhead_compact(o, &overhead_clock, measures->in_use);
  atomic_fetch_add(&caml_collector.automatic.memory_compactions, 1);
}

/* Are there cycles that end with a compaction, and others that do not? */
static bool is_to_be_decided(intnat percent) {
  return percent > 0 && percent < CAML_OVERHEAD_NEVER;
}

/* Bytes in use; or committed, if that is so little that nothing is to be
   decided, which saves a sum over all domains. */
static size_t in_use_or_little(const struct caml_overhead* o) {
  size_t committed = caml_extents_committed(&caml_heap.arena.extents);
  return caml_overhead_is_small(o, committed) ? committed : caml_heap_in_use();
}

static void consider(struct caml_overhead* o, intnat percent, bool others) {
  size_t in_use = in_use_or_little(o);
  bool small = caml_overhead_is_small(o, in_use);
  bool overhead = !small && is_to_be_decided(percent);
  bool limited = small ? caml_memory_is_near() : caml_memory_is_limited();
  struct caml_overhead_measures measures = { .in_use = in_use };
  if (!small) caml_pressure_ask_for_thread();
  if (overhead || limited)
    measures = measure(in_use);
  else
    caml_collector.marks.domains = NO_DOMAINS;
  if (overhead)
    consider_overhead(o, &measures, percent, others);
  else
    caml_overhead_skip(o);
  if (percent == 0 && !others)
    caml_overhead_compact(o, &overhead_clock, in_use);
  if (limited) consider_memory(o, &measures, others);
}

/* Where there is no compaction nobody waits for one. */
static intnat max_overhead(void) {
  return caml_heap_may_compact_unasked()
    ? caml_heap_knob_get(CAML_KNOB_max_overhead) : CAML_OVERHEAD_NEVER;
}

/* The cycle after an accelerated one may end with a compaction, and under
   Xmax_overhead=0 each does. */
void caml_heap_measure_cycle(bool ordinary) {
  intnat percent = max_overhead();
  consider(&caml_collector.overhead, percent, !ordinary);
  caml_heap_survey_next(percent == 0 || caml_collector.overhead.cycles > 0);
}

/* Does the collector choose how much the slice does? */
static bool is_automatic(intnat howmuch) {
  return howmuch == AUTO_TRIGGERED_MAJOR_SLICE
    || howmuch == GC_CALCULATE_MAJOR_SLICE;
}

void caml_heap_slice_begins(intnat howmuch, double* extra) {
  double part;
  caml_share_settle();
  caml_background_poll(&caml_heap.background);
  caml_pressure_slice_begins();
  caml_heap_tell_refused_threads();
  caml_heap_finalise_some();
  if (!is_automatic(howmuch)) {
    caml_memory_other_slice_begins();
    return;
  }
  *extra += caml_collector.overhead.least_slice;
  part = caml_memory_slice_begins();
  if (part > *extra) *extra = part;
}

void caml_heap_slice_ends(void) {
  caml_memory_slice_ends();
}

/* A compaction of ours */
static void count(size_t before, size_t returned, uint64_t time) {
  struct caml_heap_automatic* a = &caml_collector.automatic;
  atomic_fetch_add(&a->overhead_compactions, 1);
  atomic_fetch_add(&a->overhead_freed, returned);
  atomic_fetch_add(&a->overhead_time, time);
  caml_gc_message(0x10, "Automatic compaction: %zuk of %zuk freed "
                  "in %.1f ms\n", returned >> 10, before >> 10,
                  (double)time / 1e6);
}

void caml_heap_note_compaction(void) {
  struct caml_overhead* o = &caml_collector.overhead;
  uint64_t began = o->decided;
  size_t before = o->before, after = caml_heap_in_use();
  size_t returned = before > after ? before - after : 0;
  if (!o->compacting) return;
  caml_overhead_compacted(o, &overhead_clock, returned);
  count(before, returned, caml_heap_now() - began);
}
