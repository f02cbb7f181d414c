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

   How much is unused shows only when garbage is swept, a cycle after it was found,
   and what died since is not found yet.  But if little was marked in the cycle that
   ends, the rest of the heap is garbage or new, and most of that too, it is guessed.
   Then up to two cycles hurry: at the end of the one for which all garbage was found
   before, little having been allocated since, it is known.  OCaml 4 stopped the
   program for these cycles.  After Gc.full_major there is nothing to guess, and it ends
   with the compaction, as in OCaml 4. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "heap_jemalloc.h"

/* space_overhead; in no header */
#if OCAML_VERSION < 50400
extern uintnat caml_percent_free;
#else
extern _Atomic uintnat caml_percent_free;
#endif

/* From the guess to the compaction it takes one part in so much of the time. */
#define TIME_PART 50

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

/* A cycle hurries when too much has seemed to be unused for so long, ns: as freed pages
   stay for the decay by default.  Forked workers, which build what they have dropped
   anew at once, took 3% longer with a cycle that hurried sooner, and were as large. */
#define PATIENCE 1000000000

/* So many cycles hurry at most: after the first all garbage is found, in the second
   swept. */
#define MOST_CYCLES 2

/* Of growing heaps and of steady ones the same part survives from cycle to cycle, give
   or take a tenth, with bench/programs.  It fell to 0.7 of that when their growth ended,
   and when phases overwrote all but a twentieth in the middle of a cycle. */
#define FALL 0.8

/* The heap at the end of a cycle, bytes */
struct measured {
  size_t in_use;
  size_t blocks; /* in blocks, garbage that has not been swept among them */
  size_t marked; /* in blocks marked in the cycle: an estimate */
  size_t young;  /* allocated in the cycle and the one before */
  bool fell;     /* a smaller part was marked than in the cycle before */
};

/* Of what was marked and allocated in the cycle before, a part is marked in this one.
   It falls when a program drops something.  What it overwrites in the middle of a cycle
   stays alive in it, but caml_modify, which marks it, counts nothing: it falls then too.
   [known]: it is, for this cycle. */
static bool survival_fell(struct caml_overhead* o, const struct measured* m,
                          uint64_t allocated, bool known) {
  double survival =
    known && o->begun > 0 ? (double)m->marked / (double)o->begun : 0.0;
  bool fell = known && o->begun >= LEAST_WASTE && survival < FALL * o->survival;
  o->survival = survival < 1.0 ? survival : 1.0;
  o->begun = known ? m->marked + (size_t)allocated : 0;
  return fell;
}

/* Blocks marked in the cycle; SIZE_MAX: not known, since a domain began or ended. */
static size_t take_marks(struct caml_overhead* o) {
  struct caml_marks marks = caml_domain_marks(), before = o->marks;
  o->marks = marks;
  return marks.domains == before.domains && marks.blocks >= before.blocks
    ? marks.blocks - before.blocks : SIZE_MAX;
}

/* Blocks are counted as they are marked, their words are not: so those counted are
   taken to be as large as all in pools are on average, and large ones for marked.
   Unknown ones are all: [marked] is SIZE_MAX. */
static size_t counted_bytes(const struct heap_stats* s, size_t marked) {
  double pools = (double)Bsize_wsize((size_t)s->pool_live_words);
  double count = (double)s->pool_live_blocks;
  double part = (double)marked < count ? (double)marked / count : 1.0;
  return (size_t)(pools * part) + Bsize_wsize((size_t)s->large_words);
}

/* What was marked in the cycle before and not counted: what caml_modify darkened, and
   what is larger than on average.  All that was not marked then, nor allocated since
   it began, has been swept. */
static size_t not_counted(const struct caml_overhead* o, const struct measured* m) {
  return m->blocks > m->young && m->blocks - m->young > o->counted
    ? m->blocks - m->young - o->counted : 0;
}

/* As much is not counted in this cycle as in the two before, at least; in one alone it
   may be what the program overwrites as it drops it. */
static size_t will_not_be_counted(struct caml_overhead* o, const struct measured* m) {
  size_t last = not_counted(o, m), before = o->not_counted;
  o->not_counted = last;
  return last < before ? last : before;
}

/* In a cycle of [others] what survives is not measured: a part of the heap may be
   unknown, and what is dropped is found at once. */
static struct measured measure(struct caml_overhead* o, bool others) {
  struct measured m;
  struct gc_stats s;
  size_t marked = take_marks(o);
  bool known = marked != SIZE_MAX && !others;
  uint64_t allocated;
  caml_compute_gc_stats(&s);
  allocated = Bsize_wsize(s.alloc_stats.major_words);
  if (allocated < o->allocated[0]) allocated = o->allocated[0]; /* seen late */
  m.in_use = caml_heap_in_use();
  m.blocks = counted_bytes(&s.heap_stats, SIZE_MAX);
  m.young = (size_t)(allocated - o->allocated[1]);
  m.marked = will_not_be_counted(o, &m);
  o->counted = counted_bytes(&s.heap_stats, known ? marked : SIZE_MAX);
  m.marked += o->counted;
  if (m.marked > m.blocks) m.marked = m.blocks;
  m.fell = survival_fell(o, &m, allocated - o->allocated[0], known);
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

/* What was allocated in the cycle is taken for garbage; but space_overhead percent
   are what OCaml lets a heap have of that. */
static bool is_suspect(const struct measured* m, intnat percent) {
  return too_much(m->in_use, m->marked,
                  (double)percent + (double)caml_percent_free);
}

/* Nothing to guess: hardly any block is young.  So it is at the end of
   Gc.full_major. */
static bool is_certain(const struct measured* m, intnat percent) {
  return m->young <= m->in_use / HURRY_PART
    && too_much(m->in_use, m->blocks, (double)percent);
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

static void wait_longer(struct caml_overhead* o, bool in_vain) {
  uint64_t now = caml_heap_now();
  if (!in_vain)
    o->doublings = 0;
  else if (o->doublings < MOST_DOUBLINGS)
    o->doublings++;
  o->not_before = now + ((TIME_PART * (now - o->suspected)) << o->doublings);
}

static void stop_hurrying(struct caml_overhead* o) {
  o->cycles = 0;
  o->hurry = 0.0;
}

static void hurry(struct caml_overhead* o) {
  o->cycles++;
  o->hurry = slice_of_hurry();
}

/* It is known how much is unused.  What the sweep has freed by now is a gain too. */
static void decide(struct caml_overhead* o, const struct measured* m, intnat percent) {
  stop_hurrying(o);
  o->compacting = too_much(m->in_use, m->blocks, (double)percent);
  if (!o->compacting)
    wait_longer(o, m->in_use > o->suspicious - o->suspicious / LITTLE_PART);
}

static bool may_compact(const struct caml_overhead* o) {
  return caml_heap_now() >= o->not_before;
}

/* Has too much seemed to be unused for long, since the beginning of the first cycle in
   which it did? */
static bool is_for_long(struct caml_overhead* o, bool seems) {
  if (!seems) o->seems_since = 0;
  else if (o->seems_since == 0) o->seems_since = o->began;
  return seems && caml_heap_now() - o->seems_since >= PATIENCE;
}

/* A cycle of somebody else's, or one that may not end with a compaction, is only
   measured. */
static void consider(struct caml_overhead* o, intnat percent, bool others) {
  struct measured m = measure(o, others);
  bool certain = is_certain(&m, percent), suspect = is_suspect(&m, percent);
  bool for_long = is_for_long(o, !others && (suspect || m.fell));
  if (others) {
    stop_hurrying(o);
  } else if (o->cycles > 0) {
    if (suspect && !certain && o->cycles < MOST_CYCLES) hurry(o);
    else decide(o, &m, percent);
  } else if ((certain || for_long) && may_compact(o)) {
    o->suspected = caml_heap_now();
    o->suspicious = m.in_use;
    if (certain) decide(o, &m, percent);
    else hurry(o);
  }
}

static void note_who_takes_part(void) {
  if (!caml_domain_all_take_part())
    caml_heap.broken_cycles = CAML_BROKEN_CYCLES;
  else if (caml_heap.broken_cycles > 0)
    caml_heap.broken_cycles--;
}

void caml_heap_cycle_ended(int asked, bool adopted) {
  struct caml_overhead* o = &caml_heap.overhead;
  intnat percent = caml_heap_knob_get(CAML_KNOB_max_overhead);
  bool others;
  note_who_takes_part();
  others = asked != 0 || atomic_load(&caml_heap.idle.collecting)
    || !adopted || !caml_heap_is_whole();
  o->compacting = false;
  if (percent > 0 && percent < CAML_OVERHEAD_NEVER) {
    consider(o, percent, others);
  } else {
    stop_hurrying(o);
    o->suspected = caml_heap_now();
    o->compacting = percent == 0 && !others;
  }
  caml_compact_decide(asked);
  o->before = caml_heap_in_use();
  o->began = caml_heap_now();
}

double caml_heap_hurry(intnat howmuch) {
  caml_background_poll(&caml_heap.background);
  caml_heap_tell_refused_threads();
  caml_heap_finalise_some();
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
  if (o->compacting) count(o);
}

intnat caml_heap_max_overhead(void) {
  return caml_heap_knob_get(CAML_KNOB_max_overhead);
}

void caml_heap_set_max_overhead(intnat percent) {
  char message[CAML_HEAP_KNOB_MESSAGE];
  caml_heap_knob_set(CAML_KNOB_max_overhead,
                     percent > CAML_OVERHEAD_NEVER ? CAML_OVERHEAD_NEVER : percent, message);
}
