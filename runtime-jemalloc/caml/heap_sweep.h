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

/* How much work it is to sweep a pool, before OCaml 5.5. */

#ifndef CAML_HEAP_SWEEP_H
#define CAML_HEAP_SWEEP_H

#ifdef CAML_INTERNALS

#include <stddef.h>
#include "config.h"
#include "heap_config.h"
#include "heap_sizeclasses.h"

/* Words of work that it is to sweep a pool of the size class.  As many as OCaml
   counts: where its blocks of more than 128 words are large ones, ours are in
   pools, and count without empty slots, since the collector is paced by them.
   By the owner, before it sweeps. */
#ifdef CAML_HEAP_JEMALLOC
intnat caml_heap_words_to_sweep(const void* pool, unsigned sizeclass);
#else
static inline intnat caml_heap_words_to_sweep(const void* pool,
                                              unsigned sizeclass)
{
  (void)pool;
  return POOL_WSIZE - POOL_HEADER_WSIZE - wastage_sizeclass[sizeclass];
}
#endif

/* None for NULL */
static inline intnat caml_heap_sweep_work(const void* pool,
                                          unsigned sizeclass)
{
  return pool == NULL ? 0 : caml_heap_words_to_sweep(pool, sizeclass);
}

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_SWEEP_H */
