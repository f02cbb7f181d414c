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

#include <sys/resource.h>
#include "caml/domain.h"
#include "caml/heap_domain.h"
#include "caml/platform.h"
#include "caml/signals.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_sharing.h"
#include "jemalloc_process.h"

struct caml_idle caml_heap_idle;

static _Thread_local bool is_own_thread;

bool caml_heap_stands_in(void) {
  return is_own_thread;
}

/* A heap below this is not worth a thread, bytes. */
#define LEAST_HEAP ((size_t)4 << 20)

/* But where the process has taken so many bytes its custom blocks may hold
   them.  That is looked at every 10 ms at most, ns: page faults for as much
   take about as long. */
#define LEAST_PROCESS ((size_t)32 << 20)
#define SIZE_LOOKS (10 * NS_PER_MS)

/* How often a gap is waited for */
#define GAP_LOOKS 4

static void lock(struct caml_idle* idle) {
  pthread_mutex_lock(&idle->lock);
}

static void unlock(struct caml_idle* idle) {
  pthread_mutex_unlock(&idle->lock);
}

/* The thread */

/* Finalisers that were postponed are for the program's own threads: the domain
   does a slice as soon as one of them is back. */
void caml_idle_return_domain(void) {
  if (caml_heap_has_postponed()) caml_request_major_slice(0);
  caml_domain_return();
}

/* Are all domains in blocking sections? */
static bool all_blocked(void) {
  for (int i = 0;; i++) {
    switch (caml_domain_borrow(i)) {
      case CAML_DOMAIN_LAST: return true;
      case CAML_DOMAIN_NONE: break;
      case CAML_DOMAIN_BUSY: return false;
      case CAML_DOMAIN_BORROWED: caml_idle_return_domain(); break;
    }
  }
}

uint64_t caml_idle_own_cpu(void) {
  return caml_heap_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* Of the process without the runtime's threads */
static uint64_t program_cpu(void) {
  clockid_t purging = atomic_load(&caml_heap.background.clock);
  uint64_t ours =
    caml_idle_own_cpu() + (purging ? caml_heap_clock(purging) : 0);
  uint64_t all = caml_heap_clock(CLOCK_PROCESS_CPUTIME_ID);
  return all > ours ? all - ours : 0;
}

static void set_quiet(struct caml_idle* idle) {
  if (!atomic_exchange(&idle->quiet, true)) idle->touched = true;
}

void caml_idle_look(struct caml_idle* idle, bool blocked) {
  struct caml_idle_look look = {
    .now = caml_heap_now(), .cpu = program_cpu(), .blocked = blocked,
    .in_use = caml_heap_in_use()
  };
  set_quiet(idle);
  look.touched = idle->touched;
  idle->touched = false;
  caml_idle_policy_look(&idle->policy, &look);
}

static bool is_undisturbed(struct caml_idle* idle) {
  return atomic_load(&idle->quiet) && !atomic_load(&idle->stopping);
}

/* Waits until the program is at rest for a moment.  False if it is not, or the
   thread is to stop. */
static bool find_gap(struct caml_idle* idle) {
  bool found = false;
  for (int n = 0; n < GAP_LOOKS && !found && !atomic_load(&idle->stopping);
       n++) {
    set_quiet(idle);
    caml_thread_wait_until(&idle->changed, &idle->lock,
                           caml_heap_now() + CAML_IDLE_GAP);
    found = is_undisturbed(idle);
  }
  return found;
}

static void use_gap(struct caml_idle* idle) {
  bool found = find_gap(idle);
  if (found) {
    unlock(idle);
    caml_idle_work_ahead(idle);
    lock(idle);
  }
  caml_ahead_tried(&idle->ahead, found);
  atomic_store(&idle->ahead_asked, false);
}

/* Is it to do something else?  It may have been told while it had let the lock
   go. */
static bool is_called(struct caml_idle* idle) {
  return atomic_load(&idle->stopping) || atomic_load(&idle->urgent);
}

/* Waits for so long, or until something has changed. */
static void wait_for(struct caml_idle* idle, uint64_t ns) {
  uint64_t until = caml_heap_now() + ns;
  while (!is_called(idle) && caml_heap_now() < until) {
    if (!atomic_load(&idle->ahead_asked))
      caml_thread_wait_until(&idle->changed, &idle->lock, until);
    if (!atomic_load(&idle->ahead_asked)) return;
    use_gap(idle);
  }
}

/* Waits until the program has been at rest for long enough.  False if the
   thread is to stop or is no longer wanted. */
static bool wait_for_rest(struct caml_idle* idle) {
  struct caml_idle_policy* p = &idle->policy;
  intnat ms;
  while (!atomic_load(&idle->stopping)
         && (ms = caml_heap_knob_get(CAML_KNOB_idle_compact_ms)) >= 0) {
    p->wanted = (uint64_t)ms * NS_PER_MS;
    if (atomic_exchange(&idle->urgent, false)) p->urgent = true;
    caml_idle_look(idle, atomic_load(&idle->quiet) && all_blocked());
    if (caml_idle_policy_rest(p) >= caml_idle_policy_wait(p)) return true;
    wait_for(idle, caml_idle_policy_interval(p));
  }
  return false;
}

/* Waits to be woken up, or for the deadline. */
static void sleep_until_woken(struct caml_idle* idle) {
  atomic_store(&idle->asleep, true);
  while (atomic_load(&idle->asleep) && is_undisturbed(idle)
         && !is_called(idle)) {
    if (idle->deadline == 0)
      pthread_cond_wait(&idle->changed, &idle->lock);
    else if (caml_heap_now() < idle->deadline)
      caml_thread_wait_until(&idle->changed, &idle->lock, idle->deadline);
    else
      break;
  }
  atomic_store(&idle->asleep, false);
}

/* Who wakes up often, but does no work, is not looked at as often. */
static void rest(struct caml_idle* idle) {
  struct caml_idle_policy* p = &idle->policy;
  sleep_until_woken(idle);
  if (atomic_load(&idle->quiet) || is_called(idle)) return;
  wait_for(idle, caml_heap_has_postponed() ? caml_idle_policy_interval(p)
           : caml_idle_policy_pause(p));
}

static void* watch(void* data) {
  struct caml_idle* idle = data;
  is_own_thread = true;
  caml_thread_settle();
  lock(idle);
  caml_idle_policy_watch(&idle->policy, caml_heap_now(), program_cpu());
  while (!atomic_load(&idle->stopping)) {
    bool wanted = wait_for_rest(idle);
    idle->deadline = 0;
    /* not wanted: nothing disturbs it until it is */
    if (!wanted) atomic_store(&idle->quiet, true);
    if (!wanted || caml_idle_collect(idle))
      rest(idle);
    else
      wait_for(idle, caml_idle_policy_interval(&idle->policy));
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

/* The most that the process ever took, by one system call.  That is also what
   the process was before it called exec, a large one's child, say: so a file
   is read too, where it is much. */
static bool is_large(void) {
  struct rusage r;
  size_t resident;
  if (getrusage(RUSAGE_SELF, &r) != 0
      || (size_t)r.ru_maxrss < LEAST_PROCESS / 1024)
    return false;
  resident = caml_process_read().resident;
  return resident == 0 /* not known */ || resident >= LEAST_PROCESS;
}

/* The coarse clock takes a few ns, each time. */
static void look_at_size(struct caml_idle* idle) {
  uint64_t now = caml_heap_clock(CLOCK_MONOTONIC_COARSE);
  if (now < atomic_load(&idle->next_size)) return;
  atomic_store(&idle->next_size, now + SIZE_LOOKS);
  if (is_large()) atomic_store(&idle->process_is_large, true);
}

static bool is_wanted(struct caml_idle* idle, bool begins) {
  if (caml_heap_knob_get(CAML_KNOB_idle_compact_ms) < 0) return false;
  if (caml_heap_in_use() >= LEAST_HEAP) return true;
  if (begins && !atomic_load(&idle->process_is_large)) look_at_size(idle);
  return atomic_load(&idle->process_is_large);
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
  if (!is_wanted(idle, begins)) {
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

/* Has the thread look for a gap.  If it is not to be had at once, the next
   blocking section tries again. */
static void ask_ahead(struct caml_idle* idle) {
  if (atomic_load(&idle->ahead_asked)
      || pthread_mutex_trylock(&idle->lock) != 0)
    return;
  if (idle->running && !atomic_load(&idle->stopping)) {
    atomic_store(&idle->ahead_asked, true);
    pthread_cond_broadcast(&idle->changed);
  } else {
    caml_ahead_all_done(&idle->ahead);
  }
  unlock(idle);
}

static void note_delay(uint64_t delay) {
  _Atomic size_t* longest = &caml_collector.automatic.longest_delay;
  size_t so_far = atomic_load(longest);
  while (delay > so_far
         && !atomic_compare_exchange_weak(longest, &so_far, delay)) {}
}

/* Is the thread collecting, or does it work for a domain? */
static bool is_at_work(struct caml_idle* idle) {
  return atomic_load(&idle->collecting)
    || atomic_load(&idle->in_place_of) != NULL;
}

/* Somebody else has the lock: the thread lets it go as soon as it looks, and
   takes none while there is who waits. */
static void wait_for_domain(struct caml_idle* idle,
                            caml_plat_mutex* domain_lock) {
  uint64_t began = is_at_work(idle) ? caml_heap_now() : 0;
  atomic_fetch_add(&idle->waiting, 1);
  if (began != 0) disturb(idle, false);
  caml_plat_lock_blocking(domain_lock);
  atomic_fetch_sub(&idle->waiting, 1);
  if (began != 0) note_delay(caml_heap_now() - began);
}

void caml_heap_lock_domain(caml_plat_mutex* domain_lock) {
  struct caml_idle* idle = &caml_heap_idle;
  if (atomic_load_explicit(&idle->quiet, memory_order_relaxed))
    disturb(idle, false);
  if (!caml_plat_try_lock(domain_lock)) wait_for_domain(idle, domain_lock);
}

void caml_heap_unlock_domain(caml_plat_mutex* domain_lock) {
  struct caml_idle* idle = &caml_heap_idle;
  if (atomic_load_explicit(&idle->quiet, memory_order_relaxed)) {
    caml_background_settle(&caml_heap.background); /* a child's */
    disturb(idle, true);
  }
  if (caml_ahead_is_wanted(&idle->ahead)) ask_ahead(idle);
  caml_plat_unlock(domain_lock);
}

/* No thread yet: the next blocking section asks for one. */
static void reset(struct caml_idle* idle) {
  idle->running = false;
  atomic_store(&idle->in_place_of, NULL);
  idle->deadline = idle->paid = 0;
  idle->goal.cycle = 0;
  atomic_store(&idle->process_is_large, false);
  atomic_store(&idle->next_size, 0);
  atomic_store(&idle->stopping, false);
  atomic_store(&idle->collecting, false);
  atomic_store(&idle->compacting, false);
  atomic_store(&idle->urgent, false);
  atomic_store(&idle->ahead_asked, false);
  caml_ahead_all_done(&idle->ahead);
  atomic_store(&idle->waiting, 0);
  atomic_store(&idle->asleep, true);
  atomic_store(&idle->quiet, true);
}

void caml_idle_init(struct caml_idle* idle) {
  caml_idle_policy_init(&idle->policy, (struct caml_idle_count){ 0, 0 });
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

void caml_idle_collect_soon(struct caml_idle* idle) {
  lock(idle);
  if (idle->running) {
    atomic_store(&idle->urgent, true);
    atomic_store(&idle->asleep, false);
    pthread_cond_broadcast(&idle->changed);
  }
  unlock(idle);
}

void caml_idle_compacted(struct caml_idle* idle,
                         struct caml_idle_count allocated) {
  lock(idle);
  idle->compacted = allocated;
  idle->compacted_at = caml_heap_now();
  unlock(idle);
}

/* A child's heap is not new to it: to collect it would unshare its pages.  C
   code that forks in a blocking section waits until nobody works for its
   domain; not where that may be waiting for another domain, and that one for
   the C code: with several the child is not to run OCaml code anyway. */
void caml_idle_prefork(struct caml_idle* idle) {
  lock(idle);
  atomic_fetch_add(&idle->waiting, 1);
  while (Caml_state_opt == NULL && atomic_load(&idle->in_place_of) != NULL
         && caml_domain_alone())
    pthread_cond_wait(&idle->changed, &idle->lock);
  atomic_fetch_sub(&idle->waiting, 1);
  if (Caml_state_opt != NULL && !atomic_load(&idle->stopping))
    idle->at_fork = caml_idle_allocated();
}

void caml_idle_postfork_parent(struct caml_idle* idle) {
  caml_heap_forked();
  unlock(idle);
}

void caml_idle_postfork_child(struct caml_idle* idle) {
  bool stopped = atomic_load(&idle->stopping);
  caml_idle_policy_init(&idle->policy, idle->at_fork);
  idle->compacted = (struct caml_idle_count){ 0, 0 };
  caml_heap_forked();
  caml_thread_init_lock(&idle->lock, &idle->changed);
  reset(idle);
  atomic_store(&idle->stopping, stopped);
}

void caml_heap_tell_refused_threads(void) {
  static _Atomic bool told;
  if (caml_thread_failures() == 0 || atomic_exchange(&told, true)) return;
  caml_gc_message(-1, "The system refuses a thread for the major heap: unused "
                  "memory goes back while the program runs, not when it is "
                  "idle\n");
}
