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

/* Xmemory_limit: how much memory the process takes, of how much it may, and
   what is done about it.  What is to be done heap_memory_policy.h decides. */

#ifndef CAML_HEAP_MEMORY_H
#define CAML_HEAP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include "caml/config.h"
#include "heap_memory_policy.h"
#include "heap_memory_state.h"
#include "heap_overhead.h"

/* To be called once, before there is a second thread. */
void caml_memory_init(void);

/* A slice begins on the program's own account.  Returns the part of the heap's
   work, 0 to 1, that a cycle's budget asks for; of that of the domain it may be
   more.  Gives free pages back.  With the domain lock. */
double caml_memory_slice_begins(void);

/* A slice begins whose work is fixed: [Gc.major_slice] with a number, or one of
   a domain that waits for another.  What the domain has allocated counts for
   the next slice of any domain that begins as above.  With the domain lock. */
void caml_memory_other_slice_begins(void);

/* The first has ended.  Nothing happens if it did not begin so. */
void caml_memory_slice_ends(void);

/* Ends the cycle if it goes on though all work that the limit asks for was
   done.  By a domain, at a safe point. */
void caml_memory_end_late_cycle(void);

/* Is a slice to look at the process, since the heap has grown without one?
   Then the caller, a domain at a safe point, is the one to do it. */
bool caml_memory_wants_slice(void);

/* Are cycles to be measured?  The second: of a small heap, too, since the
   process is near its limit. */
bool caml_memory_is_limited(void);
bool caml_memory_is_near(void);

/* A cycle has ended, [may_compact] with a compaction.  Is it to?  By one
   domain, inside the stop-the-world section. */
bool caml_memory_cycle_ended(const struct caml_overhead_measures* measures,
                             bool may_compact);

/* A block of [size] bytes is about to be allocated.  Gives free pages back if
   there is no room else.  Should garbage be collected, too?  Then the second is
   to be told how long that took, ns. */
bool caml_memory_wants_room(size_t size);
void caml_memory_made_room(uint64_t ns);

/* Does what lives not fit, for so long that the program is to be told?  Says so
   to the first domain that asks, which does what can be done and then calls one
   of the last two.  The second looks again: is there room now?  The third ends
   it: if the domain gets [Out_of_memory], with a report the first time.  The
   fourth leaves it to the next safe point of any domain. */
bool caml_memory_take_exhausted(void);
bool caml_memory_fits(void);
void caml_memory_told(bool out_of_memory);
void caml_memory_put_back(void);

/* What the process takes, and its limits: looked at now if [now], else when it
   last was.  No limits if none are kept.  From any thread. */
void caml_memory_state(bool now, struct caml_memory_state* state);

/* A knob has changed. */
void caml_memory_look_again(void);

/* Around a fork; the third instead of the second in the child, which counts for
   itself. */
void caml_memory_prefork(void);
void caml_memory_postfork_parent(void);
void caml_memory_postfork_child(void);

#endif /* CAML_HEAP_MEMORY_H */
