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


/* Xheap_limit: the most bytes in pools and large blocks.  Who would pass it
   collects the garbage of the whole heap first, then gets [Out_of_memory]. */

#define CAML_INTERNALS

#include "caml/heap_memory.h"
#include "caml/major_gc.h"
#include "caml/memory.h"
#include "caml/shared_heap.h"
#include "caml/signals.h"
#ifdef NATIVE_CODE
#include "caml/stack.h"
#endif
#include "heap_jemalloc.h"
#include "heap_sizeclasses.h"

/* What the runtime puts before a large block */
#define LARGE_HEADER (2 * sizeof(void*))

static size_t limit(void) {
  return (size_t)caml_heap_knob_get(CAML_KNOB_heap_limit);
}

/* Bytes that a block of [wosize] words takes at most: its own, or a pool */
static size_t needed(mlsize_t wosize) {
  return Whsize_wosize(wosize) <= SIZECLASS_MAX
    ? Bsize_wsize(POOL_WSIZE) : Bhsize_wosize(wosize) + LARGE_HEADER;
}

/* Without overflow: [max] >= 0 is a limit, [size] may be anything. */
static bool fits(size_t size, size_t max) {
  size_t in_use = caml_heap_in_use();
  return in_use <= max && size <= max - in_use;
}

/* One at a time under a limit: of two blocks for which there is room for one,
   one is allocated. */
value* caml_heap_alloc_in_limit(struct caml_heap_state* heap, mlsize_t wosize, tag_t tag,
                                reserved_t reserved CAML_HEAP_PINNED_PARAMETER) {
  size_t max = limit();
  value* block = NULL;
  if (max == 0)
    return caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  pthread_mutex_lock(&caml_heap.limit_lock);
  if (fits(needed(wosize), max))
    block = caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  pthread_mutex_unlock(&caml_heap.limit_lock);
  return block;
}

#if OCAML_VERSION < 50200
#define finish_major_cycle() caml_finish_major_cycle()
#else
#define finish_major_cycle() caml_finish_major_cycle(0)
#endif

/* What is unreachable now is gone after at most three cycles. */
static void collect(void) {
  for (int i = 0; i < 3; i++) {
    finish_major_cycle();
    caml_heap_reset_pacing();
  }
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

void caml_heap_make_room(mlsize_t wosize) {
  size_t max = limit(), size = needed(wosize);
  if (max > 0 && size <= max && !fits(size, max)) collect();
}

#ifdef NATIVE_CODE

/* Code that has run out of the minor heap keeps its registers in a bucket,
   which it loses if that raises; the next such code needs one.  See caml/fiber.h.
   What raises there without us is an OCaml callback, which leaves a bucket.
   False if there is no memory. */
static bool may_raise(void) {
  value* bucket;
  if (Caml_state->gc_regs_buckets != NULL) return true;
  bucket = caml_stat_alloc_noexc(sizeof(value) * Wosize_gc_regs);
  if (bucket == NULL) return false;
  bucket[0] = 0; /* no next one */
  Caml_state->gc_regs_buckets = bucket;
  return true;
}

#else

static bool may_raise(void) {
  return true;
}

#endif

/* Finalisers, and the alarms of the library's [on_limit], may make room. */
bool caml_heap_over_limit(void) {
  size_t max = limit();
  if (max == 0 || fits(0, max)) return false;
  collect();
  if (fits(0, max)) return false;
  caml_process_pending_actions();
  collect();
  return !fits(0, max) && may_raise();
}
