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

/* The seam between the shared heap and the memory it lives in.

   [shared_heap.c] takes pools and large blocks through these functions and
   knows nothing more about where they come from.  [heap_memory_system.c] maps
   pools itself and leaves large blocks to [malloc]; [heap_memory_jemalloc.c]
   takes both from one jemalloc arena.  The build links exactly one of them.

   Sizes are in bytes.  All functions but [caml_heap_memory_init] and
   [caml_heap_memory_shutdown] may be called by several domains at once; none
   of them touches an OCaml value, or raises where nothing else is said. */

#ifndef CAML_HEAP_MEMORY_H
#define CAML_HEAP_MEMORY_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include "camlatomic.h"
#include "misc.h"
#include "mlvalues.h"
#include "version.h"

/* Makes the memory of the heap ready.  Called once, before the first domain
   starts.  A failure is a fatal error. */
void caml_heap_memory_init(void);

/* Unmaps all memory of the heap: no OCaml value may be used afterwards.
   Called once, by [caml_shutdown], and only if no other domain is running,
   since that domain would still use the heap. */
void caml_heap_memory_shutdown(void);

/* A pool: [Bsize_wsize(POOL_WSIZE)] bytes, uninitialised and aligned to a page,
   or to that size where pages are larger.  NULL when there is no memory.  The
   caller owns it until it hands it to [caml_heap_pool_put]. */
void* caml_heap_pool_get(void);
void caml_heap_pool_put(void* pool);

#if OCAML_VERSION < 50500
/* Words of work that it is to sweep a pool of the size class, at least 1; none
   for NULL.  As many as on stock, where blocks of more than 128 words are
   large ones, without empty slots, since the collector is paced by them.  By
   the owner, before. */
intnat caml_heap_words_to_sweep(const void* pool, unsigned sizeclass);

static inline intnat caml_heap_sweep_work(const void* pool,
                                          unsigned sizeclass) {
  return pool == NULL ? 0 : caml_heap_words_to_sweep(pool, sizeclass);
}
#endif

/* A large block of [size] bytes, uninitialised and aligned for any OCaml
   block.  NULL when there is no memory.  [caml_heap_large_put] takes the size
   that was asked for. */
void* caml_heap_large_get(asize_t size);
void caml_heap_large_put(void* block, asize_t size);

/* Xheap_limit.  A minor collection cannot raise: it takes its blocks from
   [caml_shared_try_alloc] and may go past the limit.  The program takes its
   through [caml_heap_try_alloc], which returns NULL instead. */
struct caml_heap_state;
#if OCAML_VERSION < 50200
#define CAML_HEAP_PINNED_PARAMETER , int pinned
#define CAML_HEAP_PINNED , pinned
#else
#define CAML_HEAP_PINNED_PARAMETER
#define CAML_HEAP_PINNED
#endif
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
#if OCAML_VERSION < 50300
typedef value caml_heap_result; /* Val_unit, or an encoded exception */
#else
typedef caml_result caml_heap_result;
#endif
caml_heap_result caml_heap_check_limit(void);

/* A compaction has ended: the memory of the pools and large blocks that were
   put back goes to the OS before this returns, unless Xcompact_purge or a
   compaction that nobody asked for leaves it to later.  Called by one domain,
   since 5.2 inside the stop-the-world section. */
void caml_heap_compacted(void);

/* Does [caml_heap_compacted] give back anything?  OCaml 5.1, which has no
   compaction, asks this first. */
bool caml_heap_compactable(void);

/* Cycle [i] of the three of [Gc.compact], the last of which ends with a
   compaction; or the second does, and the third is none.  Since OCaml 5.2;
   called with the domain lock, outside stop-the-world sections. */
void caml_heap_compaction_cycle(int i);

/* A major cycle has ended: is a compaction due since too much of the heap is
   unused?  [asked]: positive for a cycle that ends with one anyway, negative
   for one of [caml_heap_compaction_cycle] that may end without.  [adopted]:
   what domains that have ended left to others has been taken up; a compaction
   knows nothing else.  Called by one domain, inside the stop-the-world section
   and after the sweep; before a barrier, after which each domain, its heap
   cycled, calls [caml_heap_prepare_compaction]: false if there is to be
   none. */
void caml_heap_cycle_ended(int asked, bool adopted);
bool caml_heap_prepare_compaction(int asked);

/* Is a mark stack with room for [entries] more than the calling domain's heap
   has a use for?  At the end of a cycle, when it is empty. */
bool caml_heap_outgrew(uintnat entries);

/* What the compaction sweeps as it evacuates pools: nothing, as OCaml's, which
   leaves the garbage where it keeps a pool; the pools that had free blocks
   when the cycle ended; or all pools.  By any domain inside it; for
   [CAML_SWEEP_NOTHING] there may be one. */
enum caml_heap_sweep {
  CAML_SWEEP_NOTHING,
  CAML_SWEEP_AVAILABLE,
  CAML_SWEEP_ALL
};
enum caml_heap_sweep caml_heap_compaction_sweeps(void);

/* A slice begins, [howmuch] of which was asked for.  Calls finalisers that
   were postponed; returns the part of a cycle's work that it is to do at
   least: 0 to 1. */
double caml_heap_hurry(intnat howmuch);

/* The custom block, which has a finaliser, is dead: calls that, now or, on a
   copy of the block, later.  By any domain, inside the collector.  It looks
   for the finaliser itself, so that gcc compiles [pool_sweep] as without: with
   an argument more it went from free block to free block by three jumps
   instead of one, and a sweep of empty pools took three times as long. */
void caml_heap_finalise(value block);

/* Gc.control.max_overhead, percent; 0 where there are no such compactions.  A
   value that is none changes nothing. */
intnat caml_heap_max_overhead(void);
void caml_heap_set_max_overhead(intnat percent);

/* Takes the lock of the calling thread's domain, at the end of a blocking
   section, and lets it go, at the beginning of one.  A caml_plat_mutex, whose
   header includes this one on OCaml 5.5. */
void caml_heap_lock_domain(void* domain_lock);
void caml_heap_unlock_domain(void* domain_lock);

/* Makes the calling thread, which has no domain, the one that runs domain [i],
   if all of that domain's own threads are in blocking sections.  It may then
   do the collector's work, and nothing that runs OCaml code, until
   [caml_domain_stand_down].  From any thread. */
enum caml_stand_in {
  CAML_DOMAIN_STOOD_IN, /* to be ended by [caml_domain_stand_down] */
  CAML_DOMAIN_BUSY,     /* a thread runs it, or it begins or ends */
  CAML_DOMAIN_NONE,     /* there is no such domain now */
  CAML_DOMAIN_LAST      /* nor any of a higher number */
};
enum caml_stand_in caml_domain_stand_in(int i);
void caml_domain_stand_down(void);

/* Does each domain that there is take part in the stop-the-world section?  One
   that ends leaves them before its heap and what it has tracked are another's.
   From inside the section. */
bool caml_domain_all_take_part(void);

/* What the domains that take part in the stop-the-world section have marked
   since they began; in *stats their statistics, with those of the ones that
   have ended.  From inside the section, by one of them while the others
   wait. */
struct gc_stats;
struct caml_marks {
  uintnat blocks;
  uintnat domains; /* another number if they are others */
};
struct caml_marks caml_domain_marks(struct gc_stats* stats);

/* Has a domain that takes part in the stop-the-world section finalisers to
   call?  From inside the section, by one of them while the others wait. */
bool caml_domain_finalisers_wait(void);

/* The runtime shuts down: with no other than the caller's domain lock, which is
   free meanwhile. */
void caml_heap_memory_stop(void);

/* OCAMLRUNPARAM=X[text]: reads a knob of the heap's, and complains on stderr of
   a value that is none.  False if the text is left to the runtime.  Called
   before [caml_heap_memory_init]. */
bool caml_heap_memory_parse(const char* text);

/* The knobs as GC tweaks, since 5.5.  Returns the name of the [index]th, which
   is not to be freed, and its value in *value; NULL past the last, and once
   there is a heap. */
const char* caml_heap_memory_tweak(int index, atomic_uintnat** value);

/* Sets a tweak, a knob or not.  Raises Invalid_argument if the knob does not
   take the value; then nothing has changed.  From any domain. */
void caml_heap_memory_set_tweak(atomic_uintnat* tweak, uintnat value);

/* The version of the jemalloc that the memory is from, or "none". */
const char* caml_heap_memory_jemalloc(void);

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_MEMORY_H */
