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

/* The thread that watches for an idle program. */

#define CAML_INTERNALS

#include "caml/domain.h"
#include "caml/heap_domain.h"
#include "caml/platform.h"
#include "caml/version.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"

#if OCAML_VERSION < 50300
#define caml_plat_lock_blocking caml_plat_lock /* before it was renamed */
#endif

struct caml_idle caml_heap_idle;

/* A heap below this is not worth a thread. */
#define LEAST_HEAP ((size_t)4 << 20)

/* Looks a period of Xidle_compact_ms: one after the other without a sign of the
   program make an idle one. */
#define LOOKS 4

/* But not more often than this */
#define LEAST_WAIT NS_PER_MS

static void lock(struct caml_idle* idle) {
  pthread_mutex_lock(&idle->lock);
}

static void unlock(struct caml_idle* idle) {
  pthread_mutex_unlock(&idle->lock);
}

/* The thread */

/* Are all domains in blocking sections? */
static bool all_blocked(void) {
  for (int i = 0;; i++) {
    switch (caml_domain_borrow(i)) {
      case CAML_DOMAIN_LAST: return true;
      case CAML_DOMAIN_NONE: break;
      case CAML_DOMAIN_BUSY: return false;
      case CAML_DOMAIN_BORROWED: caml_domain_return(); break;
    }
  }
}

static uint64_t idle_ns(void) {
  intnat ms = caml_heap_knob_get(CAML_KNOB_idle_compact_ms);
  return ms < 0 ? UINT64_MAX : (uint64_t)ms * NS_PER_MS;
}

/* Waits until the program has been idle for long enough, and returns for how
   long; 0 if the thread is to stop or is no longer wanted. */
static uint64_t wait_for_idleness(struct caml_idle* idle) {
  uint64_t wanted;
  while (!atomic_load(&idle->stopping)
         && (wanted = idle_ns()) != UINT64_MAX) {
    uint64_t now = caml_heap_now(), look = wanted / LOOKS;
    if (!atomic_exchange(&idle->quiet, true) || !all_blocked())
      idle->began = now;
    else if (now - idle->began >= wanted)
      return now - idle->began + 1;
    caml_thread_wait_until(&idle->changed, &idle->lock,
                           now + (look > LEAST_WAIT ? look : LEAST_WAIT));
  }
  return 0;
}

/* Waits to be woken up, or for the deadline. */
static void sleep_until_woken(struct caml_idle* idle) {
  atomic_store(&idle->asleep, true);
  while (atomic_load(&idle->asleep) && caml_idle_undisturbed(idle)) {
    if (idle->deadline == 0)
      pthread_cond_wait(&idle->changed, &idle->lock);
    else if (caml_heap_now() < idle->deadline)
      caml_thread_wait_until(&idle->changed, &idle->lock, idle->deadline);
    else
      break;
  }
  atomic_store(&idle->asleep, false);
}

static void* watch(void* data) {
  struct caml_idle* idle = data;
  uint64_t since;
  caml_thread_settle();
  lock(idle);
  idle->began = idle->history.ended = caml_heap_now();
  while (!atomic_load(&idle->stopping)) {
    since = wait_for_idleness(idle);
    idle->deadline = 0;
    /* not wanted: nothing disturbs it until it is */
    if (since == 0) atomic_store(&idle->quiet, true);
    if (since == 0 || caml_idle_collect(idle, since) != CAML_IDLE_GIVEN_UP)
      sleep_until_woken(idle);
  }
  unlock(idle);
  return NULL;
}

/* Makes the thread, with the lock held.  It does the work of a domain's main
   thread, so its stack is as large.  If there can be none now, a blocking
   section some time later tries again. */
static bool start(struct caml_idle* idle) {
  uint64_t now = caml_heap_now();
  if (!caml_thread_may_retry(&idle->retry, now)) return false;
  idle->running = caml_thread_start(&idle->thread, caml_thread_program_stack(),
                                    watch, idle);
  caml_thread_tried(&idle->retry, now, idle->running);
  caml_heap_tell_refused_threads();
  return idle->running;
}

/* The program */

static bool is_wanted(void) {
  return caml_heap_knob_get(CAML_KNOB_idle_compact_ms) >= 0
    && caml_heap_in_use() >= LEAST_HEAP;
}

/* A blocking section begins or ends, the first since [quiet] was set.  The
   thread sees that by [quiet]; if it sleeps, it is woken up.  One is made only
   where a section begins: a child that is to call exec has none. */
static void disturb(struct caml_idle* idle, bool begins) {
  bool cleared = false;
  if (!atomic_load(&idle->asleep)) {
    atomic_store(&idle->quiet, false);
    if (!atomic_load(&idle->asleep)) return;
    cleared = true; /* it has fallen asleep meanwhile */
  }
  if (!is_wanted()) {
    /* who comes next looks again */
    if (cleared) atomic_store(&idle->quiet, true);
    return;
  }
  lock(idle);
  if (atomic_load(&idle->asleep) && !atomic_load(&idle->stopping)
      && (idle->running || (begins && start(idle)))) {
    atomic_store(&idle->quiet, false);
    atomic_store(&idle->asleep, false);
    pthread_cond_broadcast(&idle->changed);
  }
  unlock(idle);
}

static void note_delay(uint64_t delay) {
  _Atomic size_t* longest = &caml_collector.automatic.longest_delay;
  size_t so_far = atomic_load(longest);
  while (delay > so_far
         && !atomic_compare_exchange_weak(longest, &so_far, delay)) {}
}

void caml_heap_lock_domain(caml_plat_mutex* domain_lock) {
  struct caml_idle* idle = &caml_heap_idle;
  if (atomic_load_explicit(&idle->quiet, memory_order_relaxed))
    disturb(idle, false);
  if (caml_plat_try_lock(domain_lock)) return;
  if (atomic_load(&idle->collecting)) {
    uint64_t began = caml_heap_now();
    disturb(idle, false);
    caml_plat_lock_blocking(domain_lock);
    note_delay(caml_heap_now() - began);
  } else {
    caml_plat_lock_blocking(domain_lock);
  }
}

void caml_heap_unlock_domain(caml_plat_mutex* domain_lock) {
  struct caml_idle* idle = &caml_heap_idle;
  if (atomic_load_explicit(&idle->quiet, memory_order_relaxed))
    disturb(idle, true);
  caml_plat_unlock(domain_lock);
}

/* No thread yet: the next blocking section asks for one. */
static void reset(struct caml_idle* idle) {
  idle->running = false;
  atomic_store(&idle->in_place_of, NULL);
  idle->deadline = 0;
  atomic_store(&idle->stopping, false);
  atomic_store(&idle->collecting, false);
  atomic_store(&idle->compacting, false);
  atomic_store(&idle->asleep, true);
  atomic_store(&idle->quiet, true);
}

void caml_idle_init(struct caml_idle* idle) {
  caml_idle_forget(idle);
  caml_thread_init_lock(&idle->lock, &idle->changed);
  reset(idle);
}

void caml_idle_stop(struct caml_idle* idle) {
  lock(idle);
  atomic_store(&idle->stopping, true);
  pthread_cond_broadcast(&idle->changed);
  unlock(idle);
  if (!idle->running) return;
  /* It may be waiting for this domain in a stop-the-world section. */
  caml_bt_exit_ocaml();
  caml_release_domain_lock();
  pthread_join(idle->thread, NULL);
  caml_bt_enter_ocaml();
  caml_acquire_domain_lock();
  idle->running = false;
}

void caml_idle_look_again(struct caml_idle* idle) {
  lock(idle);
  pthread_cond_broadcast(&idle->changed);
  unlock(idle);
}

void caml_idle_compacted(struct caml_idle* idle) {
  lock(idle);
  idle->compacted = caml_idle_allocated();
  idle->compacted_at = caml_heap_now();
  unlock(idle);
}

/* A child's heap is not new to it: to collect it would unshare its pages.  C
   code that forks in a blocking section waits until nobody works for its
   domain. */
void caml_idle_prefork(struct caml_idle* idle) {
  lock(idle);
  while (Caml_state_opt == NULL && atomic_load(&idle->in_place_of) != NULL) {
    atomic_store(&idle->quiet, false);
    pthread_cond_wait(&idle->changed, &idle->lock);
  }
  if (Caml_state_opt != NULL && !atomic_load(&idle->stopping))
    idle->at_fork = caml_idle_allocated();
}

void caml_idle_postfork_parent(struct caml_idle* idle) {
  unlock(idle);
}

void caml_idle_postfork_child(struct caml_idle* idle) {
  bool stopped = atomic_load(&idle->stopping);
  caml_idle_forget(idle);
  idle->history.done = idle->at_fork;
  idle->history.goal_major = idle->at_fork.major;
  caml_thread_init_lock(&idle->lock, &idle->changed);
  reset(idle);
  atomic_store(&idle->stopping, stopped);
}

size_t caml_heap_refused_threads(void) {
  return atomic_load(&caml_heap.background.retry.failures)
    + atomic_load(&caml_heap_idle.retry.failures);
}

void caml_heap_tell_refused_threads(void) {
  static _Atomic bool told;
  if (caml_heap_refused_threads() == 0 || atomic_exchange(&told, true)) return;
  caml_gc_message(-1, "The system refuses a thread for the major heap: unused "
                  "memory goes back while the program runs, not when it is "
                  "idle\n");
}
