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


/* What Runtime_jemalloc calls, and what Xheap_stats prints. */

#define CAML_INTERNALS

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "heap_control.h"
#include "heap_collect.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_memory.h"
#include "heap_share_part.h"

/* 0: none */
static size_t memory_limit(void) {
  struct caml_memory_state s;
  caml_memory_state(false, &s);
  return s.soft == CAML_MEMORY_NO_LIMIT ? 0 : s.soft;
}

static bool statistics(struct caml_heap_statistics* result) {
  struct caml_heap_counted heap = {
    .arena = &caml_heap.arena,
    .in_use = &caml_heap.in_use,
    .automatic = &caml_collector.automatic,
    .heap_limit = (size_t)caml_heap_knob_get(CAML_KNOB_heap_limit),
    .memory_limit = memory_limit(),
    .refused_threads = caml_thread_failures()
  };
  return caml_heap_statistics_read(&heap, result);
}

/* Xheap_stats, at exit: after OCaml's own at_exit */
void caml_heap_print_statistics(void) {
  struct caml_heap_statistics s;
  intnat form = caml_heap_knob_get(CAML_KNOB_heap_stats);
  if (form == CAML_HEAP_STATS_OFF || !caml_heap_knobs_have_effect()) return;
  if (statistics(&s))
    caml_heap_statistics_print(stderr, &s, form);
  else
    fprintf(stderr, "No statistics of the major heap: "
            "jemalloc had no memory for them\n");
}

static size_t in_use(void) {
  return caml_heap_in_use();
}

static bool purge(bool lazily) {
  return caml_heap_give_back(lazily ? CAML_COMPACT_PURGE_LAZY
                             : CAML_COMPACT_PURGE_FORCED);
}

static bool decay(void) {
  return caml_heap_give_back(CAML_COMPACT_PURGE_DECAY);
}

static unsigned arena(void) {
  return caml_heap.arena.index;
}

/* With the thread held: some of them purge, and a child that is forked
   meanwhile would never see the end of that, and begin no other. */

/* Threads of jemalloc's own would not be there in a forked child, where nothing
   would decay then. */
#define THREADS "background_thread"

static bool asks_for_threads(const void* new_value, size_t new_size) {
  return new_value != NULL && new_size == sizeof(bool)
    && *(const bool*)new_value;
}

static int ctl(const char* name, void* old, size_t* old_size, void* new_value,
               size_t new_size) {
  int error;
  if (strcmp(name, THREADS) == 0 && asks_for_threads(new_value, new_size))
    return ENOTSUP;
  caml_background_hold(&caml_heap.background);
  error = je_mallctl(name, old, old_size, new_value, new_size);
  caml_background_release(&caml_heap.background);
  return error;
}

static bool is_threads(const size_t* mib, size_t mib_length) {
  size_t threads[1], length = 1;
  return mib_length == 1 && je_mallctlnametomib(THREADS, threads, &length) == 0
    && mib[0] == threads[0];
}

static int ctl_by_mib(const size_t* mib, size_t mib_length, void* old,
                      size_t* old_size, void* new_value, size_t new_size) {
  int error;
  if (asks_for_threads(new_value, new_size) && is_threads(mib, mib_length))
    return ENOTSUP;
  caml_background_hold(&caml_heap.background);
  error = je_mallctlbymib(mib, mib_length, old, old_size, new_value, new_size);
  caml_background_release(&caml_heap.background);
  return error;
}

const struct caml_heap_control caml_heap_control = {
  .version = CAML_HEAP_CONTROL_VERSION,
  .knobs = caml_heap_knobs,
  .n_knobs = CAML_N_HEAP_KNOBS,
  .knob_set = caml_heap_knob_set,
  .statistics = statistics,
  .in_use = in_use,
  .memory = caml_memory_state,
  .purge = purge,
  .decay = decay,
  .share = caml_share_ask,
  .arena = arena,
  .mallctl = ctl,
  .mallctlnametomib = je_mallctlnametomib,
  .mallctlbymib = ctl_by_mib,
  .stats_print = je_malloc_stats_print,
};
