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

/* How a major cycle ends; and Gc.compact, without its third major cycle.

   OCaml does three: the rest of the one under way, one that finds all that is
   garbage, and one that sweeps it, marks the whole heap again, and ends with
   the compaction.  Here the second ends with it, and it sweeps; see
   sweeping_compaction.h.  The third is counted as it ends, and its minor
   collections follow: OCaml's own tests want both. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/heap_compaction.h"
#include "caml/heap_domain.h"
#include "caml/heap_evacuation.h"
#include "caml/heap_share.h"
#include "caml/major_gc.h"
#include "caml/minor_gc.h"
#include "heap_collect.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_survey.h"

struct caml_collector caml_collector;

static void note_who_takes_part(void) {
  if (!caml_domain_all_take_part())
    caml_collector.broken_cycles = CAML_BROKEN_CYCLES;
  else if (caml_collector.broken_cycles > 0)
    caml_collector.broken_cycles--;
}

/* What a finaliser is about to get is alive until it is done: the third cycle
   finds what it leaves, as OCaml's does.  Before 5.5 what waits at the end of
   a cycle is alive in the next, whose roots are marked then. */
static void note_finalisers(void) {
  struct caml_collector* c = &caml_collector;
  bool wait = caml_domain_finalisers_wait();
  c->finalisers_wait = wait || (c->finalisers_waited && OCAML_VERSION < 50500);
  c->finalisers_waited = wait;
}

/* A cycle in which the program is let down is not measured: it is run at once,
   or a part of the heap is unknown. */
static bool is_ordinary(enum caml_cycle_request request, bool adopted) {
  return request == CAML_CYCLE_ORDINARY && adopted && caml_heap_is_whole()
    && !atomic_load(&caml_heap_idle.collecting);
}

/* What was asked for, or what too much unused memory calls for */
static enum caml_compaction decide(enum caml_cycle_request request,
                                   bool adopted) {
  if (!adopted || !caml_heap_is_whole()) return CAML_COMPACTION_NONE;
  switch (request) {
    case CAML_CYCLE_COMPACTS: return CAML_COMPACTION_SWEEPS_AVAILABLE;
    case CAML_CYCLE_SWEEPS: return CAML_COMPACTION_SWEEPS_ALL;
    case CAML_CYCLE_MAY_COMPACT:
      if (!caml_collector.finalisers_wait) return CAML_COMPACTION_SWEEPS_ALL;
      break;
    case CAML_CYCLE_PREPARES:
    case CAML_CYCLE_ORDINARY:
      break;
  }
  return caml_collector.overhead.compacting
    ? CAML_COMPACTION_SWEEPS_AVAILABLE : CAML_COMPACTION_NONE;
}

/* The third cycle of Gc.compact counts, but is not run. */
static void skip_third_cycle(void) {
  atomic_store(&caml_collector.third_cycle, false);
  caml_major_cycles_completed++;
}

/* What had been allocated when the compaction began.  While it ends other
   domains write their statistics. */
static struct caml_idle_count allocated;

void caml_heap_decide_compaction(enum caml_cycle_request request,
                                bool adopted) {
  enum caml_compaction compaction;
  caml_share_cycle_ended();
  caml_heap_limit_cycle_ends();
  note_who_takes_part();
  note_finalisers();
  caml_heap_measure_cycle(is_ordinary(request, adopted));
  compaction = decide(request, adopted);
  if (request == CAML_CYCLE_MAY_COMPACT
      && compaction == CAML_COMPACTION_SWEEPS_ALL)
    skip_third_cycle();
  if (compaction == CAML_COMPACTION_NONE) caml_survey_forget_all();
  else allocated = caml_idle_allocated();
  caml_collector.compaction = compaction;
}

enum caml_compaction caml_heap_compaction(enum caml_cycle_request request) {
  (void)request;
  return caml_collector.compaction;
}

#if OCAML_VERSION >= 50200 /* 5.1 does not compact */

atomic_uchar caml_heap_evacuated_pools[CAML_EVACUATED_POOLS];
_Atomic bool caml_heap_surveys_swept;

void caml_heap_survey_next(bool surveys) {
  atomic_store(&caml_heap_surveys_swept, surveys);
}

void caml_heap_note_surveyed(size_t pools) {
  atomic_fetch_add(&caml_collector.automatic.surveyed_pools, pools);
}

/* What is left of the cycle that is saved */
static void do_without_cycle(void) {
  caml_empty_minor_heaps_once();
  caml_empty_minor_heaps_once();
}

/* A pool that is free now will have free ones beside it in the end, to be
   purged with them; and a thread that purges slows down the one that works,
   since each purge interrupts it. */
static void do_cycle(enum caml_cycle_request request) {
  caml_arena_hold_decay(&caml_heap.arena);
  caml_finish_major_cycle((int)request);
  caml_arena_release_decay(&caml_heap.arena);
  caml_heap_finalise_postponed();
}

/* The second cycle may end in a section that another domain has asked for,
   without a compaction: then there is a third. */
void caml_heap_compaction_cycle(int i) {
  static const enum caml_cycle_request requests[] = {
    CAML_CYCLE_PREPARES, CAML_CYCLE_MAY_COMPACT, CAML_CYCLE_SWEEPS
  };
  if (i == 1) atomic_store(&caml_collector.third_cycle, true);
  if (i == 2 && !atomic_load(&caml_collector.third_cycle))
    do_without_cycle();
  else
    do_cycle(requests[i]);
  if (i == 2) caml_heap_trim_malloc();
}

#else

void caml_heap_survey_next(bool surveys) {
  (void)surveys;
}

#endif

/* What any compaction ends with */

void caml_heap_compacted(void) {
  bool left_to_decay = caml_collector.overhead.compacting
    || atomic_load(&caml_heap_idle.compacting); /* which gives back itself */
  caml_heap_note_compaction();
  caml_collector.compaction = CAML_COMPACTION_NONE;
  if (left_to_decay) return;
#if OCAML_VERSION < 50200 /* Not inside a stop-the-world section there */
  allocated = caml_idle_allocated();
#endif
  caml_idle_compacted(&caml_heap_idle, allocated);
  caml_heap_trim();
#if OCAML_VERSION < 50200
  caml_heap_trim_malloc();
#endif
}

bool caml_heap_compactable(void) {
  return true;
}
