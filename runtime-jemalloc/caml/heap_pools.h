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

/* Size classes whose pools are larger than OCaml's. */

#ifndef CAML_HEAP_POOLS_H
#define CAML_HEAP_POOLS_H

#ifdef CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include "config.h"
#include "heap_config.h"
#include "heap_sizeclasses.h"
#include "mlvalues.h"

#ifdef CAML_HEAP_JEMALLOC

/* Words of a pool of the size class */
static inline mlsize_t caml_pool_wsize(unsigned sizeclass)
{
  return sizeclass < CAML_MEDIUM_SIZECLASS ? POOL_WSIZE
    : CAML_MEDIUM_POOL_WSIZE;
}

/* The class of a block of [whsize] <= SIZECLASS_MAX words with its header */
static inline unsigned caml_sizeclass(mlsize_t whsize)
{
  return whsize < CAML_MEDIUM_LEAST ? sizeclass_wsize[whsize]
    : NUM_SIZECLASSES - 1 + CAML_MEDIUM_LEAST_SLOTS
      - (CAML_MEDIUM_POOL_WSIZE - POOL_HEADER_WSIZE) / (unsigned)whsize;
}

#else

static inline mlsize_t caml_pool_wsize(unsigned sizeclass)
{
  (void)sizeclass;
  return POOL_WSIZE;
}

#endif

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_POOLS_H */
