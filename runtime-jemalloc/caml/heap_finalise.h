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

/* Finalisers of custom blocks, which are C code of any library. */

#ifndef CAML_HEAP_FINALISE_H
#define CAML_HEAP_FINALISE_H

#ifdef CAML_INTERNALS

#include "custom.h"
#include "heap_config.h"
#include "mlvalues.h"

#ifdef CAML_HEAP_JEMALLOC

/* The custom block, which has a finaliser, is dead: calls that, now or, on a
   copy of the block, later.  By any domain, inside the collector.  It looks
   for the finaliser itself, so that gcc compiles [pool_sweep] as without: with
   an argument more it went from free block to free block by three jumps
   instead of one, and a sweep of empty pools took three times as long. */
void caml_heap_finalise(value block);

#else

static inline void caml_heap_finalise(value block)
{
  Custom_ops_val(block)->finalize(block);
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_FINALISE_H */
