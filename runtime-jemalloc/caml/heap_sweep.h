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

/* How much work it is to sweep a pool */

#ifndef CAML_HEAP_SWEEP_H
#define CAML_HEAP_SWEEP_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include <stddef.h>
#include "config.h"
#include "heap_config.h"
#include "heap_sizeclasses.h"

/* Words of a block of OCaml's own largest size class */
#define CAML_STOCK_SIZECLASS_MAX 128

/* As many words as OCaml counts, since the collector is paced by them: where
   its blocks of more than 128 words are large ones, ours are in pools.  They
   count without empty slots, whether they live or not. */

/* Before OCaml 5.5: words of work that it is to sweep a pool of the size class.
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

/* May pool_sweep have something to do for this first pool of a list, or NULL?
   It does nothing for NULL, but most of our size classes have no pool in a
   small heap. */
static inline bool caml_heap_is_to_sweep(const void* pool)
{
#ifdef CAML_HEAP_JEMALLOC
  return pool != NULL;
#else
  (void)pool;
  return true;
#endif
}

/* From OCaml 5.5 on, where a block of a pool counts as it lives: words of work
   that it was to free one of so many words with its header */
static inline uintnat caml_heap_freed_work(mlsize_t whsize)
{
#ifdef CAML_HEAP_JEMALLOC
  return whsize > CAML_STOCK_SIZECLASS_MAX ? whsize : 0;
#else
  (void)whsize;
  return 0;
#endif
}

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_SWEEP_H */
