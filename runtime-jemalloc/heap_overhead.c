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

/* Xmax_overhead: a major cycle ends with a compaction when too much of the memory
   of the heap is unused.

   How much is unused shows only when garbage is swept, and most of it is not:
   what died while it was in use during the last two cycles still counts as
   blocks, and fills the holes of the heap.  So the end of each cycle guesses how
   much is unused; if that is too much, the next two cycles hurry, and the second
   of them, before whose end little has been allocated since, knows.  OCaml 4
   stopped the program for these cycles.  After Gc.full_major there is nothing to
   guess, and it ends with the compaction, as in OCaml 4. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "heap_jemalloc.h"

/* From here on never, as in OCaml 4 */
#define NEVER 1000000

/* From the guess to the compaction it takes one part in so much of the time. */
#define TIME_PART 50

/* What the guess costs the program, ns a byte of the heap: 0.5 to 1.8 measured, with
   phases and workers of bench/programs. */
#define GUESS_COST 1

/* Less than this is not worth a compaction, bytes. */
#define LEAST_WASTE ((size_t)4 << 20)

/* One that returns less than one part in so much of what the heap took, and a
   guess that was wrong, make the next wait twice as long, up to so many times. */
#define LITTLE_PART 8
#define MOST_DOUBLINGS 10

/* A cycle that hurries lets the program allocate one part in so much of the heap,
   in no more slices than this. */
#define HURRY_PART 32
#define MOST_SLICES 64

/* Bytes in blocks, garbage that has not been swept among them, and what has been
   allocated since the program began */
static void measure(size_t* blocks, uint64_t* allocated) {
  struct gc_stats s;
  caml_compute_gc_stats(&s);
  *blocks = Bsize_wsize((size_t)(s.heap_stats.pool_live_words
                                 + s.heap_stats.large_words));
  *allocated = Bsize_wsize(s.alloc_stats.major_words);
}

/* Free pages are not counted: the decay takes them, and a compaction would not
   bring more. */
static bool too_much(size_t in_use, size_t blocks, intnat percent) {
  size_t waste = in_use > blocks ? in_use - blocks : 0;
  return waste >= LEAST_WASTE
    && 100.0 * (double)waste > (double)percent * (double)blocks;
}

/* Something is unused for certain, or the program has run for so long that it does
   not matter to be wrong for the first time. */
static bool may_guess(const struct caml_overhead* o, size_t in_use,
                      size_t blocks) {
  return (in_use > blocks && in_use - blocks >= in_use / LITTLE_PART)
    || caml_heap_now() - o->first_cycle
       >= (uint64_t)TIME_PART * GUESS_COST * in_use;
}

/* All blocks that are younger than two cycles taken for garbage; a heap that
   grows has no room in it. */
static bool is_suspect(const struct caml_overhead* o, size_t blocks,
                       uint64_t allocated, intnat percent) {
  uint64_t young = allocated - o->allocated[1];
  size_t in_use = caml_heap_in_use();
  return in_use >= LEAST_WASTE && in_use < CAML_MOST_COMPACTED
    && allocated >= o->allocated[1] && in_use <= o->in_use + o->in_use / 32
    && caml_heap_now() >= o->not_before && may_guess(o, in_use, blocks)
    && too_much(in_use, blocks > young ? blocks - young : 0, percent);
}

static void remember(struct caml_overhead* o, uint64_t allocated) {
  o->allocated[1] = o->allocated[0];
  o->allocated[0] = allocated;
  o->in_use = caml_heap_in_use();
  if (o->first_cycle == 0) o->first_cycle = caml_heap_now();
}

/* The part of a cycle's work that each slice does: half a minor heap is allocated
   from one to the next. */
static double slice_of_hurry(void) {
  size_t between = Bsize_wsize(Caml_state->minor_heap_wsz) / 2;
  double slices =
    (double)caml_heap_in_use() / HURRY_PART / (double)(between + 1);
  if (slices > MOST_SLICES) return 1.0 / MOST_SLICES;
  return slices < 1.0 ? 1.0 : 1.0 / slices;
}

/* Nothing to guess: hardly any block is young.  So it is at the end of
   Gc.full_major. */
static bool is_certain(const struct caml_overhead* o, size_t blocks,
                       uint64_t allocated, intnat percent) {
  size_t in_use = caml_heap_in_use();
  return allocated - o->allocated[1] <= in_use / HURRY_PART
    && too_much(in_use, blocks, percent);
}

static void wait_longer(struct caml_overhead* o, bool in_vain) {
  uint64_t now = caml_heap_now();
  if (!in_vain)
    o->doublings = 0;
  else if (o->doublings < MOST_DOUBLINGS)
    o->doublings++;
  o->not_before = now + ((TIME_PART * (now - o->suspected)) << o->doublings);
}

/* It is known how much is unused. */
static void decide(struct caml_overhead* o, size_t blocks, intnat percent) {
  o->cycles = 0;
  o->hurry = 0.0;
  o->compacting = too_much(caml_heap_in_use(), blocks, percent);
  if (!o->compacting) wait_longer(o, true);
}

/* Begins two cycles that hurry, ends them, or neither.  A cycle of somebody else's,
   or one that may not end with a compaction, is only remembered. */
static void consider(struct caml_overhead* o, intnat percent, bool others) {
  size_t blocks;
  uint64_t allocated;
  bool certain;
  measure(&blocks, &allocated);
  certain = is_certain(o, blocks, allocated, percent);
  if (others) {
    o->cycles = 0;
    o->hurry = 0.0;
  } else if (o->cycles > 0) {
    if (--o->cycles == 0 || certain) decide(o, blocks, percent);
  } else if (is_suspect(o, blocks, allocated, percent)) {
    o->suspected = caml_heap_now();
    o->cycles = 2;
    if (certain) decide(o, blocks, percent);
    else o->hurry = slice_of_hurry();
  }
  remember(o, allocated);
}

void caml_heap_cycle_ended(int asked, bool adopted) {
  struct caml_overhead* o = &caml_heap.overhead;
  intnat percent = caml_heap_knob_get(CAML_KNOB_max_overhead);
  bool others = asked != 0 || atomic_load(&caml_heap.idle.collecting)
    || !adopted || !caml_domain_all_take_part();
  caml_heap.taken_for_marked = caml_compact_takes_for_marked(asked, adopted);
  o->compacting = false;
  if (percent > 0 && percent < NEVER) {
    consider(o, percent, others);
  } else {
    o->cycles = 0;
    o->hurry = 0.0;
    o->suspected = caml_heap_now();
    o->compacting =
      percent == 0 && !others && caml_heap_in_use() < CAML_MOST_COMPACTED;
  }
  o->before = caml_heap_in_use();
  o->began = caml_heap_now();
}

double caml_heap_hurry(intnat howmuch) {
  return howmuch == AUTO_TRIGGERED_MAJOR_SLICE ? caml_heap.overhead.hurry : 0.0;
}

/* A compaction of ours */
static void count(struct caml_overhead* o) {
  struct caml_heap_automatic* a = &caml_heap.automatic;
  size_t after = caml_heap_in_use();
  size_t returned = o->before > after ? o->before - after : 0;
  uint64_t time = caml_heap_now() - o->began;
  o->compacting = false;
  wait_longer(o, returned < o->before / LITTLE_PART);
  atomic_fetch_add(&a->overhead_compactions, 1);
  atomic_fetch_add(&a->overhead_freed, returned);
  atomic_fetch_add(&a->overhead_time, time);
  caml_gc_message(0x10, "Automatic compaction: %zuk of %zuk freed "
                  "in %.1f ms\n", returned >> 10, o->before >> 10,
                  (double)time / 1e6);
}

void caml_overhead_compacted(struct caml_overhead* o) {
  o->in_use = caml_heap_in_use();
  if (o->compacting) count(o);
}

intnat caml_heap_max_overhead(void) {
  return caml_heap_knob_get(CAML_KNOB_max_overhead);
}

void caml_heap_set_max_overhead(intnat percent) {
  char message[CAML_HEAP_KNOB_MESSAGE];
  caml_heap_knob_set(CAML_KNOB_max_overhead,
                     percent > NEVER ? NEVER : percent, message);
}
