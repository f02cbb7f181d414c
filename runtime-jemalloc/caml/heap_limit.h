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

/* The limit of the major heap, Xheap_limit, and the program's allocations,
   which keep to it.  A minor collection cannot raise: it takes its blocks from
   [caml_shared_try_alloc] and may go past the limit. */

#ifndef CAML_HEAP_LIMIT_H
#define CAML_HEAP_LIMIT_H

#ifdef CAML_INTERNALS

#include "heap_config.h"
#include "mlvalues.h"
#include "shared_heap.h"
#include "version.h"

#if OCAML_VERSION < 50200
#define CAML_HEAP_PINNED_PARAMETER , int pinned
#define CAML_HEAP_PINNED , pinned
#else
#define CAML_HEAP_PINNED_PARAMETER
#define CAML_HEAP_PINNED
#endif

#if OCAML_VERSION < 50300
typedef value caml_heap_result; /* Val_unit, or an encoded exception */
#define CAML_HEAP_NO_EXCEPTION Val_unit
#else
typedef caml_result caml_heap_result;
#define CAML_HEAP_NO_EXCEPTION Result_unit
#endif

#ifdef CAML_HEAP_JEMALLOC

/* [caml_shared_try_alloc] for the program.  NULL when there is no memory, or
   when the block would pass the limit. */
value* caml_heap_try_alloc(struct caml_heap_state* heap, mlsize_t wosize,
                           tag_t tag, reserved_t reserved
                           CAML_HEAP_PINNED_PARAMETER);

/* A block of [wosize] words is about to be allocated: collects garbage if it
   would pass the limit otherwise.  Called where the GC may run, with the domain
   lock; runs no OCaml code. */
void caml_heap_make_room(mlsize_t wosize);

/* If memory was taken past the limit, collects garbage and calls finalisers;
   if the heap still is past it, returns the exception [Out_of_memory], once
   until more is taken.  Or the exception of a finaliser.  Called where pending
   actions are processed, and OCaml code may run and raise. */
caml_heap_result caml_heap_check_limit(void);

#else

static inline value* caml_heap_try_alloc(struct caml_heap_state* heap,
                                         mlsize_t wosize, tag_t tag,
                                         reserved_t reserved
                                         CAML_HEAP_PINNED_PARAMETER)
{
  return caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
}

static inline void caml_heap_make_room(mlsize_t wosize)
{
  (void)wosize;
}

static inline caml_heap_result caml_heap_check_limit(void)
{
  return CAML_HEAP_NO_EXCEPTION;
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_LIMIT_H */
