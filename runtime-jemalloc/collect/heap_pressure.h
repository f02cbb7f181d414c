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

/* Xpressure: memory is given back when the system says that it is short of it
   (arena/jemalloc_pressure.h).  A thread waits for that, where there is
   somebody who would say so.  It is made once the heap is of some size, and
   wakes up for nothing else.  What is done then: heap_relief.h. */

#ifndef CAML_HEAP_PRESSURE_H
#define CAML_HEAP_PRESSURE_H

#include <stdatomic.h>
#include <stdbool.h>

/* To be called once, before there is a second thread. */
void caml_pressure_init(void);

/* A major cycle has ended with a heap that is worth a thread: it is made by the
   next slice.  By one domain, inside the stop-the-world section, where nobody
   is to wait for it. */
void caml_pressure_ask_for_thread(void);

/* A slice of the major collector begins.  With the domain lock. */
extern _Atomic bool caml_pressure_thread_due;
void caml_pressure_make_thread(void);
static inline void caml_pressure_slice_begins(void) {
  if (atomic_load_explicit(&caml_pressure_thread_due, memory_order_relaxed))
    caml_pressure_make_thread();
}

/* Ends the thread for good, and waits for that. */
void caml_pressure_stop(void);

/* Around a fork; the third instead of the second in the child, which gets a
   thread of its own when one is due. */
void caml_pressure_prefork(void);
void caml_pressure_postfork_parent(void);
void caml_pressure_postfork_child(void);

#endif /* CAML_HEAP_PRESSURE_H */
