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

/* The debug runtime's quarantine: what a compaction has moved blocks out of
   cannot be read or written for a while.  C code that kept a pointer into such
   a block, which OCaml's rules forbid, ends there by SIGSEGV instead of reading
   what happens to be left.

   A pool's stay ends when CAML_QUARANTINE others have come after it.  It has no
   pages meanwhile, is not among what is in use, and is mapped on. */

#ifndef CAML_HEAP_QUARANTINE_H
#define CAML_HEAP_QUARANTINE_H

#include <stddef.h>
#include "caml/version.h"

#define CAML_QUARANTINE 256 /* pools: 8 MiB, or 32 of medium ones */

#if defined(DEBUG) && OCAML_VERSION >= 50200 /* 5.1 moves no block */

/* Takes a pool of [size] bytes that the heap has freed.  Returns the one that
   is to be freed now: this, where it was not compacted or the kernel refuses;
   the oldest; or NULL.  From any thread. */
void* caml_quarantine(void* pool, size_t size);

/* Forgets all of them: their arena is about to be destroyed. */
void caml_quarantine_end(void);

#else

static inline void* caml_quarantine(void* pool, size_t size) {
  (void)size;
  return pool;
}

static inline void caml_quarantine_end(void) {
}

#endif

#endif /* CAML_HEAP_QUARANTINE_H */
