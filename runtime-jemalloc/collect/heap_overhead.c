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

/* Xmax_overhead: a major cycle ends with a compaction when too much of the
   memory of the heap is unused.

   How much is unused shows only when garbage is swept, a cycle after it was
   found, and what died since is not found yet.  But if little was marked in
   the cycle that ends, the rest of the heap is garbage or new, and most of
   that too, it is guessed.  Then up to two cycles are accelerated: at the end
   of the one for which all garbage was found before, little having been
   allocated since, it is known.  OCaml 4 stopped the program for these cycles.
   After Gc.full_major there is nothing to guess, and it ends with the
   compaction, as in OCaml 4. */

#include "heap_overhead.h"

/* From the guess to the compaction it takes one part in so much of the time. */
#define TIME_PART 50

/* Less than this is not worth a compaction, bytes. */
#define LEAST_WASTE ((size_t)4 << 20)

/* One that returns less than one part in so much of what the heap took, and a
   guess that was wrong, make the next wait twice as long, up to so many
   times. */
#define LITTLE_PART 8
#define MOST_DOUBLINGS 10

/* An accelerated cycle lets the program allocate one part in so much of the
   heap, in no more slices than this. */
#define ACCELERATED_PART 32
#define MOST_SLICES 64

/* A cycle is accelerated when too much has seemed to be unused for so long, ns:
   as freed pages stay for the decay by default.  Forked workers, which build
   what they have dropped anew at once, took 3% longer with one accelerated
   sooner, and were as large. */
#define PATIENCE 1000000000

/* So many cycles are accelerated at most: after the first all garbage is found,
   in the second swept. */
#define MOST_CYCLES 2

/* Of growing heaps and of steady ones the same part survives from cycle to
   cycle, give or take a tenth, with bench/programs.  It fell to 0.7 of that
   when their growth ended, and when phases overwrote all but a twentieth in
   the middle of a cycle. */
#define FALL 0.8

/* A compaction reads what lives, and walks through the pools: that takes as
   long as one part in so many. */
#define WALKED_PART 16

/* What it takes until one has been seen, ns a byte read: small blocks that
   point to each other at random (CPU time on OCaml 5.3.0: 47 ms with 15 MB
   alive in 330, 49 with 5 in 200, 205 with 51 in 152: 1.3 to 3.4) */
#define STOP 2.0

/* What is made of the measures of a cycle, bytes */
struct estimate {
  size_t in_use;
  size_t blocks; /* in blocks, garbage that has not been swept among them */
  size_t marked; /* in blocks marked in the cycle */
  size_t young;  /* allocated in the cycle and the one before */
  bool fell;     /* a smaller part was marked than in the cycle before */
};

/* Of what was marked and allocated in the cycle before, a part is marked in
   this one.  It falls when a program drops something.  What it overwrites in
   the middle of a cycle stays alive in it, but caml_modify, which marks it,
   counts nothing: it falls then too.  [known]: it is, for this cycle. */
static double survival(const struct caml_overhead* o, size_t marked,
                       bool known) {
  return known && o->begun > 0 ? (double)marked / (double)o->begun : 0.0;
}

static bool survival_fell(const struct caml_overhead* o, size_t marked,
                          bool known) {
  return known && o->begun >= LEAST_WASTE
    && survival(o, marked, known) < FALL * o->survival;
}

static void note_survival(struct caml_overhead* o, size_t marked,
                          uint64_t allocated, bool known) {
  double part = survival(o, marked, known);
  o->survival = part < 1.0 ? part : 1.0;
  o->begun = known ? marked + (size_t)allocated : 0;
}

/* What was marked in the cycle before and not counted: what caml_modify
   darkened, and what is larger than on average.  All that was not marked then,
   nor allocated since it began, has been swept. */
static size_t not_counted(const struct caml_overhead* o,
                          const struct estimate* m) {
  return m->blocks > m->young && m->blocks - m->young > o->counted
    ? m->blocks - m->young - o->counted : 0;
}

/* As much is not counted in this cycle as in the two before, at least; in one
   alone it may be what the program overwrites as it drops it. */
static size_t will_not_be_counted(const struct caml_overhead* o,
                                  const struct estimate* m) {
  size_t last = not_counted(o, m);
  return last < o->not_counted ? last : o->not_counted;
}

/* In a cycle of [others] what survives is not measured: a part of the heap may
   be unknown, and what is dropped is found at once. */
static struct estimate estimate(struct caml_overhead* o, bool others,
                                const struct caml_overhead_measures* measures) {
  struct estimate m = {
    .in_use = measures->in_use, .blocks = measures->blocks
  };
  bool known = measures->known && !others;
  uint64_t allocated = measures->allocated;
  if (allocated < o->allocated[0]) allocated = o->allocated[0]; /* seen late */
  m.young = (size_t)(allocated - o->allocated[1]);
  m.marked = will_not_be_counted(o, &m);
  o->not_counted = not_counted(o, &m);
  o->counted = known ? measures->counted : measures->blocks;
  m.marked += o->counted;
  if (m.marked > m.blocks) m.marked = m.blocks;
  m.fell = survival_fell(o, m.marked, known);
  note_survival(o, m.marked, allocated - o->allocated[0], known);
  o->allocated[1] = o->allocated[0];
  o->allocated[0] = allocated;
  return m;
}

/* Free pages are not counted: the decay takes them, and a compaction would not
   bring more. */
static bool too_much(size_t in_use, size_t blocks, double percent) {
  size_t waste = in_use > blocks ? in_use - blocks : 0;
  return waste >= LEAST_WASTE
    && 100.0 * (double)waste > percent * (double)blocks;
}

/* What was allocated in the cycle is taken for garbage; but space_overhead
   percent are what OCaml lets a heap have of that. */
static bool is_suspect(const struct estimate* m,
                       const struct caml_overhead_cycle* c) {
  return too_much(m->in_use, m->marked,
                  (double)c->max_overhead + (double)c->space_overhead);
}

/* Nothing to guess: hardly any block is young.  So it is at the end of
   Gc.full_major. */
static bool is_certain(const struct estimate* m,
                       const struct caml_overhead_cycle* c) {
  return m->young <= m->in_use / ACCELERATED_PART
    && too_much(m->in_use, m->blocks, (double)c->max_overhead);
}

/* The part of a cycle's work that each slice does */
static double accelerated_slice(size_t in_use, size_t between) {
  double slices = (double)in_use / ACCELERATED_PART / (double)(between + 1);
  if (slices > MOST_SLICES) return 1.0 / MOST_SLICES;
  return slices < 1.0 ? 1.0 : 1.0 / slices;
}

static void suspect(struct caml_overhead* o,
                    const struct caml_overhead_clock* clock,
                    size_t in_use) {
  o->suspected = clock->now();
  o->busy = clock->busy();
  o->suspicious = in_use;
}

/* How long the program has worked since it was [now], and had worked for
   [busy]: in the collector and beside it, not while it was blocked or stopped.
   Several domains that work at once count once. */
static uint64_t worked_since(const struct caml_overhead_clock* clock,
                             uint64_t now, uint64_t busy) {
  uint64_t passed = clock->now() - now, worked = clock->busy() - busy;
  return worked < passed ? worked : passed;
}

static uint64_t cost(const struct caml_overhead* o,
                     const struct caml_overhead_clock* clock) {
  return worked_since(clock, o->suspected, o->busy);
}

static void wait_longer(struct caml_overhead* o,
                        const struct caml_overhead_clock* clock,
                        bool in_vain) {
  if (!in_vain)
    o->doublings = 0;
  else if (o->doublings < MOST_DOUBLINGS)
    o->doublings++;
  o->not_before = clock->now() + ((TIME_PART * cost(o, clock)) << o->doublings);
}

static void stop_accelerating(struct caml_overhead* o) {
  o->cycles = 0;
  o->least_slice = 0.0;
}

static void accelerate(struct caml_overhead* o, const struct estimate* m,
                       const struct caml_overhead_cycle* c) {
  o->cycles++;
  o->least_slice = accelerated_slice(m->in_use, c->between);
}

/* Of a heap with so much in blocks that live */
static size_t reads(size_t in_use, size_t live) {
  return live + in_use / WALKED_PART;
}

static bool is_short(const struct caml_overhead* o,
                     const struct caml_overhead_cycle* c, size_t in_use,
                     size_t live) {
  double stop = o->stop > 0.0 ? o->stop : STOP;
  return stop * (double)reads(in_use, live) <= (double)c->most_stop;
}

/* One that was longer than was thought tells at once, a shorter one by half. */
static void note_stop(struct caml_overhead* o, uint64_t ns) {
  double stop = (double)ns / (double)(o->reads + 1);
  double before = o->stop > 0.0 ? o->stop : STOP;
  o->stop = stop > before ? stop : (before + stop) / 2;
}

static void begin_compaction(struct caml_overhead* o,
                             const struct caml_overhead_clock* clock,
                             size_t in_use, size_t live) {
  o->compacting = true;
  o->decided = clock->now();
  o->decided_busy = clock->busy();
  o->before = in_use;
  o->reads = reads(in_use, live);
}

/* It is known how much is unused.  What the sweep has freed by now is a gain
   too. */
static void decide(struct caml_overhead* o,
                   const struct caml_overhead_clock* clock,
                   const struct estimate* m,
                   const struct caml_overhead_cycle* c) {
  stop_accelerating(o);
  if (!too_much(m->in_use, m->blocks, (double)c->max_overhead))
    wait_longer(o, clock,
                m->in_use > o->suspicious - o->suspicious / LITTLE_PART);
  else if (is_short(o, c, m->in_use, m->blocks))
    begin_compaction(o, clock, m->in_use, m->blocks);
  else
    wait_longer(o, clock, true);
}

/* Since when has too much seemed to be unused?  From the beginning of the first
   cycle in which it did; 0 if it does not. */
static uint64_t seems_since(const struct caml_overhead* o, uint64_t now,
                            bool seems) {
  if (!seems) return 0;
  if (o->seems_since != 0) return o->seems_since;
  return o->ended != 0 ? o->ended : now;
}

static bool is_for_long(const struct caml_overhead* o, uint64_t now) {
  return o->seems_since != 0 && now - o->seems_since >= PATIENCE;
}

/* A cycle of somebody else's, or one that may not end with a compaction, is
   only measured. */
static void consider(struct caml_overhead* o,
                     const struct caml_overhead_clock* clock,
                     const struct caml_overhead_cycle* c,
                     const struct estimate* m) {
  uint64_t now = clock->now();
  bool certain = is_certain(m, c), seems = is_suspect(m, c);
  o->seems_since = seems_since(o, now, !c->others && (seems || m->fell));
  if (c->others) {
    stop_accelerating(o);
  } else if (o->cycles > 0) {
    if (seems && !certain && o->cycles < MOST_CYCLES)
      accelerate(o, m, c);
    else decide(o, clock, m, c);
  } else if ((certain || is_for_long(o, now)) && now >= o->not_before
             && is_short(o, c, m->in_use, m->marked)) {
    suspect(o, clock, m->in_use);
    if (certain) decide(o, clock, m, c);
    else accelerate(o, m, c);
  }
  o->ended = now;
}

bool caml_overhead_is_small(const struct caml_overhead* o, size_t in_use) {
  return in_use < LEAST_WASTE && o->cycles == 0;
}

void caml_overhead_skip(struct caml_overhead* o) {
  stop_accelerating(o);
  o->compacting = false;
  o->counted = o->not_counted = o->begun = 0;
  o->seems_since = o->ended = 0;
}

void caml_overhead_cycle_ended(struct caml_overhead* o,
                               const struct caml_overhead_clock* clock,
                               const struct caml_overhead_cycle* cycle,
                               const struct caml_overhead_measures* measures) {
  struct estimate m = estimate(o, cycle->others, measures);
  o->compacting = false;
  consider(o, clock, cycle, &m);
}

void caml_overhead_compact(struct caml_overhead* o,
                           const struct caml_overhead_clock* clock,
                           size_t in_use) {
  suspect(o, clock, in_use);
  begin_compaction(o, clock, in_use, in_use);
}

void caml_overhead_compacted(struct caml_overhead* o,
                             const struct caml_overhead_clock* clock,
                             size_t returned) {
  o->compacting = false;
  note_stop(o, worked_since(clock, o->decided, o->decided_busy));
  wait_longer(o, clock, returned < o->before / LITTLE_PART);
}
