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

/* A slice on behalf of a domain whose own threads are all in blocking sections
   can be interrupted: one of them that is back waits for the slice to look
   here, not for its end.  Included by major_gc.c, which asks before each chunk
   of work; any other slice pays for two loads and comparisons there. */

#ifndef CAML_HEAP_INTERRUPT_H
#define CAML_HEAP_INTERRUPT_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include <stddef.h>
#include "camlatomic.h"
#include "mlvalues.h"
#include "heap_config.h"

#ifdef CAML_HEAP_JEMALLOC

/* The domain for which such a slice is under way, by its state; NULL: none.
   Written by the thread that does it. */
extern caml_domain_state* _Atomic caml_heap_interruptible_slice;

/* Is somebody waiting for it to end?  By that thread, in that slice, where all
   is consistent. */
bool caml_heap_poll(void);

/* Notes that the slice did [words] of work between two looks. */
void caml_heap_note_chunk(uintnat words);

/* An ordinary slice begins: [work] is called for by what was allocated since
   the last, [owed] is to be done now.  By its thread. */
void caml_heap_slice_owes(intnat work, intnat owed);

/* Is the slice that the calling thread does one of these?  That no other thread
   writes its own domain's state there makes relaxed enough. */
static inline bool caml_heap_interruptible(void) {
  return atomic_load_explicit(&caml_heap_interruptible_slice,
                              memory_order_relaxed) == Caml_state;
}

#else

static inline bool caml_heap_poll(void) {
  return false;
}

static inline void caml_heap_note_chunk(uintnat words) {
  (void)words;
}

static inline void caml_heap_slice_owes(intnat work, intnat owed) {
  (void)work;
  (void)owed;
}

static inline bool caml_heap_interruptible(void) {
  return false;
}

#endif

/* Words of work between two looks: of an ordinary slice, [words].  Marking
   4096 in a heap that is in no cache takes up to 0.7 ms. */
static inline intnat caml_heap_chunk(intnat words) {
  return caml_heap_interruptible() ? words / 4 : words;
}

/* Has the slice to end now?  Not to be asked where one must come to its end, as
   in a stop-the-world section. */
static inline bool caml_heap_interrupted(void) {
  return caml_heap_interruptible() && caml_heap_poll();
}

/* [words] of work, a chunk, are done.  Less than none are counted in the idle
   phase of OCaml 5.5 if more was done than was called for. */
static inline void caml_heap_chunk_done(intnat words) {
  if (caml_heap_interruptible() && words > 0)
    caml_heap_note_chunk((uintnat)words);
}

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_INTERRUPT_H */
