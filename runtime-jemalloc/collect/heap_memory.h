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

/* It has ended.  Nothing happens if it did not begin so. */
void caml_memory_slice_ends(void);

/* Are cycles to be measured? */
bool caml_memory_is_limited(void);

/* A cycle has ended, [may_compact] with a compaction.  Is it to?  By one
   domain, inside the stop-the-world section. */
bool caml_memory_cycle_ended(const struct caml_overhead_measures* measures,
                             bool may_compact);

/* A block of [size] bytes is about to be allocated.  Gives free pages back if
   there is no room else.  Should garbage be collected, too?  Then the second is
   to be told how long that took, ns. */
bool caml_memory_wants_room(size_t size);
void caml_memory_made_room(uint64_t ns);

/* Does what lives not fit, for so long that the program is to be told?  The
   second looks again, when all has been done: is there room now?  The third
   ends it: if the program gets [Out_of_memory], with a report the first
   time. */
bool caml_memory_is_exhausted(void);
bool caml_memory_fits(void);
void caml_memory_told(bool out_of_memory);

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
