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


/* What the runtime offers to the library Runtime_jemalloc, in one table that
   the library looks for with a weak symbol: a stock runtime has none. */

#ifndef CAML_HEAP_CONTROL_H
#define CAML_HEAP_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include "heap_knobs.h"
#include "heap_memory_state.h"
#include "heap_statistics.h"
#include "heap_tweaks.h"

/* Changes whenever the table or a structure in it does. */
#define CAML_HEAP_CONTROL_VERSION 6

/* All functions may be called from any thread, with and without the domain
   lock; they touch no OCaml value and do not raise.  Between the start of the
   runtime and [caml_shutdown]. */
struct caml_heap_control {
  unsigned version; /* first, for ever */

  /* How knobs are read and set: [caml_heap_knobs], [caml_heap_knob_set]. */
  struct caml_heap_knob* knobs;
  unsigned n_knobs;
  bool (*knob_set)(enum caml_heap_knob_index index, intnat value,
                   char* message);

  /* [caml_heap_statistics_read] of the heap */
  bool (*statistics)(struct caml_heap_statistics* statistics);

  /* Bytes in pools and large blocks.  Some nanoseconds. */
  size_t (*in_use)(void);

  /* [caml_memory_state] */
  void (*memory)(bool now, struct caml_memory_state* state);

  /* Gives unused pages back, or only those whose time has come.  Waits for a
     purge that is under way.  False if jemalloc refused. */
  bool (*purge)(bool lazily);
  bool (*decay)(void);

  /* [caml_share_ask] */
  void (*share)(bool share);

  /* jemalloc's number of the heap's arena */
  unsigned (*arena)(void);

  /* jemalloc(3) */
  int (*mallctl)(const char* name, void* old_value, size_t* old_size,
                 void* new_value, size_t new_size);
  int (*mallctlnametomib)(const char* name, size_t* mib, size_t* length);
  int (*mallctlbymib)(const size_t* mib, size_t length, void* old_value,
                      size_t* old_size, void* new_value, size_t new_size);
  void (*stats_print)(void (*write)(void*, const char*), void* data,
                      const char* options);
};

extern const struct caml_heap_control caml_heap_control;

/* Xheap_stats: prints the statistics if there is a heap. */
void caml_heap_print_statistics(void);

#endif /* CAML_HEAP_CONTROL_H */
