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

/* Gc.compact, without its third major cycle.

   OCaml does three: the rest of the one under way, one that finds all that is
   garbage, and one that sweeps it, marks the whole heap again, and ends with
   the compaction.  Here the second ends with it, and it sweeps; see
   heap_evacuate.h.  The third is counted as it ends, and its minor collections
   follow: OCaml's own tests want both. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include "caml/domain.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/minor_gc.h"
#include "caml/shared_heap.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"

/* Arguments of caml_finish_major_cycle.  1 is a compaction of pools that have
   been swept in the cycle. */
#define WITHOUT (-1)
#define UNLESS_FINALISERS_WAIT (-2)
#define SWEEPING 2

/* What a finaliser is about to get is alive until it is done: the third cycle
   finds what it leaves, as OCaml's does.  Before 5.5 what waits at the end of
   a cycle is alive in the next, whose roots are marked then. */
static bool finalisers_wait(void) {
  bool before = caml_collector.finalisers_waited && OCAML_VERSION < 50500;
  caml_collector.finalisers_waited = caml_domain_finalisers_wait();
  return before || caml_collector.finalisers_waited;
}

static enum caml_heap_sweep what_to_sweep(int asked) {
  bool wait = finalisers_wait();
  switch (asked) {
    case 1: return CAML_SWEEP_AVAILABLE;
    case SWEEPING: return CAML_SWEEP_ALL;
    case UNLESS_FINALISERS_WAIT:
      return wait ? CAML_SWEEP_NOTHING : CAML_SWEEP_ALL;
    default: return CAML_SWEEP_NOTHING;
  }
}

void caml_compact_decide(int asked) {
  enum caml_heap_sweep sweep = what_to_sweep(asked);
  if (sweep == CAML_SWEEP_NOTHING && caml_collector.overhead.compacting)
    sweep = CAML_SWEEP_AVAILABLE;
  if (!caml_heap_is_whole()) sweep = CAML_SWEEP_NOTHING;
  if (asked == UNLESS_FINALISERS_WAIT && sweep == CAML_SWEEP_ALL) {
    atomic_store(&caml_collector.third_cycle, false);
    caml_major_cycles_completed++;
  }
  caml_collector.sweep = sweep;
}

enum caml_heap_sweep caml_heap_compaction_sweeps(void) {
  return caml_collector.sweep;
}

bool caml_heap_prepare_compaction(int asked) {
  (void)asked;
  return caml_collector.sweep != CAML_SWEEP_NOTHING;
}

/* OCaml doubles a mark stack that is smaller than one part in 32 of the
   domain's heap, and makes it small again only where a cycle is finished at
   once: one of 2 GiB leaves 64 MiB.  Above one part in 16 the heap was larger
   when the stack grew, unless it is as it was made. */
#define MARK_STACK_PART 16
#define MARK_STACK_LEAST ((uintnat)1 << 12) /* entries; in no header */
#define MARK_STACK_ENTRY (2 * sizeof(value))

bool caml_heap_outgrew(uintnat entries) {
  return entries > MARK_STACK_LEAST && entries * MARK_STACK_ENTRY
    > caml_heap_size(Caml_state->shared_heap) / MARK_STACK_PART;
}

#if OCAML_VERSION >= 50200 /* 5.1 does not compact */

/* What is left of the cycle that is saved */
static void do_without_cycle(void) {
  caml_empty_minor_heaps_once();
  caml_empty_minor_heaps_once();
}

/* The second cycle may end in a section that another domain has asked for,
   without a compaction: then there is a third.  A pool that is free now will
   have free ones beside it in the end, to be purged with them; and a thread
   that purges slows down the one that works, since each purge interrupts it. */
void caml_heap_compaction_cycle(int i) {
  static const int asked[] = { WITHOUT, UNLESS_FINALISERS_WAIT, SWEEPING };
  if (i == 2 && !atomic_load(&caml_collector.third_cycle)) {
    do_without_cycle();
    return;
  }
  if (i == 1) atomic_store(&caml_collector.third_cycle, true);
  caml_arena_hold_decay(&caml_heap.arena);
  caml_finish_major_cycle(asked[i]);
  caml_arena_release_decay(&caml_heap.arena);
  caml_heap_finalise_postponed();
}

#endif

/* What any compaction ends with */

void caml_heap_compacted(void) {
  bool left_to_decay = caml_collector.overhead.compacting
    || atomic_load(&caml_heap_idle.compacting); /* which gives back itself */
  caml_heap_note_compaction();
  caml_collector.sweep = CAML_SWEEP_NOTHING;
  if (left_to_decay) return;
  caml_idle_compacted(&caml_heap_idle);
  caml_heap_give_back(caml_heap_knob_get(CAML_KNOB_compact_purge));
}

bool caml_heap_compactable(void) {
  return true;
}
