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

#ifndef DEBUG
#define NDEBUG /* assertions in the debug runtime only, as in all of OCaml's */
#endif
#include <assert.h>
#include "jemalloc_background.h"

/* jemalloc, statistics included, uses a few KiB; the rest is for the C
   library's own data of a thread, which lies in its stack. */
#define STACK_SIZE ((size_t)256 << 10)

/* How often the thread looks while pages are waiting.  jemalloc's decay goes in
   200 steps over the decay time; with a tenth of the default, the last pages go
   at most that much late. */
#define INTERVAL_NS 100000000ull

static void lock(struct caml_background* b) {
  int error = pthread_mutex_lock(&b->lock);
  assert(error == 0);
  (void)error;
}

static void unlock(struct caml_background* b) {
  pthread_mutex_unlock(&b->lock);
}

/* Purges what is due.  Is something left to be purged later?  The lock is held
   all the time, so that a fork waits for the end: a child would never see the
   end of a purge that was under way, and jemalloc would start no other. */
static bool decay(struct caml_background* b) {
  caml_arena_decay(b->arena);
  caml_arena_pace(b->arena);
  if (caml_arena_decays(b->arena)) return true;
  caml_arena_trim(b->arena);
  return false;
}

/* Nothing is left: waits for [caml_background_freed].  What is freed before
   the state changes is seen by another look, what is freed later wakes us. */
static void sleep_until_woken(struct caml_background* b) {
  atomic_store(&b->state, CAML_BACKGROUND_ASLEEP);
  if (decay(b)) atomic_store(&b->state, CAML_BACKGROUND_AWAKE);
  while (atomic_load(&b->state) == CAML_BACKGROUND_ASLEEP && !b->stopping)
    pthread_cond_wait(&b->changed, &b->lock);
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
      caml_thread_wait_until(&b->changed, &b->lock,
                             caml_heap_now() + INTERVAL_NS);
    else
      sleep_until_woken(b);
  }
  atomic_store(&b->clock, 0);
  unlock(b);
  return NULL;
}

/* Makes the thread, with the lock held.  Where there can be none,
   [caml_background_poll] does its work, and tries again. */
static bool start(struct caml_background* b) {
  uint64_t now = caml_heap_now();
  if (!caml_thread_may_retry(&b->retry, now)) return false;
  b->running = caml_thread_start(&b->thread, STACK_SIZE, background, b);
  caml_thread_tried(&b->retry, now, b->running);
  return b->running;
}

void caml_background_init(struct caml_background* b, struct caml_arena* arena) {
  b->arena = arena;
  b->running = b->stopping = false;
  b->retry = (struct caml_thread_retry){ .failures = 0 };
  atomic_store(&b->next_poll, 0);
  atomic_store(&b->clock, 0);
  atomic_store(&b->state, CAML_BACKGROUND_OFF);
  caml_thread_init_lock(&b->lock, &b->changed);
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
    pthread_cond_wait(&b->changed, &b->lock);
  atomic_store(&b->state, CAML_BACKGROUND_OFF);
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

/* Threads that are late leave it to the one that is not. */
void caml_background_poll(struct caml_background* b) {
  uint64_t now, next;
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
    atomic_store(&b->state, CAML_BACKGROUND_ASLEEP); /* who frees makes it */
  unlock(b);
}

void caml_background_wake(struct caml_background* b) {
  lock(b);
  if (atomic_load(&b->state) == CAML_BACKGROUND_ASLEEP && !b->stopping) {
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
  bool had_thread = b->running;
  caml_thread_init_lock(&b->lock, &b->changed);
  b->running = b->stopping = false;
  atomic_store(&b->clock, 0);
  if (atomic_load(&b->state) == CAML_BACKGROUND_OFF) return;
  atomic_store(&b->state, CAML_BACKGROUND_ASLEEP);
  if (had_thread) caml_background_wake(b);
}
