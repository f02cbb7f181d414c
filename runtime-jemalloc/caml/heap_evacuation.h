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

/* Moving blocks in a compaction: what is found out before it stops the program,
   and what spares it from looking at all blocks that are pointed to. */

#ifndef CAML_HEAP_EVACUATION_H
#define CAML_HEAP_EVACUATION_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include <stddef.h>
#include "camlatomic.h"
#include "heap_config.h"
#include "heap_sizeclasses.h"
#include "misc.h"
#include "mlvalues.h"
#include "shared_heap.h"
#include "version.h"

#if defined(CAML_HEAP_JEMALLOC) && OCAML_VERSION >= 50200

#include "tsan.h"

/* Looks through the pools of the calling domain for the compaction at the end
   of the cycle: see heap_survey.h.  Stops after some [words] of them, or as it
   is interrupted; false: it is to be called again.  Once that domain has
   swept. */
bool caml_heap_survey(intnat words);

/* Or in the sweep, pool by pool, where that is said to be worth it, at the end
   of the cycle before. */
extern _Atomic bool caml_heap_surveys_swept;
void caml_heap_survey_swept(unsigned sz);

static inline void caml_heap_note_swept(unsigned sz)
{
  if (atomic_load_explicit(&caml_heap_surveys_swept, memory_order_relaxed))
    caml_heap_survey_swept(sz);
}

/* So many pools were known so.  By each domain, in the compaction. */
void caml_heap_note_surveyed(size_t pools);

/* Pools whose blocks have moved in this compaction, by their addresses: its
   number for each POOL_WSIZE words of these, and of those that are a multiple
   of 4 GiB away.  Unlike the header of a block that is pointed to, it is in a
   near cache.  Written before the first barrier of a compaction, read after
   it. */
#define CAML_EVACUATED_POOLS ((uintnat)1 << 17)
extern atomic_uchar caml_heap_evacuated_pools[CAML_EVACUATED_POOLS];

static inline atomic_uchar* caml_heap_evacuated(value v)
{
  uintnat pool = (uintnat)v / Bsize_wsize(POOL_WSIZE);
  return &caml_heap_evacuated_pools[pool % CAML_EVACUATED_POOLS];
}

/* Is another one each time, so that the table need not be cleared.  0, once in
   256 times, is that of all other pools: what it costs is time. */
static inline unsigned char caml_heap_compaction_number(void)
{
  return (unsigned char)(atomic_load_relaxed(&caml_compactions_count) + 1);
}

/* [pool]: of [wsize] words */
static inline void caml_heap_note_evacuated(value pool, mlsize_t wsize)
{
  for (mlsize_t w = 0; w < wsize; w += POOL_WSIZE)
    atomic_store_explicit(caml_heap_evacuated(pool + Bsize_wsize(w)),
                          caml_heap_compaction_number(), memory_order_relaxed);
}

static inline bool caml_heap_is_evacuated(value v)
{
  return atomic_load_explicit(caml_heap_evacuated(v), memory_order_relaxed)
    == caml_heap_compaction_number();
}

/* Fetches the header that is to be read some fields later: [p] is one of a row.
   Whatever that field holds, if it is there: it may be another block's, or
   another thread's.  Without a branch on what cannot be predicted. */
CAMLno_asan CAMLno_tsan
static inline void caml_heap_fetch_ahead(const volatile value* p)
{
  enum { AHEAD = 16, LEAST_PAGE = 4096 };
  uintnat in_page = (uintnat)p % LEAST_PAGE;
  if (in_page < LEAST_PAGE - AHEAD * sizeof(value)) {
    value v = p[AHEAD];
    __builtin_prefetch(caml_heap_is_evacuated(v)
                       ? (const header_t*)v - 1 : (const header_t*)p);
  }
}

/* May the block that the field points to have moved? */
static inline bool caml_heap_may_have_moved(const volatile value* p)
{
  caml_heap_fetch_ahead(p);
  return caml_heap_is_evacuated(*p);
}

#else

static inline bool caml_heap_survey(intnat words)
{
  (void)words;
  return true;
}

static inline void caml_heap_note_swept(unsigned sz)
{
  (void)sz;
}

static inline bool caml_heap_may_have_moved(const volatile value* p)
{
  (void)p;
  return true;
}

#endif

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_EVACUATION_H */
