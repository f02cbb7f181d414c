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

/* Which pool a medium block comes from.  Included by shared_heap.c alone, whose
   static data it is about. */

#ifndef CAML_HEAP_JEMALLOC

#define sizeclass_for(heap, whsize) sizeclass_wsize[whsize]

#else

/* The work of it is taken from the next slice, as caml_sweep counts it. */
static void sweep_ahead(struct caml_heap_state* heap, sizeclass sz,
                        pool** unswept)
{
#if OCAML_VERSION >= 50500
  Caml_state->sweep_work_done_between_slices +=
    pool_sweep(heap, unswept, sz, 0);
#else
  Caml_state->major_work_done_between_slices +=
    caml_heap_sweep_work(*unswept, sz);
  pool_sweep(heap, unswept, sz, 0);
#endif
}

/* Sweeps the pools of the size class until one has a free slot. */
static void sweep_for_slot(struct caml_heap_state* heap, sizeclass sz,
                           pool** unswept)
{
  while (heap->avail_pools[sz] == NULL && *unswept != NULL)
    sweep_ahead(heap, sz, unswept);
}

/* Pools that were full are swept too before a new one is taken: those of 24
   classes, one after the other, come late in a sweep, and what was taken
   meanwhile had a seventh of the heap.  Each is swept once in a cycle. */
static sizeclass medium_sizeclass_for(struct caml_heap_state* heap,
                                      mlsize_t whsize)
{
  sizeclass sz = caml_sizeclass(whsize);
  sweep_for_slot(heap, sz, &heap->unswept_avail_pools[sz]);
  sweep_for_slot(heap, sz, &heap->unswept_full_pools[sz]);
  return sz;
}

/* The class of a block of [whsize] words, with its header, that is allocated
   now.  By the owner of [heap]. */
static inline sizeclass sizeclass_for(struct caml_heap_state* heap,
                                      mlsize_t whsize)
{
  return whsize < CAML_MEDIUM_LEAST ? sizeclass_wsize[whsize]
    : medium_sizeclass_for(heap, whsize);
}

#endif /* CAML_HEAP_JEMALLOC */
