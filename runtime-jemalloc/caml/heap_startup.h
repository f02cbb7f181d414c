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

/* The start and the end of the major heap, and its knobs. */

#ifndef CAML_HEAP_STARTUP_H
#define CAML_HEAP_STARTUP_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include <stddef.h>
#include "camlatomic.h"
#include "config.h"
#include "heap_config.h"
#include "heap_source.h"

#ifdef CAML_HEAP_JEMALLOC

/* Makes the heap ready: its memory, its threads, what a fork and an exit have
   to do.  Called once, after [caml_heap_parse] and before the first domain
   starts.  A failure is a fatal error. */
void caml_heap_init(void);

/* The runtime shuts down: ends the heap's threads.  With no other than the
   caller's domain lock, which is free meanwhile. */
void caml_heap_stop(void);

/* As [caml_heap_source_destroy]. */
void caml_heap_destroy(void);

/* OCAMLRUNPARAM=X[text]: reads a knob of the heap's, and complains on stderr of
   a value that is none.  False if the text is left to the runtime. */
bool caml_heap_parse(const char* text);

/* The knobs as GC tweaks, since 5.5.  Returns the name of the [index]th, which
   is not to be freed, and its value in *value; NULL past the last, and once
   there is a heap. */
const char* caml_heap_tweak(int index, atomic_uintnat** value);

/* Sets a tweak, a knob or not.  Raises Invalid_argument if the knob does not
   take the value; then nothing has changed.  From any domain. */
void caml_heap_set_tweak(atomic_uintnat* tweak, uintnat value);

/* Gc.control.max_overhead, percent; 0 where there are no such compactions.  A
   value that is none changes nothing. */
intnat caml_heap_max_overhead(void);
void caml_heap_set_max_overhead(intnat percent);

#else

static inline void caml_heap_init(void)
{
  caml_heap_source_init();
}

static inline void caml_heap_stop(void)
{
}

static inline void caml_heap_destroy(void)
{
  caml_heap_source_destroy();
}

static inline bool caml_heap_parse(const char* text)
{
  (void)text;
  return false;
}

static inline const char* caml_heap_tweak(int index, atomic_uintnat** value)
{
  (void)index;
  (void)value;
  return NULL;
}

static inline void caml_heap_set_tweak(atomic_uintnat* tweak, uintnat value)
{
  atomic_store(tweak, value);
}

static inline intnat caml_heap_max_overhead(void)
{
  return 0;
}

static inline void caml_heap_set_max_overhead(intnat percent)
{
  (void)percent;
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_STARTUP_H */
