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

/* Major cycles that are run at once, and domains that are interrupted, on all
   versions of OCaml alike. */

#ifndef CAML_HEAP_CYCLES_H
#define CAML_HEAP_CYCLES_H

#include <stdbool.h>
#include "caml/domain.h"
#include "caml/major_gc.h"
#include "caml/memory.h"
#include "caml/version.h"
#include "heap_knobs.h"

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

/* All domains come to a safe point.  On OCaml 5.1 no other thread can interrupt
   a domain: each does when it next fills its minor heap.  From any thread. */
static inline void caml_heap_interrupt_all(void) {
#if OCAML_VERSION >= 50200
  caml_interrupt_all_signal_safe();
#endif
}

/* May there be a compaction that the program did not ask for?
   Gc.set { max_overhead = 1_000_000 } is said by who has C code that needs
   blocks to stay where they are. */
static inline bool caml_heap_may_compact_unasked(void) {
  return OCAML_VERSION >= 50200
    && caml_heap_knob_get(CAML_KNOB_max_overhead) < CAML_OVERHEAD_NEVER;
}

#endif /* CAML_HEAP_CYCLES_H */
