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

#define _GNU_SOURCE /* clock_gettime */

#include "jemalloc_assert.h"
#include "jemalloc_background.h"

/* jemalloc, statistics included, uses a few KiB; the rest is for the C
   library's own data of a thread, which lies in its stack. */
#define STACK_SIZE ((size_t)256 << 10)

/* ns between two looks of the thread while pages wait for their time.  A tenth
   of the default decay time, so the last pages go at most that much late;
   jemalloc's decay goes in 200 steps over the decay time. */
#define INTERVAL_NS 100000000ull

static void lock(struct caml_background* b) {
  caml_ranked_mutex_lock(&b->lock);
}

static void unlock(struct caml_background* b) {
  caml_ranked_mutex_unlock(&b->lock);
}

/* Waits for a change, with the lock. */
static void wait(struct caml_background* b) {
  pthread_cond_wait(&b->changed, caml_ranked_mutex_held(&b->lock));
}

/* Has the heap taken pages since this was asked last? */
static bool has_grown(struct caml_background* b) {
  size_t before = b->committed;
  caml_ranked_mutex_assert_held(&b->lock);
  b->committed = atomic_load(&b->arena->extents.commit.bytes);
  return b->committed != before;
}

/* What is free of a heap that grows is not unmapped: jemalloc's next step would
   be larger than the one before, however little is left of that. */
static bool trim(struct caml_background* b) {
  bool grows = has_grown(b);
  if (grows && caml_limits_charge(&b->arena->extents.limits)) return false;
  caml_arena_trim(b->arena);
  return true;
}

/* Purges what is due, and returns whether something is left to be purged
   later.  With the lock held all the time, so that a fork waits for the end:
   in the child a purge that was under way would never end, and jemalloc would
   start no other. */
static bool decay(struct caml_background* b) {
  caml_ranked_mutex_assert_held(&b->lock);
  caml_arena_decay(b->arena);
  caml_arena_update_budget(b->arena);
  if (caml_arena_decays(b->arena)) return true;
  return !trim(b);
}

/* Nothing is left to purge: waits for [caml_background_freed].  Another look
   after the state has changed finds what was freed before; what is freed later
   wakes the thread up. */
static void sleep_until_woken(struct caml_background* b) {
  caml_ranked_mutex_assert_held(&b->lock);
  atomic_store(&b->state, CAML_BACKGROUND_ASLEEP);
  if (decay(b)) atomic_store(&b->state, CAML_BACKGROUND_AWAKE);
  while (atomic_load(&b->state) == CAML_BACKGROUND_ASLEEP && !b->stopping)
    wait(b);
}

static void note_clock(struct caml_background* b) {
  clockid_t clock;
  if (pthread_getcpuclockid(pthread_self(), &clock) == 0)
    atomic_store(&b->clock, clock);
}

static void* background(void* data) {
  struct caml_background* b = data;
  caml_thread_settle();
  note_clock(b);
  lock(b);
  while (!b->stopping) {
    if (decay(b))
      caml_thread_wait_until(&b->changed, caml_ranked_mutex_held(&b->lock),
                             caml_heap_now() + INTERVAL_NS);
    else
      sleep_until_woken(b);
  }
  atomic_store(&b->clock, 0);
  unlock(b);
  return NULL;
}

/* Makes the thread, with the lock held.  Where none can be made,
   [caml_background_poll] does its work, and tries again later. */
static bool start(struct caml_background* b) {
  uint64_t now = caml_heap_now();
  caml_ranked_mutex_assert_held(&b->lock);
  assert(!b->running && !b->stopping);
  if (!caml_thread_may_retry(&b->retry, now)) return false;
  b->running = caml_thread_start(&b->thread, STACK_SIZE, background, b);
  caml_thread_tried(&b->retry, now, b->running);
  return b->running;
}

void caml_background_init(struct caml_background* b, struct caml_arena* arena) {
  assert(arena != NULL);
  b->arena = arena;
  b->running = b->stopping = false;
  b->committed = 0;
  b->retry = (struct caml_thread_retry){ .wait = 0 };
  atomic_store(&b->next_poll, 0);
  atomic_store(&b->clock, 0);
  atomic_store(&b->state, CAML_BACKGROUND_OFF);
  caml_ranked_mutex_init(&b->lock, CAML_RANK_BACKGROUND);
  caml_thread_init_condition(&b->changed);
}

void caml_background_on(struct caml_background* b) {
  lock(b);
  if (atomic_load(&b->state) == CAML_BACKGROUND_OFF)
    atomic_store(&b->state, CAML_BACKGROUND_ASLEEP);
  unlock(b);
}

void caml_background_off(struct caml_background* b) {
  lock(b);
  while (b->stopping) /* by another thread */
    wait(b);
  atomic_store(&b->state, CAML_BACKGROUND_OFF);
  assert(!b->running || !pthread_equal(pthread_self(), b->thread));
  if (b->running) {
    b->stopping = true;
    pthread_cond_broadcast(&b->changed);
    unlock(b);
    pthread_join(b->thread, NULL);
    lock(b);
    b->running = b->stopping = false;
    pthread_cond_broadcast(&b->changed);
  }
  unlock(b);
}

static bool has_thread(struct caml_background* b) {
  enum caml_background_state state = atomic_load(&b->state);
  return state == CAML_BACKGROUND_ASLEEP || state == CAML_BACKGROUND_AWAKE;
}

/* Of several threads at once, the first does it. */
void caml_background_poll(struct caml_background* b) {
  uint64_t now, next;
  caml_background_settle(b);
  if (has_thread(b)) return;
  now = caml_heap_now();
  next = atomic_load(&b->next_poll);
  if (now < next
      || !atomic_compare_exchange_strong(&b->next_poll, &next,
                                         now + INTERVAL_NS))
    return;
  lock(b);
  decay(b);
  if (atomic_load(&b->state) == CAML_BACKGROUND_REFUSED
      && caml_thread_may_retry(&b->retry, now))
    /* whoever frees memory next makes the thread */
    atomic_store(&b->state, CAML_BACKGROUND_ASLEEP);
  unlock(b);
}

void caml_background_wake(struct caml_background* b) {
  lock(b);
  if (caml_background_sleeps(b) && !b->stopping) {
    bool running = b->running || start(b);
    atomic_store(&b->state, running ? CAML_BACKGROUND_AWAKE
                 : CAML_BACKGROUND_REFUSED);
    pthread_cond_broadcast(&b->changed);
  }
  unlock(b);
}

void caml_background_hold(struct caml_background* b) {
  lock(b);
}

void caml_background_release(struct caml_background* b) {
  unlock(b);
}

void caml_background_postfork_child(struct caml_background* b) {
  bool is_due = b->running || atomic_load(&b->state) == CAML_BACKGROUND_FORKED;
  caml_ranked_mutex_assert_held(&b->lock);
  caml_ranked_mutex_postfork_child(&b->lock);
  caml_thread_init_condition(&b->changed);
  b->running = b->stopping = false;
  atomic_store(&b->clock, 0);
  if (atomic_load(&b->state) == CAML_BACKGROUND_OFF) return;
  atomic_store(&b->state, is_due ? CAML_BACKGROUND_FORKED
               : CAML_BACKGROUND_ASLEEP);
}
