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
#include "caml/heap_evacuation.h"
#include "caml/heap_interrupt.h"
#include "caml/major_gc.h"
#include "caml/minor_gc.h"
#include "caml/shared_heap.h"
#include "caml/version.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_relief.h"
#include "heap_sharing.h"
#include "jemalloc_process.h"

/* Words of work in a slice that nobody interrupts: some milliseconds */
#define SLICE_WORDS ((intnat)1 << 18)

/* How often the program may not leave the locks of its domains alone for a gap,
   while it is at rest, before one is taken again */
#define GAPS 100

/* There is another collection to begin at the end of one if the program has
   allocated one part in so many of the heap in use meanwhile. */
#define FRESH_PART 8

/* A compaction is worth it if so much of the heap in use is in free blocks */
#define COMPACT_BYTES ((size_t)1 << 20)
#define COMPACT_PART 20

/* What a compaction reads of pools that it has a survey of: one part in so
   many */
#define POOL_PART 64

#if OCAML_VERSION < 50200
#define caml_collect_gc_stats_sample_stw caml_collect_gc_stats_sample
#endif

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

/* What is summed up over the domains */
struct round {
  uintnat cycle;          /* how many were completed at its last domain */
  bool ahead;             /* was the marking of the next still ahead? */
  bool swept, marked;     /* of this cycle, by all of them */
  bool surveyed;          /* for its compaction, likewise */
  uintnat used, live;     /* words: in pools and large blocks, and in blocks */
  struct caml_idle_count allocated;
  uint64_t young;                   /* of that, words in minor heaps now */
  size_t minor;                     /* bytes of minor heaps */
  unsigned domains;                 /* that have counted it */
};

/* Bytes in pools, large blocks and dirty pages */
static size_t held(void) {
  return caml_heap_in_use() + caml_arena_dirty(&caml_heap.arena);
}

static size_t less(size_t a, size_t b) {
  return a > b ? a - b : 0;
}

/* Bytes that the process takes beside its heap, without files: minor heaps,
   stacks, what C code has malloc'ed */
static size_t outside_of_heap(void) {
  return less(caml_process_read().anonymous,
              caml_heap_in_use() + caml_arena_unused(&caml_heap.arena));
}

/* Slices */

caml_domain_state* _Atomic caml_heap_interruptible_slice;

/* In the idle phase of OCaml 5.5, between sweeping and marking, a slice counts
   work that is not done. */
static bool is_idle_phase(void) {
  return Caml_state->sweeping_done && marking_is_ahead();
}

void caml_heap_note_chunk(uintnat words) {
  _Atomic size_t* longest = &caml_collector.automatic.longest_chunk;
  CAMLassert(caml_heap_interruptible());
  if (is_idle_phase()) return;
  if (words > atomic_load(longest)) atomic_store(longest, words);
  caml_ahead_done(&caml_heap_idle.ahead, (intptr_t)words);
  caml_heap_idle.words += words;
}

bool caml_heap_poll(void) {
  CAMLassert(caml_heap_interruptible());
  return caml_idle_is_awaited(&caml_heap_idle)
    || caml_incoming_interrupts_queued();
}

/* What is done between the two ends sooner if somebody waits for it. */
static void begin_slice(void) {
  atomic_store(&caml_heap_interruptible_slice, Caml_state);
}

static void end_slice(void) {
  atomic_store(&caml_heap_interruptible_slice, NULL);
  if (atomic_load(&caml_heap_idle.waiting) > 0)
    atomic_fetch_add(&caml_collector.automatic.idle_interrupted, 1);
}

static void do_slice(void (*slice)(intnat)) {
  begin_slice();
  slice(SLICE_WORDS);
  end_slice();
}

/* In the place of a domain: others may write it elsewhere. */
static void note_cycle(struct round* r) {
  r->cycle = caml_major_cycles_completed;
  r->ahead = marking_is_ahead();
}

/* Goes on with the cycle, and begins the next. */
static void advance(struct round* r) {
  uintnat cycle = caml_major_cycles_completed;
  do_slice(caml_major_collection_slice);
  note_cycle(r);
  if (cycle != r->cycle) caml_heap_reset_pacing();
  r->swept = r->swept && Caml_state->sweeping_done;
}

/* Is there nothing for an opportunistic slice to do? */
static bool is_swept_and_marked(void) {
  return Caml_state->sweeping_done
    && (marking_is_ahead() || Caml_state->marking_done);
}

/* Sweeps and marks, and leaves the end of the cycle. */
static void sweep_and_mark(struct round* r) {
  if (!is_swept_and_marked())
    do_slice(caml_opportunistic_major_collection_slice);
  note_cycle(r);
  r->swept = r->swept && Caml_state->sweeping_done;
  r->marked = r->marked && !r->ahead && Caml_state->marking_done;
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
  note_cycle(r);
  r->allocated = known_allocation();
  r->young += young_words();
  r->minor += Bsize_wsize(Caml_state->minor_heap_wsz);
  r->domains++;
}

static void mark_roots(struct round* r) {
  (void)r;
  if (marking_is_ahead()) begin_marking();
}

/* Nothing is left behind: the statistics are those of the heap as it is now,
   and the empty minor heap has no pages. */
static void tidy_up(struct round* r) {
  caml_collect_gc_stats_sample_stw(Caml_state);
  caml_heap_release_minor();
  count_allocation(r);
}

/* The CPU time that the thread has taken is paid for up to here. */
static void pay(struct caml_idle* idle) {
  uint64_t cpu = caml_idle_own_cpu();
  caml_idle_policy_spend(&idle->policy, caml_heap_now(), cpu - idle->paid);
  idle->paid = cpu;
}

/* With the lock: a fork waits until none of the locks of the domains is ours
   for this moment, and no other is after it. */
static enum caml_domain_loan try_borrow(struct caml_idle* idle, int i) {
  enum caml_domain_loan result;
  pthread_mutex_lock(&idle->lock);
  result = caml_idle_is_awaited(idle) ? CAML_DOMAIN_BUSY
    : caml_domain_borrow(i);
  if (result == CAML_DOMAIN_BORROWED)
    atomic_store(&idle->in_place_of, Caml_state);
  pthread_mutex_unlock(&idle->lock);
  return result;
}

static void return_domain(struct caml_idle* idle) {
  caml_handle_incoming_interrupts();
  pthread_mutex_lock(&idle->lock);
  atomic_store(&idle->in_place_of, NULL);
  caml_idle_return_domain();
  pthread_cond_broadcast(&idle->changed);
  pthread_mutex_unlock(&idle->lock);
}

/* May the collection go on, the program being at rest but for a moment? */
static bool may_go_on(struct caml_idle* idle) {
  pay(idle);
  return !atomic_load(&idle->stopping)
    && caml_idle_policy_rests(&idle->policy)
    && caml_idle_policy_affords(&idle->policy, caml_heap_now());
}

/* The program is back: looks at what it has done, and lets a moment pass, in
   which it may or may not touch a domain's lock. */
static void let_pass(struct caml_idle* idle) {
  caml_idle_look(idle, false);
  usleep(CAML_IDLE_GAP / 1000);
}

/* False if the program does not go back to rest. */
static enum caml_domain_loan borrow(struct caml_idle* idle, int i) {
  enum caml_domain_loan result = CAML_DOMAIN_BUSY;
  for (int n = 0; n < GAPS && result == CAML_DOMAIN_BUSY && may_go_on(idle);
       n++) {
    if (n > 0) let_pass(idle);
    if (n == 0 || atomic_load(&idle->quiet)) result = try_borrow(idle, i);
  }
  return result;
}

/* Does a step of each domain's work.  False if the program is back. */
static bool for_domains(struct caml_idle* idle, void (*step)(struct round*),
                        struct round* r) {
  for (int i = 0;; i++) {
    switch (borrow(idle, i)) {
      case CAML_DOMAIN_LAST: return true;
      case CAML_DOMAIN_NONE: break;
      case CAML_DOMAIN_BUSY: return false;
      case CAML_DOMAIN_BORROWED:
        step(r);
        return_domain(idle);
        break;
    }
  }
}

/* In the place of any one domain */
static bool for_one_domain(struct caml_idle* idle, void (*step)(struct round*),
                           struct round* r) {
  enum caml_domain_loan s;
  int i = 0;
  while ((s = borrow(idle, i)) == CAML_DOMAIN_NONE) i++;
  if (s != CAML_DOMAIN_BORROWED) return false;
  step(r);
  return_domain(idle);
  return true;
}

/* The stages of a collection: false if it cannot go on */

static bool find_garbage(struct caml_idle* idle, struct round* r) {
  while (r->cycle < idle->goal.cycle) {
    r->swept = true;
    if (!for_domains(idle, advance, r)) return false;
    if (r->swept && r->ahead && !for_one_domain(idle, mark_roots, r))
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
    if (r->ahead && !for_one_domain(idle, mark_roots, r))
      return false;
    r->swept = r->marked = true;
    if (!for_domains(idle, sweep_and_mark, r)) return false;
  } while (!r->marked);
  return true;
}

static void survey_domain(struct round* r) {
  begin_slice();
  if (Caml_state->sweeping_done && !caml_heap_survey(SLICE_WORDS))
    r->surveyed = false;
  end_slice();
}

/* Finds out what the compaction would have to look for. */
static bool survey(struct caml_idle* idle, struct round* r) {
  do {
    r->surveyed = true;
    if (!for_domains(idle, survey_domain, r)) return false;
  } while (!r->surveyed);
  return true;
}

/* What a compaction's stop is estimated by: words that live, whose pointers are
   followed, and a cache line of each pool. */
static uint64_t weight(const struct round* r) {
  return (uint64_t)r->live + (uint64_t)r->used / POOL_PART;
}

/* The program came back in a stop longer than it wants: the next one is thought
   to be as long. */
static void note_overlong(uint64_t stop) {
  atomic_fetch_add(&caml_collector.automatic.overlong_stops, 1);
  caml_gc_message(0x10, "Idle compaction: stopped the program, which was back, "
                  "for %.1f ms\n", (double)stop / 1e6);
}

static uint64_t longest_stop(void) {
  return (uint64_t)caml_heap_knob_get(CAML_KNOB_idle_pause_ms) * NS_PER_MS;
}

/* A stop is taken to be longer than its CPU time by so much at most.  It may
   have been the process that was stopped, for hours. */
#define LONGER 10

/* Its CPU time tells how long the next stop will be; its length would tell what
   other processes did, too. */
static void compact(struct round* r) {
  struct caml_idle* idle = &caml_heap_idle;
  uint64_t cpu = caml_idle_own_cpu(), now = caml_heap_now(), stop;
  atomic_store(&idle->compacting, true);
  caml_arena_hold_decay(&caml_heap.arena);
  caml_heap_finish_cycle(true);
  caml_arena_release_decay(&caml_heap.arena);
  atomic_store(&idle->compacting, false);
  caml_heap_reset_pacing();
  cpu = caml_idle_own_cpu() - cpu;
  stop = caml_heap_now() - now;
  if (stop > longest_stop() && caml_idle_is_awaited(idle)) {
    note_overlong(stop);
    cpu = stop < LONGER * cpu ? stop : LONGER * cpu;
  }
  caml_idle_policy_stopped(&idle->policy, weight(r), cpu);
  atomic_fetch_add(&caml_collector.automatic.idle_compactions, 1);
}

/* When the compaction may stop the program */
static uint64_t may_stop(struct caml_idle* idle, const struct round* r) {
  return caml_idle_policy_may_stop(
    &idle->policy, caml_idle_policy_stop(&idle->policy, weight(r)),
    longest_stop());
}

static bool worth_compacting(const struct round* r) {
  size_t free = r->used > r->live ? Bsize_wsize(r->used - r->live) : 0;
  return caml_heap_may_compact_unasked()
    && free >= COMPACT_BYTES && free >= caml_heap_in_use() / COMPACT_PART;
}

/* Is all done, or put off until [deadline]?  False if it cannot go on. */
static bool compact_if_worth(struct caml_idle* idle, struct round* r) {
  if (!worth_compacting(r)) return true;
  if (!mark(idle, r) || !survey(idle, r)) return false;
  idle->deadline = may_stop(idle, r);
  if (caml_heap_now() < idle->deadline) return true;
  idle->deadline = 0;
  return for_one_domain(idle, compact, r);
}

/* All that is garbage now is known after this and the next cycle, or after this
   one if its marking is still ahead.  A collection that was given up goes on
   where it was, whatever is new: what it began with is known sooner so. */
static void set_goal(struct caml_idle_goal* goal,
                     const struct caml_idle_need* now,
                     const struct round* r) {
  size_t holds = held();
  if (goal->cycle != 0) {
    if (goal->held < holds) goal->held = holds;
    if (goal->outside < now->outside) goal->outside = now->outside;
    return;
  }
  goal->held = holds;
  goal->outside = now->outside;
  goal->cycle = r->cycle + (r->ahead ? 1 : 2);
  goal->allocated = now->allocated;
}

/* Up to where a collection that has ended has found all garbage */
static struct caml_idle_count found(const struct caml_idle_goal* goal,
                                    struct caml_idle_count now) {
  uint64_t fresh = Bsize_wsize(now.major - goal->allocated.major);
  return fresh >= caml_heap_in_use() / FRESH_PART ? goal->allocated : now;
}

/* Gathers by that step what the program has allocated. */
static bool count(struct caml_idle* idle, void (*step)(struct round*),
                  struct round* r) {
  *r = (struct round){ .domains = 0 };
  if (!for_domains(idle, step, r) || r->domains == 0) return false;
  r->allocated.minor += r->young;
  return true;
}

static void note(size_t before, size_t returned, uint64_t spent) {
  struct caml_heap_automatic* a = &caml_collector.automatic;
  atomic_fetch_add(&a->idle_collections, 1);
  atomic_fetch_add(&a->idle_returned, returned);
  caml_gc_message(0x10, "Idle collection: %zuk of %zuk given back in %.1f ms\n",
                  returned >> 10, before >> 10, (double)spent / 1e6);
}

/* The collection's own promotions are not the program's, but if that is back
   they are taken for its own.  Minor heaps, whose pages were given back, will
   be filled again. */
static void finish(struct caml_idle* idle, struct caml_idle_count now) {
  const struct caml_idle_goal* goal = &idle->goal;
  size_t returned, outside;
  struct round r;
  caml_heap_give_back(caml_heap_knob_get(CAML_KNOB_compact_purge));
  if (count(idle, tidy_up, &r)) now = r.allocated;
  if (!caml_idle_is_awaited(idle)) caml_heap_trim_malloc();
  pay(idle);
  outside = outside_of_heap() + r.minor;
  returned = less(goal->held, held()) + less(goal->outside, outside);
  note(goal->held + goal->outside, returned, idle->policy.spent);
  caml_idle_policy_ended(&idle->policy, caml_heap_now(), found(goal, now),
                         goal->held, returned, outside);
  idle->goal.cycle = 0;
}

/* Where there is no money left, it goes on when there is; else the program was
   back. */
static bool put_off(struct caml_idle* idle) {
  uint64_t now = caml_heap_now();
  if (!caml_idle_policy_affords(&idle->policy, now)) {
    idle->deadline = caml_idle_policy_payday(&idle->policy, now);
    return true;
  }
  atomic_fetch_add(&caml_collector.automatic.idle_given_up, 1);
  caml_idle_policy_gave_up(&idle->policy);
  return false;
}

static bool collect(struct caml_idle* idle, const struct caml_idle_need* need,
                    struct round* r) {
  set_goal(&idle->goal, need, r);
  caml_idle_policy_begin(&idle->policy, need);
  if (!find_garbage(idle, r) || !sweep(idle, r) || !compact_if_worth(idle, r))
    return put_off(idle);
  if (idle->deadline == 0) finish(idle, need->allocated);
  return true;
}

/* Ahead of the program's slices */

void caml_heap_slice_owes(intnat work, intnat owed) {
  if (caml_heap_knob_get(CAML_KNOB_idle_slices) == 0
      || caml_heap_knob_get(CAML_KNOB_idle_compact_ms) < 0)
    caml_ahead_all_done(&caml_heap_idle.ahead);
  else
    caml_ahead_slice(&caml_heap_idle.ahead, work, owed);
}

static void work_ahead(struct caml_idle* idle) {
  intptr_t words = atomic_load(&idle->ahead.words);
  uint64_t before = idle->words;
  if (words <= 0 || is_swept_and_marked()) return;
  begin_slice();
  caml_opportunistic_major_collection_slice((intnat)words);
  end_slice();
  atomic_fetch_add(&caml_collector.automatic.words_ahead,
                   (size_t)(idle->words - before));
}

/* False if the program is back.  Domains that run do their own work. */
static bool work_ahead_in_place(struct caml_idle* idle, int i) {
  enum caml_domain_loan s = try_borrow(idle, i);
  if (s == CAML_DOMAIN_BORROWED) {
    work_ahead(idle);
    return_domain(idle);
  }
  return s != CAML_DOMAIN_LAST && !caml_idle_is_awaited(idle);
}

/* What it costs is not for the purse: the program has less to do. */
void caml_idle_work_ahead(struct caml_idle* idle) {
  uint64_t cpu = caml_idle_own_cpu();
  int i = 0;
  while (caml_ahead_is_wanted(&idle->ahead) && work_ahead_in_place(idle, i))
    i++;
  if (!caml_idle_is_awaited(idle)) caml_ahead_all_done(&idle->ahead);
  idle->paid += caml_idle_own_cpu() - cpu;
}

static void look_at_pages(struct caml_idle_need* need) {
  struct caml_heap_sharing s = caml_heap_sample_sharing();
  need->swapped = s.swapped;
  need->shared = s.shared;
}

static bool decide_and_collect(struct caml_idle* idle) {
  struct caml_idle_need need = {
    .now = caml_heap_now(), .in_use = caml_heap_in_use(),
    .outside = outside_of_heap()
  };
  enum caml_idle_decision decision;
  struct round r;
  if (!count(idle, count_allocation, &r)) return false;
  need.allocated = r.allocated;
  decision = caml_idle_policy_decide(&idle->policy, &need, &idle->deadline);
  if (decision == CAML_IDLE_COLLECT) {
    look_at_pages(&need);
    decision = caml_idle_policy_decide(&idle->policy, &need, &idle->deadline);
  }
  if (decision == CAML_IDLE_NOTHING) idle->deadline = 0;
  if (decision != CAML_IDLE_COLLECT) return true;
  idle->deadline = 0;
  return collect(idle, &need, &r);
}

/* There is no more to do than was done; whatever Xcompact_purge says, free
   pages go back. */
static void end_urgency(struct caml_idle* idle) {
  idle->policy.urgent = false;
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  caml_relief_done(idle->policy.spent);
}

bool caml_idle_collect(struct caml_idle* idle) {
  uint64_t cpu = caml_idle_own_cpu();
  bool done;
  if (idle->compacted.major > idle->policy.done.major) {
    caml_idle_policy_compacted(&idle->policy, idle->compacted_at,
                               idle->compacted);
    idle->goal.cycle = 0;
  }
  pthread_mutex_unlock(&idle->lock);
  atomic_store(&idle->collecting, true);
  done = decide_and_collect(idle);
  if (done && idle->deadline == 0 && idle->policy.urgent) end_urgency(idle);
  atomic_store(&idle->collecting, false);
  pay(idle);
  atomic_fetch_add(&caml_collector.automatic.idle_time,
                   caml_idle_own_cpu() - cpu);
  pthread_mutex_lock(&idle->lock);
  return done;
}
