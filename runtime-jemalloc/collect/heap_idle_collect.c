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

/* What the thread of an idle program does: the rest of the major cycle under
   way, a whole one, which finds all garbage, and one more that sweeps it and
   ends with a compaction.  The work of a domain is done in its place, in
   slices; whenever the program is back between two of them, all is left as it
   is. */

#define CAML_INTERNALS

#include <unistd.h>
#include "caml/domain.h"
#include "caml/gc_ctrl.h"
#include "caml/gc_stats.h"
#include "caml/heap_domain.h"
#include "caml/major_gc.h"
#include "caml/minor_gc.h"
#include "caml/shared_heap.h"
#include "caml/version.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"

/* How long a slice is to take, ns: a fifth of what the program may have to
   wait */
#define SLICE_NS 1000000

/* Words of work in a slice: of the first, and bounds */
#define SLICE_FIRST 100000
#define SLICE_LEAST 4096
#define SLICE_MOST (1 << 22)

/* What a compaction takes, ns a word of pools and large blocks, until one has
   been measured (the workers of bench/: 1.6 to 2.5); and bounds.  Live blocks
   alone would tell less: most of the time of one that few survive is that of
   looking at pools. */
#define STOP_GUESS 2.0
#define STOP_LEAST 1.0
#define STOP_MOST 12.0

/* Who serves a section in the place of a blocked domain lets go of its lock
   shortly after: looks, and microseconds between them */
#define LOOKS 20
#define LOOK_US 100

/* A collection is worth it if the program has allocated so much since the last:
   bytes, and of the heap in use one part in */
#define WORTH_BYTES ((uint64_t)1 << 20)
#define WORTH_PART 8

/* One that may bring little runs one part in so much of the time; and if the
   program hardly allocated, at most once a minute. */
#define COST_PART 20
#define PROBE_NS 60000000000ull

/* A compaction is worth it if so much of the heap in use is in free blocks */
#define COMPACT_BYTES ((size_t)1 << 20)
#define COMPACT_PART 20

#if OCAML_VERSION < 50500

/* Marking has begun when a cycle has. */
static bool marking_is_ahead(void) {
  return false;
}

static void begin_marking(void) {
}

#else

static bool marking_is_ahead(void) {
  return !caml_marking_started();
}

/* The minor collection marks the roots. */
static void begin_marking(void) {
  atomic_store_release(&caml_gc_mark_phase_requested, 1);
  caml_empty_minor_heaps_once();
}

#endif

void caml_idle_forget(struct caml_idle* idle) {
  idle->history = (struct caml_idle_history){
    .slice = SLICE_FIRST, .stop = STOP_GUESS
  };
}

/* What is summed up over the domains */
struct round {
  intnat slice;           /* words of work, in and out */
  bool swept, marked;     /* of this cycle, by all of them */
  uintnat used, live;     /* words: in pools and large blocks, and in blocks */
  struct caml_idle_count allocated;
  uint64_t young;                   /* of that, words in minor heaps now */
  unsigned domains;                 /* that have counted it */
};

/* Bytes in pools, large blocks and dirty pages */
static size_t held(void) {
  return caml_heap_in_use() + caml_arena_dirty(&caml_heap.arena);
}

/* Slices */

/* Adapts the slice to what the last one, of [ns], has shown: nothing if the
   domain had next to nothing to do. */
static void adapt(struct round* r, uint64_t ns) {
  if (ns > 2 * SLICE_NS && r->slice > SLICE_LEAST) r->slice /= 2;
  if (ns < SLICE_NS / 2 && ns > SLICE_NS / 64 && r->slice < SLICE_MOST)
    r->slice *= 2;
}

/* Goes on with the cycle, and begins the next. */
static void advance(struct round* r) {
  uint64_t began = caml_heap_now();
  uintnat cycle = caml_major_cycles_completed;
  caml_major_collection_slice(r->slice);
  if (cycle != caml_major_cycles_completed) caml_heap_reset_pacing();
  adapt(r, caml_heap_now() - began);
  r->swept = r->swept && Caml_state->sweeping_done;
}

/* Sweeps and marks, and leaves the end of the cycle. */
static void sweep_and_mark(struct round* r) {
  if (!Caml_state->sweeping_done
      || (!marking_is_ahead() && !Caml_state->marking_done)) {
    uint64_t began = caml_heap_now();
    caml_opportunistic_major_collection_slice(r->slice);
    adapt(r, caml_heap_now() - began);
  }
  r->swept = r->swept && Caml_state->sweeping_done;
  r->marked = r->marked && !marking_is_ahead() && Caml_state->marking_done;
}

static void count_words(struct round* r) {
  struct heap_stats s;
  caml_collect_heap_stats_sample(Caml_state->shared_heap, &s);
  r->used += (uintnat)(s.pool_words + s.large_words);
  r->live += (uintnat)(s.pool_live_words + s.pool_frag_words + s.large_words);
}

/* Words of the domain's minor heap that the statistics do not know yet */
static uint64_t young_words(void) {
  return (uint64_t)((value*)Caml_state->young_end
                    - (value*)Caml_state->young_ptr);
}

/* With what domains that have ended did; without what is in minor heaps */
static struct caml_idle_count known_allocation(void) {
  struct gc_stats s;
  caml_compute_gc_stats(&s);
  return (struct caml_idle_count){
    .major = (uint64_t)s.alloc_stats.major_words,
    .minor = (uint64_t)s.alloc_stats.minor_words
  };
}

struct caml_idle_count caml_idle_allocated(void) {
  struct caml_idle_count c = known_allocation();
  c.minor += young_words();
  return c;
}

static void count_allocation(struct round* r) {
  r->allocated = known_allocation();
  r->young += young_words();
  r->domains++;
}

static void mark_roots(struct round* r) {
  (void)r;
  if (marking_is_ahead()) begin_marking();
}

/* With the lock: a fork waits until none of the locks of the domains is ours
   for this moment, and no other is after it. */
static enum caml_domain_loan try_stand_in(struct caml_idle* idle, int i) {
  enum caml_domain_loan result;
  pthread_mutex_lock(&idle->lock);
  result = caml_idle_undisturbed(idle) ? caml_domain_borrow(i)
    : CAML_DOMAIN_BUSY;
  if (result == CAML_DOMAIN_BORROWED)
    atomic_store(&idle->in_place_of, Caml_state);
  pthread_mutex_unlock(&idle->lock);
  return result;
}

static void stand_down(struct caml_idle* idle) {
  caml_handle_incoming_interrupts();
  pthread_mutex_lock(&idle->lock);
  atomic_store(&idle->in_place_of, NULL);
  caml_domain_return();
  pthread_cond_broadcast(&idle->changed);
  pthread_mutex_unlock(&idle->lock);
}

static enum caml_domain_loan stand_in(struct caml_idle* idle, int i) {
  enum caml_domain_loan result = try_stand_in(idle, i);
  for (int look = 1; result == CAML_DOMAIN_BUSY && look < LOOKS
         && caml_idle_undisturbed(idle); look++) {
    usleep(LOOK_US);
    result = try_stand_in(idle, i);
  }
  return result;
}

/* Does a step of each domain's work.  False if the program is back. */
static bool for_domains(struct caml_idle* idle, void (*step)(struct round*),
                        struct round* r) {
  for (int i = 0;; i++) {
    switch (stand_in(idle, i)) {
      case CAML_DOMAIN_LAST: return true;
      case CAML_DOMAIN_NONE: break;
      case CAML_DOMAIN_BUSY: return false;
      case CAML_DOMAIN_BORROWED:
        step(r);
        stand_down(idle);
        break;
    }
  }
}

/* In the place of any one domain */
static bool for_one_domain(struct caml_idle* idle, void (*step)(struct round*),
                           struct round* r) {
  enum caml_domain_loan s;
  int i = 0;
  while ((s = stand_in(idle, i)) == CAML_DOMAIN_NONE) i++;
  if (s != CAML_DOMAIN_BORROWED) return false;
  step(r);
  stand_down(idle);
  return true;
}

/* The stages of a collection: false if the program is back */

static bool find_garbage(struct caml_idle* idle, struct round* r) {
  while (caml_major_cycles_completed < idle->history.goal) {
    r->swept = true;
    if (!for_domains(idle, advance, r)) return false;
    if (r->swept && marking_is_ahead() && !for_one_domain(idle, mark_roots, r))
      return false;
  }
  return true;
}

static bool sweep(struct caml_idle* idle, struct round* r) {
  do {
    r->swept = r->marked = true;
    if (!for_domains(idle, sweep_and_mark, r)) return false;
  } while (!r->swept);
  r->used = r->live = 0;
  return for_domains(idle, count_words, r);
}

static bool mark(struct caml_idle* idle, struct round* r) {
  do {
    /* again if the cycle has ended meanwhile, in another thread's slice */
    if (marking_is_ahead() && !for_one_domain(idle, mark_roots, r))
      return false;
    r->swept = r->marked = true;
    if (!for_domains(idle, sweep_and_mark, r)) return false;
  } while (!r->marked);
  return true;
}

static void note_stop(struct caml_idle_history* h, double ns, uintnat words) {
  double stop = (h->stop + ns / (double)(words + 1)) / 2;
  h->stop = stop < STOP_LEAST ? STOP_LEAST
    : stop > STOP_MOST ? STOP_MOST : stop;
}

static void compact(struct round* r) {
  struct caml_idle* idle = &caml_heap_idle;
  uint64_t began = caml_heap_now();
  atomic_store(&idle->compacting, true);
  caml_heap_finish_cycle(true);
  atomic_store(&idle->compacting, false);
  caml_heap_reset_pacing();
  note_stop(&idle->history, (double)(caml_heap_now() - began), r->used);
}

/* Is the compaction to wait, since it would stop the program for too long
   should it come back meanwhile?  Then the deadline is set. */
static bool too_early(struct caml_idle* idle, const struct round* r,
                      uint64_t since, uint64_t began) {
  uint64_t now = caml_heap_now();
  uint64_t stop = (uint64_t)(idle->history.stop * (double)r->used);
  uint64_t bound =
    (uint64_t)caml_heap_knob_get(CAML_KNOB_idle_pause_ms) * NS_PER_MS;
  if (stop <= bound || since + (now - began) >= 10 * stop) return false;
  idle->deadline = now + 10 * stop - since - (now - began);
  return true;
}

static bool worth_compacting(const struct round* r) {
  size_t free = r->used > r->live ? Bsize_wsize(r->used - r->live) : 0;
  return caml_heap_may_compact_unasked()
    && free >= COMPACT_BYTES && free >= caml_heap_in_use() / COMPACT_PART;
}

static enum caml_idle_outcome collect(struct caml_idle* idle, uint64_t since,
                                      uint64_t began) {
  struct round r = { .slice = idle->history.slice };
  bool done = find_garbage(idle, &r) && sweep(idle, &r);
  idle->history.slice = r.slice;
  if (!done) return CAML_IDLE_GIVEN_UP;
  if (worth_compacting(&r)) {
    if (!mark(idle, &r)) return CAML_IDLE_GIVEN_UP;
    if (too_early(idle, &r, since, began)) return CAML_IDLE_LATER;
    if (!for_one_domain(idle, compact, &r)) return CAML_IDLE_GIVEN_UP;
    atomic_fetch_add(&caml_collector.automatic.idle_compactions, 1);
  }
  caml_heap_give_back(caml_heap_knob_get(CAML_KNOB_compact_purge));
  return CAML_IDLE_DONE;
}

/* Is there anything to gain?  What other domains have counted is seen late: it
   may seem less than before by a little. */
static uint64_t growth(uint64_t before, uint64_t now) {
  return now >= before ? now - before : 0;
}

/* Is so little new that a collection that was given up goes on where it was? */
static bool resumes(const struct caml_idle_history* h, uint64_t fresh) {
  return h->goal != 0 && fresh < caml_heap_in_use() / WORTH_PART;
}

/* What has been allocated in the major heap since the last collection bounds
   what it can bring; 0 if the program has not run. */
static enum caml_idle_outcome is_worth(struct caml_idle* idle,
                                       const struct caml_idle_count* now) {
  struct caml_idle_history* h = &idle->history;
  uint64_t bytes = Bsize_wsize(growth(h->done.major, now->major));
  uint64_t fresh = Bsize_wsize(growth(h->goal_major, now->major));
  size_t in_use = caml_heap_in_use();
  uint64_t pause = COST_PART * h->cost;
  bool worth = bytes >= WORTH_BYTES && bytes >= in_use / WORTH_PART;
  if (bytes == 0 && growth(h->done.minor, now->minor) == 0)
    return CAML_IDLE_DONE;
  if (growth(h->tried_minor, now->minor) == 0) return CAML_IDLE_LATER;
  if (worth && bytes >= in_use / 2
      && (fresh >= in_use / 2 || resumes(h, fresh)))
    return CAML_IDLE_LATER;
  if (!worth && pause < PROBE_NS) pause = PROBE_NS;
  if (caml_heap_now() < h->ended + pause) idle->deadline = h->ended + pause;
  return CAML_IDLE_LATER;
}

/* All garbage is known after this and the next cycle, or after this one if its
   marking is still ahead. */
static void set_goal(struct caml_idle_history* h,
                     const struct caml_idle_count* now) {
  if (resumes(h, Bsize_wsize(growth(h->goal_major, now->major)))) return;
  h->goal = caml_major_cycles_completed + (marking_is_ahead() ? 1 : 2);
  h->goal_major = now->major;
}

static void note(struct caml_idle* idle, enum caml_idle_outcome outcome,
                 uint64_t began, size_t before) {
  struct caml_heap_automatic* a = &caml_collector.automatic;
  struct caml_idle_history* h = &idle->history;
  size_t after = held();
  h->ended = caml_heap_now();
  h->cost = h->ended - began;
  atomic_fetch_add(&a->idle_time, h->cost);
  if (outcome == CAML_IDLE_GIVEN_UP) atomic_fetch_add(&a->idle_given_up, 1);
  if (outcome != CAML_IDLE_DONE) return;
  h->goal = 0;
  atomic_fetch_add(&a->idle_collections, 1);
  if (after < before) atomic_fetch_add(&a->idle_returned, before - after);
  caml_gc_message(0x10, "Idle collection: %zuk of %zuk given back in %.1f ms\n",
                  (before > after ? before - after : 0) >> 10, before >> 10,
                  (double)h->cost / 1e6);
}

/* False if the program is back. */
static bool count(struct caml_idle* idle, struct caml_idle_count* now) {
  struct round r = { .domains = 0 };
  if (!for_domains(idle, count_allocation, &r) || r.domains == 0) return false;
  *now = r.allocated;
  now->minor += r.young;
  return true;
}

static enum caml_idle_outcome collect_from(struct caml_idle* idle,
                                           uint64_t since, uint64_t began,
                                           struct caml_idle_count* now) {
  struct caml_idle_history* h = &idle->history;
  size_t before = held();
  enum caml_idle_outcome outcome;
  set_goal(h, now);
  h->tried_minor = now->minor;
  outcome = collect(idle, since, began);
  if (outcome == CAML_IDLE_DONE) {
    /* The collection's own promotions are not the program's, but if that is
       back they are taken for its own. */
    count(idle, now);
    h->done = *now;
  }
  note(idle, outcome, began, before);
  return outcome;
}

/* A compaction of the program's own counts as one of these. */
static void see_compaction(struct caml_idle* idle) {
  struct caml_idle_history* h = &idle->history;
  if (idle->compacted.major <= h->done.major) return;
  h->done = idle->compacted;
  if (h->ended < idle->compacted_at) h->ended = idle->compacted_at;
}

enum caml_idle_outcome caml_idle_collect(struct caml_idle* idle,
                                         uint64_t since) {
  uint64_t began = caml_heap_now();
  enum caml_idle_outcome outcome = CAML_IDLE_GIVEN_UP;
  struct caml_idle_count now;
  see_compaction(idle);
  pthread_mutex_unlock(&idle->lock);
  atomic_store(&idle->collecting, true);
  if (count(idle, &now)) {
    outcome = is_worth(idle, &now);
    if (outcome == CAML_IDLE_LATER && idle->deadline == 0)
      outcome = collect_from(idle, since, began, &now);
  }
  atomic_store(&idle->collecting, false);
  pthread_mutex_lock(&idle->lock);
  return outcome;
}
