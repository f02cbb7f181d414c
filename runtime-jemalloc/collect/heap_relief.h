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

/* What is done when the system is short of memory, apart from who hears of it
   (heap_pressure.h): free pages go back at once; then garbage is collected and
   the heap compacted, by whoever takes that upon itself first: the thread of an
   idle program, or the program at its next safe point.  How often:
   heap_pressure_policy.h.

   From any thread, but for what is said otherwise. */

#ifndef CAML_HEAP_RELIEF_H
#define CAML_HEAP_RELIEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be called once, before there is a second thread. */
void caml_relief_init(void);

/* Memory is short: gives free pages back, and says that garbage waits.  False
   if nothing is to be done now. */
bool caml_relief_begin(void);

/* Does garbage wait?  The second says so to the first who asks, who is to
   collect it; then the third is to be called.  The fourth is called instead of
   both by the thread of an idle program, which has collected it in [ns]: there
   the program may still do it instead. */
bool caml_relief_waits(void);
bool caml_relief_take(void);
void caml_relief_end(void);
void caml_relief_done(uint64_t ns);

/* How often it has begun */
size_t caml_relief_count(void);

/* Around a fork; the third instead of the second in the child, where nothing
   has begun. */
void caml_relief_prefork(void);
void caml_relief_postfork_parent(void);
void caml_relief_postfork_child(void);

#endif /* CAML_HEAP_RELIEF_H */
