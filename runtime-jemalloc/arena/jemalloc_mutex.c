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

#define _GNU_SOURCE /* nanosleep */
#include <stdint.h>
#include <time.h>
#include "jemalloc_mutex.h"

void caml_ranked_mutex_init(struct caml_ranked_mutex* m, enum caml_rank rank) {
  assert(rank < CAML_N_RANKS);
  m->rank = rank;
  pthread_mutex_init(&m->mutex, NULL);
}

void caml_ranked_mutex_destroy(struct caml_ranked_mutex* m) {
  assert(!caml_rank_is_held(m->rank));
  pthread_mutex_destroy(&m->mutex);
}

void caml_wait_a_moment(void) {
  struct timespec moment = { 0, 20000 };
  nanosleep(&moment, NULL);
}

#ifdef DEBUG

/* A bit for each rank that the thread holds.  Two mutexes of one rank are never
   held at once, so a rank stands for its mutex. */
#define WORDS ((CAML_N_RANKS + 63) / 64)
static _Thread_local uint64_t held[WORDS];

static uint64_t bit(enum caml_rank rank) {
  return (uint64_t)1 << rank % 64;
}

/* Does the thread hold a rank that is no lower? */
static bool holds_from(enum caml_rank rank) {
  unsigned word = rank / 64;
  if (held[word] >= bit(rank)) return true;
  while (++word < WORDS)
    if (held[word] != 0) return true;
  return false;
}

void caml_rank_take(enum caml_rank rank) {
  assert(rank < CAML_N_RANKS);
  assert(!holds_from(rank)); /* what is held is lower */
  held[rank / 64] |= bit(rank);
}

void caml_rank_drop(enum caml_rank rank) {
  assert(caml_rank_is_held(rank));
  held[rank / 64] &= ~bit(rank);
}

bool caml_rank_is_held(enum caml_rank rank) {
  return (held[rank / 64] & bit(rank)) != 0;
}

#endif

/* Only the thread that forked is in the child, with what it held. */
void caml_ranked_mutex_postfork_child(struct caml_ranked_mutex* m) {
#ifdef DEBUG
  held[m->rank / 64] &= ~bit(m->rank);
#endif
  pthread_mutex_init(&m->mutex, NULL);
}
