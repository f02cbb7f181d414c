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

/* What collections and compactions that happen by themselves have done. */

#ifndef CAML_HEAP_AUTOMATIC_H
#define CAML_HEAP_AUTOMATIC_H

#include <stdatomic.h>
#include <stddef.h>

/* STAT(NAME, UNIT, HELP): a part of the table in heap_statistics.h */
#define CAML_HEAP_AUTOMATIC(STAT)                                             \
  STAT(idle_collections, "", "collections of an idle program")                \
  STAT(idle_given_up, "", "others, which it came back in")                    \
  STAT(idle_compactions, "", "collections that ended with a compaction")      \
  STAT(idle_returned, "B", "given back by collections")                       \
  STAT(idle_time, "ns", "of their thread, the others' too")                   \
  STAT(longest_delay, "ns", "that the program, coming back, waited for one")  \
  STAT(idle_interrupted, "", "slices that ended at once as it was back")      \
  STAT(longest_chunk, "w", "of a slice, between two looks for that")          \
  STAT(overhead_compactions, "", "since too much of the heap was unused")     \
  STAT(overhead_freed, "B", "freed by them, for the decay")                    \
  STAT(overhead_time, "ns", "that they took")                                 \
  STAT(memory_compactions, "", "of these, to keep to Xmemory_limit")          \
  STAT(memory_purges, "", "of free pages at once, to keep to it")            \
  STAT(overlong_stops, "", "past Xidle_pause_ms, the program being back")    \
  STAT(pressure_events, "", "times memory was given back as it was short")   \
  STAT(surveyed_pools, "", "known to compactions before they began")         \
  STAT(words_ahead, "w", "of slices' work, done while the program waited")

/* Counted by who did it */
#define CAML_HEAP_COUNTER(name, unit, help) _Atomic size_t name;
struct caml_heap_automatic {
  CAML_HEAP_AUTOMATIC(CAML_HEAP_COUNTER)
};
#undef CAML_HEAP_COUNTER

#endif /* CAML_HEAP_AUTOMATIC_H */
