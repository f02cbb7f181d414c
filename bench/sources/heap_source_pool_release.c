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

/* The idea from the discussion that started this project: a pool is unmapped as
   soon as it is free.  Else as the system's source, whose list of free pools
   stays empty.  Since OCaml 5.2, where each pool is a mapping. */

#define CAML_INTERNALS

#include "caml/heap_source.h"

#define caml_heap_pool_free system_pool_free
#include "heap_source_system.c"
#undef caml_heap_pool_free

void caml_heap_pool_free(void* pool, mlsize_t wsize) {
  CAMLassert(wsize == POOL_WSIZE);
  caml_mem_unmap(pool, POOL_SIZE);
}
