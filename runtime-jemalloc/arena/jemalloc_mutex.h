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

/* Mutexes with a rank, after jemalloc's witness.

   A thread takes mutexes in the order of their ranks, so that no two threads
   can wait for each other.  The debug runtime keeps the ranks that each thread
   holds, and stops at an assertion where
     - a thread takes a mutex while it holds one of the same rank or a higher;
     - a thread gives back a mutex that it does not hold;
     - a function runs without the mutex that it needs, which it says by
       [caml_ranked_mutex_assert_held].
   Other runtimes have the calls of pthread_mutex_lock and the like, and nothing
   else. */

#ifndef CAML_JEMALLOC_MUTEX_H
#define CAML_JEMALLOC_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include "jemalloc_assert.h"

/* Bytes.  Two lines of the cache: processors fetch the neighbour of a line with
   it, so what threads on different shards write lies that far apart.  With 128
   bytes two threads did 1.89 to 2.00 times what one does, with 64 bytes 1.22 to
   1.98: bench/programs/micro.c, seven runs of each by turns. */
#define CAML_CACHE_LINES 128

/* How many shards the pools of an arena have, and its frames: see
   jemalloc_pools.h and jemalloc_frames.h.  Domains whose numbers are so far
   apart share one. */
#define CAML_POOL_SHARDS 64

/* All mutexes of the heap's that have a rank, the first to be taken first: the
   table in README.md, which test/style compares with this.  jemalloc's own
   mutexes have their place after those of the shards: the two last are taken
   inside of its hooks. */
enum caml_rank {
  CAML_RANK_SHARE,      /* of heap_share.c */
  CAML_RANK_MEMORY,     /* of heap_memory.c */
  CAML_RANK_PRESSURE,   /* of heap_pressure.c */
  CAML_RANK_RELIEF,     /* of heap_relief.c */
  CAML_RANK_BACKGROUND, /* of struct caml_background */
  CAML_RANK_TRIM,       /* of struct caml_arena */
  CAML_RANK_STATISTICS, /* likewise */
  CAML_RANK_SHARD,      /* of the first shard of the pools; the others follow */
  CAML_RANK_FRAMES = CAML_RANK_SHARD + CAML_POOL_SHARDS, /* as many */
  CAML_RANK_PIECES = CAML_RANK_FRAMES + CAML_POOL_SHARDS, /* of the frames */
  CAML_RANK_EXTENTS,
  CAML_RANK_HUGE,
  CAML_RANK_CACHE,      /* a shard of struct caml_cache, which is no mutex: one
                           thread at a time enters it */
  CAML_N_RANKS
};

struct caml_ranked_mutex {
  pthread_mutex_t mutex;
  enum caml_rank rank; /* read by assertions only */
};

/* Makes the mutex ready.  No thread may hold it. */
void caml_ranked_mutex_init(struct caml_ranked_mutex* m, enum caml_rank rank);

/* In a forked child, whoever held it in the parent: nobody holds it now. */
void caml_ranked_mutex_postfork_child(struct caml_ranked_mutex* m);

/* Nobody holds it, nor ever will. */
void caml_ranked_mutex_destroy(struct caml_ranked_mutex* m);

/* What the calling thread holds.  In the debug runtime only. */
#ifdef DEBUG
void caml_rank_take(enum caml_rank rank);
void caml_rank_drop(enum caml_rank rank);
bool caml_rank_is_held(enum caml_rank rank);
#else
#define caml_rank_take(rank) ((void)(rank))
#define caml_rank_drop(rank) ((void)(rank))
#endif

static inline void caml_ranked_mutex_lock(struct caml_ranked_mutex* m) {
  int error;
  caml_rank_take(m->rank); /* before it waits: for whom may be waiting for it */
  error = pthread_mutex_lock(&m->mutex);
  assert(error == 0);
  (void)error;
}

/* False if another thread holds it.  What would be out of order is an error all
   the same. */
static inline bool caml_ranked_mutex_try_lock(struct caml_ranked_mutex* m) {
  if (pthread_mutex_trylock(&m->mutex) != 0) return false;
  caml_rank_take(m->rank);
  return true;
}

static inline void caml_ranked_mutex_unlock(struct caml_ranked_mutex* m) {
  int error;
  caml_rank_drop(m->rank);
  error = pthread_mutex_unlock(&m->mutex);
  assert(error == 0);
  (void)error;
}

/* The calling thread holds it. */
#define caml_ranked_mutex_assert_held(m) assert(caml_rank_is_held((m)->rank))

/* The mutex, which the calling thread holds, to wait with for a condition. */
static inline pthread_mutex_t*
caml_ranked_mutex_held(struct caml_ranked_mutex* m) {
  caml_ranked_mutex_assert_held(m);
  return &m->mutex;
}

/* For who tries again and again what another thread has to let go of.  Sleeps,
   for 20 us, rather than yields: the other may have a lower priority. */
void caml_wait_a_moment(void);

#endif /* CAML_JEMALLOC_MUTEX_H */
