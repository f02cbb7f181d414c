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


/* The one heap of the process, on its jemalloc arena. */

#ifndef CAML_HEAP_JEMALLOC_H
#define CAML_HEAP_JEMALLOC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include "caml/heap_limit.h"
#include "caml/heap_source.h"
#include "caml/mlvalues.h"
#include "heap_in_use.h"
#include "heap_knobs.h"
#include "jemalloc_arena.h"
#include "jemalloc_background.h"

struct caml_heap {
  struct caml_arena arena;
  struct caml_background background;
  struct caml_heap_in_use in_use;
};

extern struct caml_heap caml_heap;

/* Bytes in pools and large blocks, without those set apart at a fork.  From any
   thread. */
static inline size_t caml_heap_in_use(void) {
  struct caml_in_use_sum sum = caml_in_use_sum(&caml_heap.in_use);
  return sum.pools + sum.large;
}

/* Memory of [size] bytes was taken, which a limit need not have prevented: see
   caml_heap_check_limit.  By a domain's thread. */
void caml_heap_note_taken(size_t size);

/* The heap has grown, as it does each MiB.  If a slice is to look at the
   process, one is asked for: see heap_memory.h.  By a domain's thread, inside a
   stop-the-world section too. */
void caml_heap_note_grown(void);

/* [caml_arena_populate], for a block of the heap. */
void caml_heap_populate(void* block, asize_t size);

/* What was reserved and is not wanted any more is forgotten.  By one domain,
   inside the stop-the-world section at the end of a cycle. */
void caml_heap_limit_cycle_ends(void);

/* After a fork: what other threads allocate is not in the child. */
void caml_heap_limit_postfork_child(void);

/* Gives unused pages back, or leaves them to the decay.  Waits for a purge that
   is under way.  False if jemalloc refused.  From any thread. */
bool caml_heap_give_back(enum caml_compact_purge how);

#endif /* CAML_HEAP_JEMALLOC_H */
