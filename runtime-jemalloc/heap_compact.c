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

/* Gc.compact, whose third major cycle marks nothing.

   OCaml does three: the rest of the one under way, one that finds all that is
   garbage, and one that sweeps it, which marks the whole heap again.  But what the
   second has not found to be garbage is alive, and all that is allocated from then on
   is new: the third takes both for marked. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/shared_heap.h"
#include "heap_jemalloc.h"

/* Among the arguments of caml_finish_major_cycle: the next ends with a compaction. */
#define BEFORE_THE_LAST (-2)

/* Alone: between two cycles of one domain's Gc.compact no other can begin one, which
   would need what the next cycle does not do.  From 5.5 on a cycle allocates blocks
   that are not marked before it begins to mark, and would not find what is reached
   from blocks taken for marked alone. */
bool caml_compact_takes_for_marked(int asked, bool adopted) {
  return OCAML_VERSION < 50500 && asked == BEFORE_THE_LAST && adopted
    && caml_heap_is_whole() && caml_domain_alone();
}

#if OCAML_VERSION >= 50200 /* 5.1 does not compact */

/* A pool that is free now will have free ones beside it in the end, to be purged with
   them; and a thread that purges slows down the one that works, since each purge
   interrupts it. */
void caml_heap_compaction_cycle(int i) {
  static const int asked[] = { -1, BEFORE_THE_LAST, 1 };
  caml_arena_hold_decay(&caml_heap.arena);
  caml_finish_major_cycle(asked[i]);
  caml_arena_release_decay(&caml_heap.arena);
}

/* The marking that is saved counts as done, so that the next cycle begins when OCaml's
   would. */
static void keep_pace(void) {
#if OCAML_VERSION < 50500
  struct heap_stats s;
  caml_collect_heap_stats_sample(Caml_state->shared_heap, &s);
  Caml_state->major_work_done_between_slices +=
    s.pool_live_words + s.large_words;
#endif
}

/* At the beginning of a cycle, the garbage of the last not yet swept */
static void take_for_marked(void) {
  struct global_heap_state* state = &caml_global_heap_state;
  status alive = state->UNMARKED;
  state->UNMARKED = state->MARKED;
  state->MARKED = alive;
  keep_pace();
}

bool caml_heap_prepare_compaction(int asked) {
  if (caml_heap.taken_for_marked) take_for_marked();
  return (asked > 0 || caml_heap.overhead.compacting) && caml_heap_is_whole();
}

#endif
