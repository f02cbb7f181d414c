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

/* The knobs of the heap: what OCAMLRUNPARAM=Xname=value and [Gc.Tweak] set.
   Independent of the OCaml runtime.  heap_tweaks.h sets them.

   [CAML_HEAP_KNOBS] is the one table of them: parsing, Xhelp, the manual page
   and the tests are made from it.  A value is a signed number; WORDS are other
   ways to write some of them. */

#ifndef CAML_HEAP_KNOBS_H
#define CAML_HEAP_KNOBS_H

#include <stdbool.h>
#include <stdint.h>
#include "caml/config.h"
#include "caml/camlatomic.h"
#include "caml/misc.h"
#include "jemalloc_huge.h"

/* 2^31 - 1 ms are 24 days. */
#define CAML_DECAY_MS_MAX INT32_MAX

/* Xmax_overhead: from here on there is no automatic compaction, as in
   OCaml 4. */
#define CAML_OVERHEAD_NEVER 1000000

/* OCaml's max_int */
#define CAML_HEAP_LIMIT_MAX (INTPTR_MAX >> 1)

#define CAML_FORK_SHARE_OFF (-1)

/* Xmemory_limit: as the system says */
#define CAML_MEMORY_LIMIT_AUTO (-1)

enum caml_compact_purge {
  CAML_COMPACT_PURGE_DECAY,
  CAML_COMPACT_PURGE_LAZY,
  CAML_COMPACT_PURGE_FORCED
};

enum caml_heap_stats { CAML_HEAP_STATS_OFF, CAML_HEAP_STATS_TABLE,
                       CAML_HEAP_STATS_JSON };

/* KNOB(NAME, UNIT, DEFAULT, LEAST, GREATEST, WORDS, WHEN it may change, HELP)
   Why these defaults: doc/design.md. */
#define CAML_HEAP_KNOBS(KNOB)                                                 \
  KNOB(dirty_decay_ms, "ms", 1000, -1, CAML_DECAY_MS_MAX, "never=-1",         \
       CAML_KNOB_ANY_TIME,                                                    \
       "how long freed pages stay before they are purged, lazily if muzzy "   \
       "pages may stay; 0: purged by force, at once")                         \
  KNOB(muzzy_decay_ms, "ms", 0, -1, CAML_DECAY_MS_MAX, "never=-1",         \
       CAML_KNOB_ANY_TIME,                                                    \
       "how long pages purged lazily stay before they are purged by force; "  \
       "0: no page is purged lazily")                                         \
  KNOB(background_purge, "", 1, 0, 1, "off=0 on=1", CAML_KNOB_ANY_TIME,       \
       "a thread of its own does the decay, so that an idle program shrinks") \
  KNOB(compact_purge, "", CAML_COMPACT_PURGE_FORCED,                          \
       CAML_COMPACT_PURGE_DECAY, CAML_COMPACT_PURGE_FORCED,                   \
       "decay=0 lazy=1 forced=2", CAML_KNOB_ANY_TIME,                         \
       "what the end of Gc.compact does with free pages: leave them to the "  \
       "decay, purge them lazily, or by force")                               \
  KNOB(thp, "", CAML_THP_SYSTEM, CAML_THP_NEVER, CAML_THP_ALWAYS,             \
       "never=0 system=1 always=2", CAML_KNOB_START_UP,                       \
       "huge pages for the heap: never, as the system's setting says, or "    \
       "asked for everywhere")                                                \
  KNOB(heap_limit, "bytes", 0, 0, CAML_HEAP_LIMIT_MAX, "none=0",              \
       CAML_KNOB_ANY_TIME,                                                    \
       "the most that the heap may hold, in pools, large blocks and free "     \
       "pages; past it the program gets Out_of_memory")                       \
  KNOB(memory_limit, "bytes", -1, -1, CAML_HEAP_LIMIT_MAX, "none=0 auto=-1",  \
       CAML_KNOB_ANY_TIME,                                                    \
       "how much memory the process may take: near it garbage is collected "  \
       "sooner; auto: 90% of what its container and ulimit let it have")      \
  KNOB(memory_limit_cpu, "%", 50, 1, 100, "", CAML_KNOB_ANY_TIME,             \
       "how much of the time collection may take to keep to memory_limit")    \
  KNOB(idle_compact_ms, "ms", 100, -1, CAML_DECAY_MS_MAX, "never=-1",        \
       CAML_KNOB_ANY_TIME,                                                    \
       "how long the program is at rest before the heap is collected and "    \
       "compacted, if enough would come back; 0: at every chance, whatever "  \
       "it costs")                                                            \
  KNOB(idle_pause_ms, "ms", 50, 0, CAML_DECAY_MS_MAX, "", CAML_KNOB_ANY_TIME, \
       "how long that compaction may stop a program that comes back; one "    \
       "that takes longer waits for ten times its time")                      \
  KNOB(idle_slices, "", 1, 0, 1, "off=0 on=1", CAML_KNOB_ANY_TIME,            \
       "while the program waits between two pieces of work, the next major "  \
       "slice is done for it")                                                \
  KNOB(max_overhead, "%", 200, 0, CAML_OVERHEAD_NEVER, "never=1000000",       \
       CAML_KNOB_ANY_TIME,                                                    \
       "how much memory the heap may have beyond its blocks, of what these "  \
       "take, before a major cycle ends with a compaction; 0: each does; "    \
       "never: nor does an idle program compact")                             \
  KNOB(overhead_pause_ms, "ms", -1, -1, CAML_DECAY_MS_MAX, "any=-1",          \
       CAML_KNOB_ANY_TIME,                                                    \
       "how long a compaction for Xmax_overhead may stop the program: one "   \
       "that would take longer is not begun")                                 \
  KNOB(malloc_trim, "", 1, 0, 1, "off=0 on=1", CAML_KNOB_ANY_TIME,            \
       "after a collection of an idle program and after Gc.compact the C "    \
       "library gives back its free memory, if that is worth it")             \
  KNOB(pressure, "", 1, 0, 1, "off=0 on=1", CAML_KNOB_ANY_TIME,               \
       "when the system says that memory is short, the heap is collected and " \
       "compacted once, and gives back what it can")                          \
  KNOB(fork_share, "bytes", CAML_FORK_SHARE_OFF, CAML_FORK_SHARE_OFF,         \
       CAML_HEAP_LIMIT_MAX, "off=-1 on=16777216", CAML_KNOB_ANY_TIME,         \
       "how large a heap is at least that a process shares with those that "  \
       "it forks, since the collector leaves it alone in all of them")        \
  KNOB(heap_stats, "", CAML_HEAP_STATS_OFF, CAML_HEAP_STATS_OFF,              \
       CAML_HEAP_STATS_JSON, "off=0 table=1 json=2", CAML_KNOB_ANY_TIME,      \
       "print the statistics of the heap on stderr at exit")

enum caml_knob_when { CAML_KNOB_START_UP, CAML_KNOB_ANY_TIME };

struct caml_heap_knob {
  const char* name;
  const char* unit;  /* may be empty */
  const char* words; /* "word=value ...", may be empty */
  const char* help;
  enum caml_knob_when when;
  intnat initial, least, greatest;
  atomic_uintnat value; /* an intnat; read it with [caml_heap_knob_get] */
};

#define CAML_KNOB_INDEX(name, ...) CAML_KNOB_##name,
enum caml_heap_knob_index {
  CAML_HEAP_KNOBS(CAML_KNOB_INDEX)
  CAML_N_HEAP_KNOBS
};
#undef CAML_KNOB_INDEX

extern struct caml_heap_knob caml_heap_knobs[CAML_N_HEAP_KNOBS];

/* The value in force.  From any thread. */
intnat caml_heap_knob_get(enum caml_heap_knob_index index);

/* The knob of that name ([length] bytes), or NULL. */
struct caml_heap_knob* caml_heap_knob_find(const char* name, size_t length);

/* Reads a value, the [length] bytes at [text]: a word of the knob, or a number,
   decimal or 0x hexadecimal, times 2^10, 2^20 or 2^30 with k, M or G behind
   it.  False if it is none of them, or out of range; then *result is as it
   was. */
bool caml_heap_knob_read(const struct caml_heap_knob* knob, const char* text,
                         size_t length, intnat* result);

/* What [caml_heap_knob_read] accepts, in words, as snprintf does. */
int caml_heap_knob_accepted(const struct caml_heap_knob* knob,
                            char* buffer, size_t size);

/* The default as a user writes it, a word if there is one, as snprintf does. */
int caml_heap_knob_default(const struct caml_heap_knob* knob,
                           char* buffer, size_t size);

#endif /* CAML_HEAP_KNOBS_H */
