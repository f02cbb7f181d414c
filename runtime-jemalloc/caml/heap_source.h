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

/* Where the memory of the major heap comes from.

   This is all that a port to another allocator has to implement.
   [shared_heap.c] takes pools and large blocks through these functions and
   knows nothing more about where they come from.  [heap_source_system.c] maps
   pools itself and leaves large blocks to [malloc]; [heap_source_jemalloc.c]
   takes both from one jemalloc arena.  The build links exactly one of them:
   see heap_source.mk.

   Sizes are in bytes.  All functions but [caml_heap_source_init] and
   [caml_heap_source_destroy] may be called by several domains at once.  None
   of them touches an OCaml value or raises. */

#ifndef CAML_HEAP_SOURCE_H
#define CAML_HEAP_SOURCE_H

#ifdef CAML_INTERNALS

#include "config.h"
#include "mlvalues.h"

/* Makes the source ready.  Called once, before the first domain starts.  A
   failure is a fatal error. */
void caml_heap_source_init(void);

/* Unmaps all memory of the heap: no OCaml value may be used afterwards.
   Called once, by [caml_shutdown], and only if no other domain is running,
   since that domain would still use the heap. */
void caml_heap_source_destroy(void);

/* A pool of [wsize] words, as caml/heap_pools.h has it for its size class:
   uninitialised and aligned to a page, or to POOL_WSIZE words where pages are
   larger.  NULL when there is no memory.  The caller owns it until it hands it
   to [caml_heap_pool_free]. */
void* caml_heap_pool_alloc(mlsize_t wsize);
void caml_heap_pool_free(void* pool, mlsize_t wsize);

/* A large block of [size] bytes, uninitialised and aligned for any OCaml
   block.  NULL when there is no memory.  [caml_heap_large_free] takes the size
   that was asked for. */
void* caml_heap_large_alloc(asize_t size);
void caml_heap_large_free(void* block, asize_t size);

/* Gives the memory of pools and large blocks that were freed back to the OS.
   At the end of a compaction, by one domain, inside the stop-the-world
   section. */
void caml_heap_trim(void);

/* The version of the jemalloc that the memory is from, or "none".  Static. */
const char* caml_heap_source_version(void);

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_SOURCE_H */
