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

/* How much of its major slices' work a program has done for it while it waits
   between two pieces of its own work: what the next slice is expected to owe,
   by the last one, and no more, so that cycles follow each other as they would
   without.  Apart from what does it (heap_idle_collect.c); without a clock, and
   nothing of OCaml's is in here.

   Whoever has no gaps is asked about ever fewer of its slices.

   Work is in words, as the collector counts it. */

#ifndef CAML_HEAP_AHEAD_POLICY_H
#define CAML_HEAP_AHEAD_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zeros: no slice was seen yet. */
struct caml_ahead_policy {
  _Atomic intptr_t words;  /* that may be done before the next slice */
  _Atomic int let_pass;    /* slices that nothing is done ahead of */
  unsigned failures;       /* in a row: no gap was found; of one thread */
};

/* A slice of the program's begins: [work] is what the program has allocated
   since the last calls for, [owed] how much of that and of what was left is
   still to be done; negative: how much has been done ahead.  From any
   thread. */
void caml_ahead_slice(struct caml_ahead_policy* policy, intptr_t work,
                      intptr_t owed);

/* Is there enough to do that a thread is worth waking up for?  From any
   thread. */
static inline bool caml_ahead_is_wanted(const struct caml_ahead_policy* policy)
{
  return atomic_load_explicit(&policy->words, memory_order_relaxed) > 0;
}

/* [words] were done; all that can be was.  From any thread. */
void caml_ahead_done(struct caml_ahead_policy* policy, intptr_t words);
void caml_ahead_all_done(struct caml_ahead_policy* policy);

/* A gap was waited for.  From one thread. */
void caml_ahead_tried(struct caml_ahead_policy* policy, bool found);

#endif /* CAML_HEAP_AHEAD_POLICY_H */
