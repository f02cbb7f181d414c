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

/* How much work it is to sweep a pool, for the pace of the collector. */

#define CAML_INTERNALS

#include <assert.h> /* sizeclasses.h of 5.5 needs it */
#include "caml/mlvalues.h"
#include "caml/version.h"

#if OCAML_VERSION < 50500

#include "caml/heap_sweep.h"
#include "heap_pool_layout.h"

/* Of those with a header.  At least one: caml_sweep takes no work for no pool
   left. */
static intnat words_in_blocks(const header_t* hp, mlsize_t slots,
                              mlsize_t wsize) {
  mlsize_t words = 1;
  for (; slots > 0; slots--, hp += wsize) {
    header_t hd = Hd_hp(hp);
    if (hd != 0) words += Whsize_hd(hd);
  }
  return (intnat)words;
}

intnat caml_heap_words_to_sweep(const void* pool, unsigned sizeclass) {
  mlsize_t wsize = wsize_sizeclass[sizeclass];
  mlsize_t words = caml_pool_wsize(sizeclass) - POOL_HEADER_WSIZE
    - wastage_sizeclass[sizeclass];
  if (wsize <= CAML_STOCK_SIZECLASS_MAX) return (intnat)words;
  return words_in_blocks(
    (const header_t*)pool + CAML_POOL_FIRST_BLOCK(sizeclass), words / wsize,
    wsize);
}

#endif
