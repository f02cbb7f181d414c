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

/* What the shards of pools and of frames have in common: a lock that a purge
   gives to others now and then, and when free pages are old. */

#ifndef CAML_JEMALLOC_SHARD_H
#define CAML_JEMALLOC_SHARD_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include "jemalloc_mutex.h"

/* Where no thread looks at ages, one in so many puts does: where none has for
   so long, ms, since it was time. */
#define CAML_SHARD_PUTS 64
#define CAML_SHARD_LATE 250

/* How often a purge looks whether those that wait have had their turn */
#define CAML_SHARD_YIELDS 100

struct caml_shard_lock {
  struct caml_ranked_mutex mutex; /* before jemalloc's own */
  atomic_int waiting; /* threads that wait for it, to get or put something */
};

static inline void caml_shard_lock(struct caml_shard_lock* lock) {
  if (caml_ranked_mutex_try_lock(&lock->mutex)) return;
  atomic_fetch_add(&lock->waiting, 1);
  caml_ranked_mutex_lock(&lock->mutex);
  atomic_fetch_sub(&lock->waiting, 1);
}

static inline void caml_shard_unlock(struct caml_shard_lock* lock) {
  caml_ranked_mutex_unlock(&lock->mutex);
}

/* The calling thread holds it. */
#define caml_shard_assert_held(lock)                                          \
  caml_ranked_mutex_assert_held(&(lock)->mutex)

/* Lets those that wait for the lock, to get or put something, have it before
   the next purge. */
static inline void caml_shard_yield(struct caml_shard_lock* lock) {
  caml_ranked_mutex_assert_held(&lock->mutex);
  if (atomic_load(&lock->waiting) == 0) return;
  caml_ranked_mutex_unlock(&lock->mutex);
  for (int i = 0; i < CAML_SHARD_YIELDS && atomic_load(&lock->waiting) != 0;
       i++)
    sched_yield();
  caml_ranked_mutex_lock(&lock->mutex);
}

/* In a forked child: a thread that waited is not there. */
static inline void caml_shard_postfork_child(struct caml_shard_lock* lock) {
  atomic_store(&lock->waiting, 0);
  caml_ranked_mutex_postfork_child(&lock->mutex);
}

/* The time for ages, ms, of a clock that costs little to read */
static inline uint64_t caml_shard_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Has half of the decay time, [ms], passed at [now], and [late] ms more?  -1:
   never.  With a time of 0 hardly anything is left to purge, so that no look is
   worth more than ten in a second.  [now] may be before [since]: it was read
   before the lock was waited for. */
static inline bool caml_shard_is_due(uint64_t since, ssize_t ms, uint64_t now,
                                     uint64_t late) {
  uint64_t half = ms == 0 ? 100 : (uint64_t)ms / 2;
  return ms >= 0 && now >= since + half + late;
}

/* Bytes that are free, by what their pages are */
struct caml_free_pages { size_t dirty, muzzy, retained; };

/* Will decay purge some of them, with these times, ms? */
static inline bool caml_free_pages_decay(struct caml_free_pages some,
                                         ssize_t dirty_ms, ssize_t muzzy_ms) {
  return (some.dirty > 0 && dirty_ms >= 0)
    || (some.muzzy > 0 && muzzy_ms >= 0);
}

#endif /* CAML_JEMALLOC_SHARD_H */
