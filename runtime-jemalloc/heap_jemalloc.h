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


/* The one heap of the process, on its jemalloc arena. */

#ifndef CAML_HEAP_JEMALLOC_H
#define CAML_HEAP_JEMALLOC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/memory.h"
#include "caml/misc.h"
#include "caml/version.h"
#include "heap_idle.h"
#include "heap_knobs.h"
#include "heap_overhead.h"
#include "heap_statistics.h"
#include "jemalloc_arena.h"
#include "jemalloc_background.h"

struct caml_heap {
  struct caml_arena arena;
  struct caml_background background;
  struct caml_heap_in_use in_use;
  struct caml_idle idle;
  struct caml_overhead overhead;
  struct caml_marks marks; /* at the end of the last cycle; see heap_cycle.c */
  unsigned broken_cycles; /* until all of the heap is known; see
                             caml_heap_is_whole */
  enum caml_heap_sweep sweep; /* in the compaction under way */
  bool finalisers_waited; /* at the end of the last cycle */
  _Atomic bool third_cycle; /* The second of Gc.compact has not compacted. */
  struct caml_heap_automatic automatic;
  pthread_mutex_t limit_lock; /* see heap_limit.c; taken before all others but
                                 idle's */
  _Atomic bool ready; /* there is an arena */
};

extern struct caml_heap caml_heap;

#define NS_PER_MS 1000000ull

/* Bytes in pools and large blocks.  From any thread. */
static inline size_t caml_heap_in_use(void) {
  return atomic_load(&caml_heap.in_use.pools)
    + atomic_load(&caml_heap.in_use.large);
}

/* [caml_heap_try_alloc] but for the pages. */
value* caml_heap_alloc_in_limit(struct caml_heap_state* heap, mlsize_t wosize,
                                tag_t tag, reserved_t reserved
                                CAML_HEAP_PINNED_PARAMETER);

/* How often a thread of the runtime's could not be made; the other says so on
   stderr, once, under OCAMLRUNPARAM=v=.  From any thread. */
size_t caml_heap_refused_threads(void);
void caml_heap_tell_refused_threads(void);

/* A pool was taken, which a limit does not prevent: see caml_heap_check_limit.
   By a domain's thread. */
void caml_heap_note_limit(void);

/* Gives unused pages back, or leaves them to the decay.  Waits for a purge that
   is under way.  False if jemalloc refused.  From any thread. */
bool caml_heap_give_back(enum caml_compact_purge how);

/* A domain that leaves the stop-the-world sections before its heap is
   another's, as it does before OCaml 5.4, has what was garbage meanwhile taken
   for alive, whose fields may dangle, for two cycles. */
#if OCAML_VERSION < 50400
#define CAML_BROKEN_CYCLES 3
#else
#define CAML_BROKEN_CYCLES 1
#endif

/* Is all of the heap known, so that blocks may move?  Inside the
   stop-the-world section at the end of a cycle. */
static inline bool caml_heap_is_whole(void) {
  return caml_heap.broken_cycles == 0;
}

/* Decides how the cycle ends, until caml_heap_compacted.  Called by
   caml_heap_cycle_ended, with its argument. */
void caml_compact_decide(int asked);

/* A compaction has ended, ours or another.  What ours freed is left to the
   decay, which does not stop the program. */
void caml_heap_note_compaction(void);

/* Finalises the custom blocks for which [caml_heap_finalise] has left that to
   the program's own threads, unless it is called by another: all of them, or
   as many as take a millisecond.  Where no lock is held that a finaliser may
   want. */
void caml_heap_finalise_postponed(void);
void caml_heap_finalise_some(void);

/* Around a fork; the third instead of the second in the child. */
void caml_heap_finalise_prefork(void);
void caml_heap_finalise_postfork_parent(void);
void caml_heap_finalise_postfork_child(void);

/* The rest of the major cycle under way, at once; and a compaction, where
   OCaml has one. */
static inline void caml_heap_finish_cycle(bool compact) {
#if OCAML_VERSION < 50200
  (void)compact;
  caml_finish_major_cycle();
#else
  caml_finish_major_cycle(compact);
#endif
}

/* After a cycle that nobody's allocation called for: the next begins when it
   would have without, instead of a cycle's worth of allocation later. */
static inline void caml_heap_reset_pacing(void) {
#if OCAML_VERSION < 50500
  caml_reset_major_pacing();
#else
  caml_reset_major_pacing(true);
#endif
}

/* Xheap_stats: prints the statistics if there is a heap. */
void caml_heap_print_statistics(void);

#endif /* CAML_HEAP_JEMALLOC_H */
