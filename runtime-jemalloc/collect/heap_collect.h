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

/* Collections and compactions that happen by themselves: what their parts know
   of each other. */

#ifndef CAML_HEAP_COLLECT_H
#define CAML_HEAP_COLLECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "caml/heap_compaction.h"
#include "caml/heap_domain.h"
#include "caml/version.h"
#include "heap_automatic.h"
#include "heap_overhead.h"

/* space_overhead; in no header */
#if OCAML_VERSION < 50400
extern uintnat caml_percent_free;
#else
extern _Atomic uintnat caml_percent_free;
#endif

struct caml_collector {
  struct caml_overhead overhead;
  struct caml_marks marks; /* at the end of the last cycle; see heap_cycle.c */
  unsigned broken_cycles; /* until all of the heap is known; see
                             caml_heap_is_whole */
  enum caml_compaction compaction; /* under way; else none */
  bool finalisers_waited; /* at the end of the last cycle */
  bool finalisers_wait;   /* or what they are to get is still marked */
  _Atomic bool third_cycle; /* The second of Gc.compact has not compacted. */
  struct caml_heap_automatic automatic;
};

extern struct caml_collector caml_collector;

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
  return caml_collector.broken_cycles == 0;
}

/* Is a compaction due since too much of the heap is unused?  Then
   [overhead.compacting] is set.  [ordinary]: the cycle was run at the pace of
   allocation, and all of the heap is known.  By one domain, inside the
   stop-the-world section at the end of a cycle. */
void caml_heap_measure_cycle(bool ordinary);

/* Shall the next cycle's sweep survey the heap, since that cycle may end with a
   compaction?  By one domain, there too. */
void caml_heap_survey_next(bool surveys);

/* A compaction has ended, ours or another.  What ours freed is left to the
   decay, which does not stop the program. */
void caml_heap_note_compaction(void);

/* Finalises the custom blocks for which [caml_heap_finalise] has left that to
   the program's own threads, unless it is called by another: all of them, or
   as many as take a millisecond.  Where no lock is held that a finaliser may
   want. */
void caml_heap_finalise_postponed(void);
void caml_heap_finalise_some(void);

/* Are there any?  From any thread. */
bool caml_heap_has_postponed(void);

/* Around a fork; the third instead of the second in the child. */
void caml_heap_finalise_prefork(void);
void caml_heap_finalise_postfork_parent(void);
void caml_heap_finalise_postfork_child(void);

#endif /* CAML_HEAP_COLLECT_H */
