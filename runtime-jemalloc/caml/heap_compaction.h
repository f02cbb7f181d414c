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

/* How a major cycle ends, and what [Gc.compact] does. */

#ifndef CAML_HEAP_COMPACTION_H
#define CAML_HEAP_COMPACTION_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include "config.h"
#include "heap_config.h"
#include "heap_source.h"
#include "major_gc.h"
#include "version.h"

/* What is asked of a major cycle: the argument of [caml_finish_major_cycle],
   which says 0 and 1 otherwise. */
enum caml_cycle_request {
  CAML_CYCLE_ORDINARY = 0,  /* ends without a compaction, if none is due */
  CAML_CYCLE_COMPACTS = 1,  /* ends with one; its pools have been swept */
  CAML_CYCLE_PREPARES,      /* the first of [Gc.compact]: ends without */
  CAML_CYCLE_MAY_COMPACT,   /* the second: ends with one unless finalisers wait
                               for what it has found dead */
  CAML_CYCLE_SWEEPS         /* the third: ends with one that sweeps */
};

/* What a major cycle ends with. */
enum caml_compaction {
  CAML_COMPACTION_NONE,
  CAML_COMPACTION_PLAIN, /* OCaml's: leaves the garbage where it keeps a pool */
  CAML_COMPACTION_SWEEPS_AVAILABLE, /* sweeps the pools that had free blocks */
  CAML_COMPACTION_SWEEPS_ALL        /* sweeps all pools */
};

#ifdef CAML_HEAP_JEMALLOC

/* A major cycle has ended.  The first decides what with, given what was asked
   and what the cycle showed; the second says it, until the compaction has
   ended.  [adopted]: what domains that have ended left to others has been taken
   up; a compaction knows nothing else.

   The first is called by one domain, inside the stop-the-world section and
   after the sweep, before a barrier; the second by any domain after it.  OCaml
   5.1 calls the first only, which then does all but decide. */
void caml_heap_decide_compaction(enum caml_cycle_request request, bool adopted);
enum caml_compaction caml_heap_compaction(enum caml_cycle_request request);

/* Cycle [i] of the three of [Gc.compact].  Since OCaml 5.2.  With the domain
   lock, outside stop-the-world sections. */
void caml_heap_compaction_cycle(int i);

/* A compaction has ended: what it has freed goes to the OS before this returns,
   unless Xcompact_purge, or a compaction that the program did not ask for,
   leaves that to the decay.  By one domain, since 5.2 inside the stop-the-world
   section. */
void caml_heap_compacted(void);

/* Does [Gc.compact] give anything back?  Asked by OCaml 5.1, which moves no
   block. */
bool caml_heap_compactable(void);

/* A slice begins, [howmuch] of which was asked for.  Adds to *[extra] the part
   of a cycle's work that it is to do beside what allocation asks for: 0 to 1.
   Calls finalisers that were postponed. */
void caml_heap_slice_begins(intnat howmuch, double* extra);

/* It has done its work, before the cycle may end. */
void caml_heap_slice_ends(void);

#else

static inline void caml_heap_decide_compaction(enum caml_cycle_request request,
                                              bool adopted)
{
  (void)request;
  (void)adopted;
}

static inline enum caml_compaction
caml_heap_compaction(enum caml_cycle_request request)
{
  return request == CAML_CYCLE_ORDINARY
    ? CAML_COMPACTION_NONE : CAML_COMPACTION_PLAIN;
}

#if OCAML_VERSION >= 50200
static inline void caml_heap_compaction_cycle(int i)
{
  caml_finish_major_cycle(i == 2);
}
#endif

static inline void caml_heap_compacted(void)
{
  caml_heap_trim();
}

static inline bool caml_heap_compactable(void)
{
  return false;
}

static inline void caml_heap_slice_begins(intnat howmuch, double* extra)
{
  (void)howmuch;
  (void)extra;
}

static inline void caml_heap_slice_ends(void)
{
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_COMPACTION_H */
