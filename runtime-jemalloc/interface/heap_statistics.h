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


/* The statistics of the heap.  Independent of the OCaml runtime.

   [CAML_HEAP_STATISTICS] is the one table of them: the library's record, the
   two forms that Xheap_stats prints and the tests are made from it. */

#ifndef CAML_HEAP_STATISTICS_H
#define CAML_HEAP_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "heap_automatic.h"
#include "heap_in_use.h"
#include "heap_knobs.h"
#include "jemalloc_arena.h"

/* STAT(NAME, UNIT, HELP).  After these come calls, bytes, failures and
   nanoseconds of each of [CAML_EXTENT_HOOKS]. */
#define CAML_HEAP_STATISTICS(STAT)                                            \
  STAT(pools, "B", "pools in use")                                            \
  STAT(large_blocks, "B", "large blocks in use")                              \
  STAT(shared, "B", "in both, set apart at a fork; not counted above")        \
  STAT(allocated, "B", "all three, with what jemalloc rounds them up to")     \
  STAT(active, "B", "in pages that hold some of it")                          \
  STAT(dirty, "B", "in pages freed and not purged")                           \
  STAT(cached, "B", "of that, in blocks of 4 to 14 KiB kept for the next")    \
  STAT(muzzy, "B", "in pages purged lazily and not by force")                 \
  STAT(retained, "B", "of address space without pages, kept for later")       \
  STAT(metadata, "B", "of jemalloc's own data for this heap")                 \
  STAT(mapped, "B", "of address space with pages or in use")                  \
  STAT(resident, "B", "of memory at most: active, dirty, muzzy, metadata")    \
  STAT(address_space, "B", "mapped by the hooks and not unmapped")            \
  STAT(dirty_extents, "", "runs of dirty pages")                              \
  STAT(muzzy_extents, "", "runs of muzzy pages")                              \
  STAT(retained_extents, "", "runs of retained pages")                        \
  STAT(dirty_purges, "", "sweeps over the dirty pages")                       \
  STAT(dirty_purge_calls, "", "extents that they purged")                     \
  STAT(dirty_purged, "B", "that they purged")                                 \
  STAT(muzzy_purges, "", "sweeps over the muzzy pages")                       \
  STAT(muzzy_purge_calls, "", "extents that they purged")                     \
  STAT(muzzy_purged, "B", "that they purged")                                 \
  STAT(cache_hits, "", "such blocks that were found")                         \
  STAT(cache_misses, "", "others of that size")                               \
  STAT(decay_stretch, "", "times as long as asked for, free pages stay")      \
  STAT(heap_limit, "B", "Xheap_limit; 0: none")                               \
  STAT(memory_limit, "B", "that the process may take, Xmemory_limit; 0: any") \
  STAT(refused_threads, "", "attempts to make a thread that failed")          \
  CAML_HEAP_AUTOMATIC(STAT)

#define CAML_HEAP_FIELD(name, unit, help) size_t name;
#define CAML_HEAP_HOOK_FIELDS(name, help)                                     \
  size_t name##_calls, name##_bytes, name##_failures, name##_nanoseconds;
struct caml_heap_statistics {
  CAML_HEAP_STATISTICS(CAML_HEAP_FIELD)
  CAML_EXTENT_HOOKS(CAML_HEAP_HOOK_FIELDS)
};
#undef CAML_HEAP_FIELD
#undef CAML_HEAP_HOOK_FIELDS

/* Where the heap's statistics are from */
struct caml_heap_counted {
  struct caml_arena* arena;
  const struct caml_heap_in_use* in_use;
  const struct caml_heap_automatic* automatic;
  size_t heap_limit, memory_limit, refused_threads;
};

/* Fills in [statistics].  Pools, in use and free, are counted at one moment, in
   which no domain gets or puts one.  What jemalloc counts is of about that
   moment, unless others keep setting its "epoch": blocks may come and go while
   it adds up.  In any case [allocated] >= [pools] + [large_blocks].  Some 100
   microseconds.  False if jemalloc has no memory for them.  From any thread. */
bool caml_heap_statistics_read(const struct caml_heap_counted* heap,
                               struct caml_heap_statistics* statistics);

/* Prints them: a table, or one line of JSON, an object of numbers. */
void caml_heap_statistics_print(FILE* out,
                                const struct caml_heap_statistics* statistics,
                                enum caml_heap_stats form);

#endif /* CAML_HEAP_STATISTICS_H */
