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


/* Xheap_limit: the most bytes in pools, large blocks and free pages.  Who would
   pass it collects the garbage of the whole heap first, then gets
   [Out_of_memory]; as who lives past Xmemory_limit does.  And what the program
   does where the system is short of memory, Xpressure. */

#define CAML_INTERNALS

#include "caml/fail.h"
#include "caml/fiber.h"
#include "caml/finalise.h"
#include "caml/heap_limit.h"
#include "caml/major_gc.h"
#include "caml/memory.h"
#include "caml/shared_heap.h"
#include "caml/signals.h"
#ifdef NATIVE_CODE
#include "caml/stack.h"
#endif
#include "heap_cycles.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_idle.h"
#include "heap_memory.h"
#include "heap_pool_layout.h"
#include "heap_relief.h"

static size_t limit(void) {
  return (size_t)caml_heap_knob_get(CAML_KNOB_heap_limit);
}

/* Bytes that a block of [wosize] words takes at most: its own, or a pool */
static size_t needed(mlsize_t wosize) {
  mlsize_t whsize = Whsize_wosize(wosize);
  return whsize <= SIZECLASS_MAX
    ? Bsize_wsize(caml_pool_wsize(caml_sizeclass(whsize)))
    : Bsize_wsize(whsize) + CAML_LARGE_HEADER;
}

/* Without overflow: [max] >= 0 is a limit, [size] may be anything. */
static bool fits(size_t size, size_t max) {
  size_t in_use = caml_heap_in_use() + atomic_load(&caml_heap.in_use.shared);
  return in_use <= max && size <= max - in_use;
}

/* The domain whose last [caml_heap_make_room] found none, though nothing waits
   that might make some; or NULL */
static caml_domain_state* _Atomic refused;

/* C code whose pointers a collection would break goes past the limit, by an
   eighth and its last block at most, and the program pays at its next safe
   point. */
static bool may_pass(size_t size, size_t max) {
  return size <= max && caml_heap_in_use() <= max + max / 8;
}

/* Was the block that is asked for refused?  Only its own domain forgets it. */
static bool take_refusal(void) {
  caml_domain_state* own = Caml_state;
  return atomic_compare_exchange_strong(&refused, &own, NULL);
}

/* One at a time under a limit: of two blocks for which there is room for one,
   one is allocated. */
static value* alloc_in_limit(struct caml_heap_state* heap, mlsize_t wosize,
                             tag_t tag, reserved_t reserved
                             CAML_HEAP_PINNED_PARAMETER) {
  size_t max = limit(), size = needed(wosize);
  bool is_refused;
  value* block = NULL;
  if (max == 0)
    return caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  is_refused = take_refusal();
  caml_ranked_mutex_lock(&caml_heap.limit_lock);
  if (fits(size, max) || (!is_refused && may_pass(size, max)))
    block = caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  caml_ranked_mutex_unlock(&caml_heap.limit_lock);
  return block;
}

/* Bytes: from here on jemalloc has an extent for each block.  A page fault
   takes 12 us on the machine of bench/report.md, a page by this call 3: a GiB
   of arrays (bench/programs/growth.ml, 42 1024 large) 1.1 s instead of 3.4. */
#define POPULATED ((size_t)16 << 10)

/* What has fields is filled before the GC may see it.  Bytes may never be. */
static bool is_to_be_filled(mlsize_t wosize, tag_t tag) {
  return Bsize_wsize(wosize) >= POPULATED && tag < No_scan_tag;
}

value* caml_heap_try_alloc(struct caml_heap_state* heap, mlsize_t wosize,
                           tag_t tag, reserved_t reserved
                           CAML_HEAP_PINNED_PARAMETER) {
  bool fill = is_to_be_filled(wosize, tag);
  value* block = alloc_in_limit(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  if (fill && block != NULL)
    caml_arena_populate(block, Bsize_wsize(wosize));
  return block;
}

/* What is unreachable now is gone after at most three cycles. */
static void collect(void) {
  for (int i = 0; i < 3; i++) {
    caml_heap_finish_cycle(false);
    caml_heap_reset_pacing();
  }
}

static void compact(void) {
  caml_heap_finish_cycle(true);
  caml_heap_reset_pacing();
}

/* Collects all garbage, and compacts if that is not enough for [size] bytes
   more.  Is there room now? */
static bool make_room(size_t size, size_t max) {
  collect();
  if (!fits(size, max) && caml_heap_may_compact_unasked()) compact();
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  return fits(size, max);
}

/* Finalisers may make room, when OCaml code may run. */
static bool finalisers_wait(void) {
  return Caml_state->final_info->todo_head != NULL;
}

static void make_room_in_heap(size_t size) {
  size_t max = limit();
  if (max == 0 || fits(size, max)) return;
  if (size > max || (!make_room(size, max) && !finalisers_wait()))
    atomic_store(&refused, Caml_state);
}

static void make_room_in_process(size_t size) {
  uint64_t began;
  if (!caml_memory_wants_room(size)) return;
  began = caml_heap_now();
  collect();
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_memory_made_room(caml_heap_now() - began);
}

void caml_heap_make_room(mlsize_t wosize) {
  size_t size = needed(wosize);
  make_room_in_process(size);
  make_room_in_heap(size);
}

#ifdef NATIVE_CODE

/* Code that has run out of the minor heap keeps its registers in a bucket,
   which it loses if that raises; the next such code needs one.  See
   caml/fiber.h.  What raises there without us is an OCaml callback, which
   leaves a bucket.  False if there is no memory. */
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

#ifdef NATIVE_CODE

extern value caml_exn_Out_of_memory[1]; /* in no header */

static value out_of_memory(void) {
  return (value)caml_exn_Out_of_memory;
}

#else

static value out_of_memory(void) {
  return Field(caml_global_data, OUT_OF_MEMORY_EXN);
}

#endif

#if OCAML_VERSION < 50300

#define Result_exception(exn) Make_exception_result(exn)
#define caml_result_is_exception(result) Is_exception_result(result)
#define caml_final_do_calls_res caml_final_do_calls_exn
#endif

/* Memory was taken past the limit since the program was last told. */
static _Atomic bool passed;

/* Free pages count: they are looked at after each so many parts of the limit
   that are taken, and are gone before they pass it. */
#define LOOK_PART 64

static void purge_in_limit(size_t size, size_t max) {
  static _Atomic size_t taken;
  size_t step = max / LOOK_PART, in_use;
  if (atomic_fetch_add(&taken, size) + size < step) return;
  atomic_store(&taken, 0);
  in_use = caml_heap_in_use() + step;
  if (in_use > max || caml_arena_unused(&caml_heap.arena) > max - in_use)
    caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

/* A minor collection, which may be one that C code has called for, goes past
   the limit: the program sees it at its next safe point. */
void caml_heap_note_taken(size_t size) {
  size_t max = limit();
  if (max == 0) return;
  purge_in_limit(size, max);
  if (fits(0, max)) return;
  atomic_store(&passed, true);
  if (Caml_state_opt != NULL) caml_set_action_pending(Caml_state);
}

/* What is promoted meanwhile is not taken by the program. */
static bool keeps_limit(void) {
  size_t max = limit();
  bool keeps = max == 0 || fits(0, max) || make_room(0, max);
  atomic_store(&passed, false);
  return keeps;
}

static void give_back(void) {
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_heap_trim_malloc();
}

/* All that can be done for the process is */
static bool keeps_memory(void) {
  collect();
  if (caml_heap_may_compact_unasked()) compact();
  give_back();
  return caml_memory_fits();
}

/* Finalisers, and the alarms of the library's [on_limit], may make room: they
   run without being told of the limit, unless they go past it further. */
static caml_heap_result check(bool (*keeps)(void)) {
  caml_heap_result called;
  if (keeps()) return CAML_HEAP_NO_EXCEPTION;
  called = caml_final_do_calls_res();
  if (caml_result_is_exception(called)) return called;
  if (keeps() || !may_raise()) return CAML_HEAP_NO_EXCEPTION;
  return Result_exception(out_of_memory());
}

static caml_heap_result check_memory(void) {
  caml_heap_result result = check(keeps_memory);
  caml_memory_told(caml_result_is_exception(result));
  return result;
}

/* Finalisers may be what makes room: not they are told, but the program, at the
   safe point that calls them or after the next cycle. */
static bool in_finaliser(void) {
  return Caml_state->final_info->running_finalisation_function != 0;
}

/* What is unreachable now is known, and the program's hooks wait: they are
   alarms, which are due within two cycles. */
static void find_garbage(void) {
  caml_heap_finish_cycle(false);
  caml_heap_finish_cycle(false);
}

/* What the hooks let go is found, too.  The last cycle sweeps what is known. */
static caml_heap_result relieve(void) {
  caml_heap_result called = CAML_HEAP_NO_EXCEPTION;
  find_garbage();
  if (finalisers_wait()) {
    called = caml_final_do_calls_res();
    if (caml_result_is_exception(called)) return called;
    find_garbage();
  }
  caml_heap_finish_cycle(caml_heap_may_compact_unasked());
  caml_heap_reset_pacing();
  give_back();
  return called;
}

/* A collection of an idle program that is under way is left to its thread. */
static caml_heap_result check_pressure(void) {
  caml_heap_result result;
  if (atomic_load(&caml_heap_idle.collecting) || !caml_relief_take())
    return CAML_HEAP_NO_EXCEPTION;
  result = relieve();
  caml_relief_end();
  return result;
}

caml_heap_result caml_heap_check_limit(void) {
  caml_heap_result result = CAML_HEAP_NO_EXCEPTION;
  if (atomic_load(&passed)) result = check(keeps_limit);
  if (!caml_result_is_exception(result) && caml_memory_is_exhausted()
      && !in_finaliser())
    result = check_memory();
  if (!caml_result_is_exception(result) && caml_relief_waits())
    result = check_pressure();
  return result;
}
