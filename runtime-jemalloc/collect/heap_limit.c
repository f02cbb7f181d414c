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

#include "caml/domain.h"
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
#include "heap_share_part.h"
#include "jemalloc_mutex.h"

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

/* What the limit is for: the part that is shared at forks too */
static size_t in_use_of_limit(void) {
  return caml_heap_in_use() + atomic_load(&caml_heap.in_use.shared);
}

/* Without overflow: [size] may be anything. */
static bool fits_beside(size_t in_use, size_t size, size_t max) {
  return in_use <= max && size <= max - in_use;
}

static bool fits(size_t size, size_t max) {
  return fits_beside(in_use_of_limit(), size, max);
}

/* Has the last [caml_heap_make_room] found none, though nothing waits that
   might make some?  Then the block that it was for is refused. */
static _Thread_local bool refused;

static bool take_refusal(void) {
  bool is_refused = refused;
  refused = false;
  return is_refused;
}

/* C code whose pointers a collection would break goes past the limit, by an
   eighth and its last block at most, and the program pays at its next safe
   point. */
static bool may_pass(size_t in_use, size_t size, size_t max) {
  return size <= max && in_use <= max + max / 8;
}

/* What is asked for is reserved until it is in use: of two blocks for which
   there is room for one, the first is allocated.  No lock is held meanwhile:
   the sweep for a block calls finalisers, which may fork, or take a lock that
   another thread holds while it forks.

   Who has reserved something stops for no other domain before it has its
   block.  So what is left when all stop, at the end of a cycle, is not wanted
   any more: a message that was to be unmarshalled was none. */
static _Atomic size_t reserved_bytes;
static _Atomic uintnat cycles;

/* The thread's part of that, in [cycle]; in which room was made for [words] */
static _Thread_local struct {
  size_t bytes;
  mlsize_t words;
  uintnat cycle;
} own;

void caml_heap_limit_cycle_ends(void) {
  atomic_store(&reserved_bytes, 0);
  atomic_fetch_add(&cycles, 1);
}

static void forget_what_is_over(void) {
  uintnat cycle = atomic_load(&cycles);
  if (own.cycle == cycle) return;
  own.bytes = own.words = 0;
  own.cycle = cycle;
}

/* Returns what is reserved already. */
static size_t reserve(size_t size) {
  CAMLassert(own.cycle == atomic_load(&cycles));
  own.bytes += size;
  return atomic_fetch_add(&reserved_bytes, size);
}

static void unreserve(size_t size) {
  CAMLassert(own.cycle == atomic_load(&cycles) && size <= own.bytes);
  atomic_fetch_sub(&reserved_bytes, size);
  own.bytes -= size;
}

/* For one domain at a time all garbage is collected.  What it wants is left to
   it: else another, at work between two cycles, would take what they free. */
static _Atomic size_t wanted_bytes; /* 0: there is none */
static _Thread_local bool is_first;

static bool become_first(size_t size) {
  size_t none = 0;
  CAMLassert(size > 0 && !is_first);
  return is_first = atomic_compare_exchange_strong(&wanted_bytes, &none, size);
}

static void leave_it_to_others(void) {
  CAMLassert(is_first);
  is_first = false;
  atomic_store(&wanted_bytes, 0);
}

void caml_heap_limit_postfork_child(void) {
  forget_what_is_over();
  atomic_store(&reserved_bytes, own.bytes);
  if (!is_first) atomic_store(&wanted_bytes, 0);
}

/* Beside what others are to have.  That is read first: then it is in use. */
static bool has_room(size_t size, size_t max) {
  size_t others = atomic_load(&reserved_bytes);
  if (!is_first) others += atomic_load(&wanted_bytes);
  return fits_beside(others + in_use_of_limit(), size, max);
}

/* For a block of [words], or several of so many together, if there is room */
static bool reserve_room(size_t size, mlsize_t words, size_t max) {
  forget_what_is_over();
  unreserve(own.bytes);
  own.words = 0;
  if (!has_room(size, max)) return false;
  if (!fits_beside(reserve(size) + in_use_of_limit(), size, max)) {
    unreserve(size);
    return false;
  }
  own.words = words;
  return true;
}

/* [size] bytes, for which room was reserved if any was, are in use. */
static void note_in_use(size_t size) {
  forget_what_is_over();
  unreserve(size < own.bytes ? size : own.bytes);
}

/* No room was made. */
static value* alloc_if_it_fits(struct caml_heap_state* heap, mlsize_t wosize,
                               tag_t tag, reserved_t reserved, size_t max
                               CAML_HEAP_PINNED_PARAMETER) {
  size_t size = needed(wosize), before = own.bytes, in_use = reserve(size);
  bool is_refused = take_refusal();
  value* block = NULL;
  in_use += in_use_of_limit();
  if (fits_beside(in_use, size, max)
      || (!is_refused && may_pass(in_use, size, max)))
    block = caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  if (own.bytes > before) unreserve(own.bytes - before);
  return block;
}

static value* alloc_in_limit(struct caml_heap_state* heap, mlsize_t wosize,
                             tag_t tag, reserved_t reserved
                             CAML_HEAP_PINNED_PARAMETER) {
  size_t max = limit();
  mlsize_t words = Whsize_wosize(wosize);
  value* block;
  if (max == 0)
    return caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  forget_what_is_over();
  if (words > own.words)
    return alloc_if_it_fits(heap, wosize, tag, reserved, max CAML_HEAP_PINNED);
  block = caml_shared_try_alloc(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  own.words -= words;
  if (own.words == 0) unreserve(own.bytes);
  return block;
}

/* Bytes: from here on a block has pages of its own.  Where a page fault took 12
   us and a page by this call 3, a GiB of arrays (bench/programs/growth.ml, 42
   1024 large) took 1.1 s instead of 3.4. */
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
    caml_heap_populate(block, Bsize_wsize(wosize));
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

/* What is shared since a fork is given back by the end of the second cycle, and
   then collected. */
static void collect_shared(void) {
  if (!caml_share_exists()) return;
  caml_share_ask_back();
  collect();
  collect();
}

/* Collects all garbage, then that of what is shared, and compacts, as long as
   that does not make room. */
static void make_room(size_t size, size_t max) {
  collect();
  if (!has_room(size, max)) collect_shared();
  if (!has_room(size, max) && caml_heap_may_compact_unasked()) compact();
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

/* Finalisers may make room, when OCaml code may run. */
static bool finalisers_wait(void) {
  return Caml_state->final_info->todo_head != NULL;
}

/* Returns false if there is another. */
static bool make_room_as_first(size_t size, mlsize_t words, size_t max) {
  if (!become_first(size)) return false;
  make_room(size, max);
  refused = !reserve_room(size, words, max) && !finalisers_wait();
  leave_it_to_others();
  return true;
}

static void make_room_in_heap(mlsize_t wosize) {
  size_t max = limit(), size = needed(wosize);
  mlsize_t words = Whsize_wosize(wosize);
  refused = max != 0 && size > max;
  if (max == 0 || refused) return;
  while (!reserve_room(size, words, max)
         && !make_room_as_first(size, words, max)) {
    caml_handle_gc_interrupt();
    caml_wait_a_moment();
  }
}

static void make_room_in_process(size_t size) {
  uint64_t began;
  if (!caml_memory_wants_room(size)) return;
  began = caml_heap_now();
  collect();
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_memory_made_room(caml_heap_now() - began);
}

/* Small blocks, which a message may have, go to the minor heap. */
void caml_heap_make_room(mlsize_t wosize) {
  if (wosize <= Max_young_wosize) return;
  make_room_in_process(needed(wosize));
  make_room_in_heap(wosize);
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
  in_use = in_use_of_limit() + step;
  if (in_use > max || caml_arena_unused(&caml_heap.arena) > max - in_use)
    caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
}

/* A minor collection, which may be one that C code has called for, goes past
   the limit: the program sees it at its next safe point. */
void caml_heap_note_taken(size_t size) {
  size_t max = limit();
  if (max == 0) return;
  note_in_use(size);
  purge_in_limit(size, max);
  if (fits(0, max)) return;
  atomic_store(&passed, true);
  if (Caml_state_opt != NULL) caml_set_action_pending(Caml_state);
}

/* What is promoted meanwhile is not taken by the program. */
static bool keeps_limit(void) {
  size_t max = limit();
  if (max != 0 && !fits(0, max)) make_room(0, max);
  atomic_store(&passed, false);
  return max == 0 || fits(0, max);
}

static void give_back(void) {
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_heap_trim_malloc();
}

/* All that can be done for the process is, one thing after the other, until it
   fits. */
static bool keeps_memory(void) {
  for (int i = 0; i < 3; i++) {
    caml_heap_finish_cycle(false);
    caml_heap_reset_pacing();
    give_back();
    if (caml_memory_fits()) return true;
  }
  if (!caml_heap_may_compact_unasked()) return false;
  compact();
  give_back();
  return caml_memory_fits();
}

/* Finalisers, and the alarms of the library's [on_limit], may make room: they
   run without being told of the limit, unless they go past it further.  *[told]
   becomes true with Out_of_memory, and stays with an exception of theirs. */
static caml_heap_result check(bool (*keeps)(void), bool* told) {
  caml_heap_result called;
  if (keeps()) return CAML_HEAP_NO_EXCEPTION;
  called = caml_final_do_calls_res();
  if (caml_result_is_exception(called)) return called;
  if (keeps() || !may_raise()) return CAML_HEAP_NO_EXCEPTION;
  *told = true;
  return Result_exception(out_of_memory());
}

/* By one domain: the others go on.  Instead of a finaliser's exception it is
   told at the next safe point.  While it is, other threads may run. */
static caml_heap_result check_memory(void) {
  bool told = false;
  caml_heap_result result = check(keeps_memory, &told);
  if (caml_result_is_exception(result) && !told) {
    caml_memory_put_back();
    return result;
  }
  caml_memory_told(told);
  return told ? Result_exception(out_of_memory()) : CAML_HEAP_NO_EXCEPTION;
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
  bool told = false;
  caml_heap_result result = CAML_HEAP_NO_EXCEPTION;
  if (caml_memory_wants_slice()) caml_request_major_slice(0);
  caml_memory_end_late_cycle();
  if (atomic_load(&passed)) result = check(keeps_limit, &told);
  if (!caml_result_is_exception(result) && !in_finaliser()
      && caml_memory_take_exhausted())
    result = check_memory();
  if (!caml_result_is_exception(result) && caml_relief_waits())
    result = check_pressure();
  return result;
}
