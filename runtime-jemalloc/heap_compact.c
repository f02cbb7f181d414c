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

/* Gc.compact, in two major cycles.

   OCaml does three: the rest of the one under way, one that finds all that is
   garbage, and one that sweeps it, which marks the whole heap again.  Here the second
   sweeps what it has found itself, when it has ended, and then compacts. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it, and limits.h */
#include <limits.h>
#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/runtime_events.h"
#include "caml/shared_heap.h"
#include "heap_jemalloc.h"

#if OCAML_VERSION >= 50200 /* 5.1 does not compact */

/* A pool that is free now will have free ones beside it in the end, to be purged with
   them; and a thread that purges slows down the one that works, since each purge
   interrupts it. */
int caml_heap_compaction_cycle(int i) {
  caml_arena_hold_decay(&caml_heap.arena);
  caml_finish_major_cycle(i == 0 ? -1 : 1);
  caml_arena_release_decay(&caml_heap.arena);
  return i == 0 ? 0 : 2;
}

/* What the cycle that is saved would have done counts as done, so that the next one
   begins when OCaml's would.  From 5.5 on [Gc.compact] sets the pace anew. */
static void keep_pace(intnat swept) {
#if OCAML_VERSION < 50500
  struct heap_stats s;
  caml_collect_heap_stats_sample(Caml_state->shared_heap, &s);
  Caml_state->major_work_done_between_slices +=
    swept + s.pool_live_words + s.large_words;
#else
  (void)swept;
#endif
}

/* The heap of the domain, which is as at the beginning of a cycle, and is again so
   afterwards, but without garbage */
static void sweep(struct caml_heap_state* heap) {
  intnat left;
  CAML_EV_BEGIN(EV_MAJOR_SWEEP);
  left = caml_sweep(heap, Max_long);
  CAMLassert(left > 0);
  caml_cycle_heap(heap);
  keep_pace(Max_long - left);
  CAML_EV_END(EV_MAJOR_SWEEP);
}

/* The idle thread has swept, slice by slice. */
bool caml_heap_prepare_compaction(int asked) {
  if (asked > 0 && !atomic_load(&caml_heap.idle.compacting))
    sweep(Caml_state->shared_heap);
  return asked > 0 || caml_heap.overhead.compacting;
}

#endif
