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

/* Where the blocks of a pool are, and a large block */

#ifndef CAML_HEAP_POOL_LAYOUT_H
#define CAML_HEAP_POOL_LAYOUT_H

#include "caml/heap_pools.h"
#include "caml/mlvalues.h"
#include "caml/version.h"

#if OCAML_VERSION < 50200
#define CAML_POOL_FIRST_BLOCK(sizeclass) POOL_HEADER_WSIZE
#else
#define CAML_POOL_FIRST_BLOCK(sizeclass)                                      \
  (POOL_HEADER_WSIZE + wastage_sizeclass[sizeclass])
#endif

/* Bytes that the runtime puts before a large block */
#define CAML_LARGE_HEADER (2 * sizeof(void*))

#endif /* CAML_HEAP_POOL_LAYOUT_H */
