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

/* An arena as the runtime uses it, by one thread that plays all domains.  What
   the thread does with mutexes, jemalloc's too, is noted down: link with
   -Wl,--wrap for the four functions of scale_arena.c. */

#ifndef SCALE_ARENA_H
#define SCALE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "heap_in_use.h"
#include "jemalloc_arena.h"
#include "scale.h"

extern struct caml_arena scale_arena;
extern struct caml_heap_in_use scale_in_use;

void scale_create(void);

/* As heap_source_jemalloc.c.  [size] is that of a struct scale_event; the first
   says how many bytes that are, the third whether such a block lies in a
   frame. */
size_t scale_bytes(size_t size);
void* scale_get(unsigned domain, size_t size);
bool scale_is_of_frame(size_t size);
void scale_put(unsigned domain, void* block, size_t size);

/* What jemalloc_background.c does each SCALE_DECAY_NS */
#define SCALE_DECAY_NS 100000000
void scale_decay(void);

/* A mutex was taken, or given back, [after] ns of work since the step before.
   */
struct scale_step {
  const void* lock;
  bool taken;
  uint64_t after;
};

/* What was done between the two: steps, and [rest] ns of work after the last.
   The time of looking at the clock is taken off.  Where another process had the
   processor meanwhile, all times are 0. */
struct scale_steps {
  size_t n;
  uint64_t rest;
  struct scale_step* steps;
};
void scale_begin(void);
const struct scale_steps* scale_end(void);

/* ns of the monotonic clock.  With [scale_set_time] the arena and jemalloc see
   another: it goes by what is simulated. */
uint64_t scale_now(void);
void scale_set_time(uint64_t ns);

/* What a lock is, as jemalloc's statistics call its own.  Best at the end: they
   are told by how often each was taken. */
const char* scale_lock_name(const void* lock);

/* Memory of [size] bytes that is no part of what is looked at: zeroed */
void* scale_own(size_t size);
bool scale_is_own(const void* p);

/* Ends with a message if [ok] is false. */
void scale_need(bool ok, const char* what);

#endif /* SCALE_ARENA_H */
