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

#include "heap_memory_policy.h"

/* Of a limit, one part in so many is left for what comes between two looks,
   and for what the system keeps of the process beside its pages. */
#define MARGIN_PART 32

/* Past a hard limit is who is past it by one part in so many: the pace goes up
   to it, and may be late by that. */
#define LAST_PART 50

/* A cycle's budget is no less than one part in so many of what is marked, and
   a minor heap of the default size: each slice does a whole cycle by then. */
#define LEAST_PART 128
#define LEAST_BUDGET ((size_t)2 << 20)

/* Less is not worth a compaction. */
#define LEAST_WASTE ((size_t)4 << 20)

/* After so many cycles, one that brings one part in so many of what collection
   brings is. */
#define SELDOM 8
#define SELDOM_PART 4

/* Allocation that is not known */
#define NO_COUNT UINT64_MAX

/* What lives is past a limit from one part in so many below it on. */
#define LIVE_PART 10

/* For so long collection may take its part of the CPU and more, and what lives
   be past the soft limit; past the hard one, only until it is known. */
#define SECOND 1000000000ull
#define PATIENCE (10 * SECOND)

static size_t percent_of(size_t bytes, int percent) {
  return bytes / 100 * (size_t)percent;
}

static size_t of_bound(size_t most, size_t process,
                       struct caml_memory_bound b) {
  if (b.shared)
    return b.used <= process ? most
      : (size_t)((double)most * (double)process / (double)b.used);
  if (most >= b.used) return process + (most - b.used);
  return process > b.used - most ? process - (b.used - most) : 0;
}

static void lower(size_t* limit, size_t to) {
  if (to < *limit) *limit = to;
}

void caml_memory_add_bound(struct caml_memory_limits* limits, size_t process,
                           struct caml_memory_bound b) {
  lower(&limits->soft,
        of_bound(percent_of(b.most, CAML_MEMORY_SOFT), process, b));
  lower(&limits->hard, b.kills
        ? of_bound(percent_of(b.most, CAML_MEMORY_HARD), process, b)
        : CAML_MEMORY_NEVER);
}

static double min2(double a, double b) {
  return a < b ? a : b;
}

static double max2(double a, double b) {
  return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Beside the heap */
static size_t others(const struct caml_memory_seen* s) {
  size_t heap = s->in_use + s->unused;
  return s->process > heap ? s->process - heap : 0;
}

static size_t least_others(const struct caml_memory_policy* p) {
  return min_size(p->others[0], p->others[1]);
}

static double less_margin(size_t limit) {
  return (double)limit - (double)limit / MARGIN_PART;
}

/* A soft limit with a hard one above it has its margin there. */
static double usable(const struct caml_memory_policy* p, size_t limit) {
  size_t hard = p->limits.hard;
  return hard != CAML_MEMORY_NO_LIMIT && limit < hard
    ? min2((double)limit, less_margin(hard)) : less_margin(limit);
}

/* What is left of the limit for blocks that are allocated from now on, if all
   that is dead is gone; less than none if what lives is more. */
static double spare(const struct caml_memory_policy* p, size_t limit) {
  return usable(p, limit) - (double)least_others(p) - (double)p->waste
    - (double)p->marked;
}

/* Where each cycle allocates as much, the heap is largest in the middle of one,
   when the sweep ends.  There are dead then: what was allocated in the two
   before, of which the sweep takes the older, and half of this one's.  Has the
   last had more, this one gets less. */
static double budget_within(const struct caml_memory_policy* p, size_t limit) {
  double room = spare(p, limit);
  return min2(room / 2.5, room - 1.5 * (double)p->allocated);
}

static double least_budget(const struct caml_memory_policy* p) {
  return max2((double)p->marked / LEAST_PART, (double)LEAST_BUDGET);
}

/* With less, collection would take more than its part of the time. */
static double budget_of_cpu(const struct caml_memory_policy* p) {
  double per_cycle, per_byte;
  if (p->cycles <= 0.0 || p->allocating <= 0.0) return 0.0;
  per_cycle = p->collecting / p->cycles;
  per_byte = max2(p->working, 1.0) / p->allocating;
  return per_cycle / per_byte * (100 - p->limits.cpu) / p->limits.cpu;
}

/* Without a hard limit, past which it may not go either */
static double budget_past_soft(const struct caml_memory_policy* p) {
  double cpu = budget_of_cpu(p);
  return p->limits.hard == CAML_MEMORY_NO_LIMIT
    ? cpu : min2(cpu, budget_within(p, p->limits.hard));
}

static double budget(const struct caml_memory_policy* p) {
  double soft = budget_within(p, p->limits.soft);
  return max2(max2(soft, budget_past_soft(p)), least_budget(p));
}

static bool is_limited(const struct caml_memory_policy* p) {
  return p->limits.soft != CAML_MEMORY_NO_LIMIT;
}

size_t caml_memory_policy_budget(const struct caml_memory_policy* p) {
  if (!is_limited(p) || !p->known) return CAML_MEMORY_NO_LIMIT;
  return (size_t)budget(p);
}

void caml_memory_policy_limit(struct caml_memory_policy* p,
                              struct caml_memory_limits limits) {
  p->limits = limits;
}

void caml_memory_policy_see(struct caml_memory_policy* p,
                            struct caml_memory_seen seen) {
  size_t now = others(&seen);
  p->seen = seen;
  p->others[0] = min_size(p->others[0], now);
}

/* What is beside the heap is taken for allocated as it grows. */
static double growth_of_others(struct caml_memory_policy* p) {
  size_t before = p->others_seen, now = others(&p->seen);
  p->others_seen = now;
  return now > before ? (double)(now - before) : 0.0;
}

/* By how much the heap has grown in this cycle beyond [bytes] and what is
   spent.  A domain that ends tells nobody what it has allocated. */
static double unknown_growth(const struct caml_memory_policy* p,
                             double bytes) {
  double grown = (double)p->seen.in_use - (double)p->in_use_at;
  return max2(grown - p->spent - bytes, 0.0);
}

/* So much of what is left of the cycle's work as the slice takes of what is
   left of the budget.  A cycle that has not ended with its budget goes on at
   the same pace. */
static double part_for(const struct caml_memory_policy* p, double bytes) {
  double most = budget(p);
  double left = most - p->spent, work = 1.0 - p->promised;
  double part = left > 0 && work > 0 ? work * bytes / left : bytes / most;
  return min2(max2(part, bytes / most), 1.0);
}

static bool is_past_hard(const struct caml_memory_policy* p) {
  size_t hard = p->limits.hard;
  return hard != CAML_MEMORY_NO_LIMIT
    && p->seen.process > hard + hard / LAST_PART;
}

/* Past the hard limit each slice that has something to tell ends a cycle: there
   is no time for estimates. */
double caml_memory_policy_slice(struct caml_memory_policy* p,
                                size_t allocated) {
  double bytes = (double)allocated + growth_of_others(p), part;
  if (!is_limited(p) || !p->known) return 0.0;
  bytes += unknown_growth(p, bytes);
  part = bytes > 0.0 && is_past_hard(p) ? 1.0 : part_for(p, bytes);
  p->spent += bytes;
  p->promised += part;
  return part;
}

void caml_memory_policy_collected(struct caml_memory_policy* p, uint64_t ns) {
  p->collected += ns;
}

/* The cycle's times, of all domains together, into those of recent ones */
static void note_times(struct caml_memory_policy* p,
                       const struct caml_memory_cycle* c) {
  double all = (double)(c->now - p->ended) * max2((double)c->domains, 1.0);
  double collecting = (double)p->collected;
  p->cycles = p->cycles / 2 + 1;
  p->collecting = p->collecting / 2 + collecting;
  p->working = p->working / 2 + max2(all - collecting, 0.0);
  p->allocating = p->allocating / 2 + (double)p->allocated;
}

static size_t less(size_t a, size_t b) {
  return a > b ? a - b : 0;
}

static size_t max_size(size_t a, size_t b) {
  return a > b ? a : b;
}

/* What the last cycle did not mark, and was not allocated since it began, has
   been swept: the rest of the blocks were marked then, also those that
   caml_modify marked, which nobody counts.  In this one it is taken to be more
   by as much as it was then: a program that grows goes on to.  It is no less
   than what was counted, and no more than all that is older than the cycle. */
static size_t marked(struct caml_memory_policy* p,
                     const struct caml_memory_cycle* c, size_t allocated) {
  size_t older = less(c->blocks, allocated);
  size_t in_last = less(older, p->allocated);
  size_t grown = in_last + less(in_last, p->in_last);
  p->in_last = in_last;
  return min_size(max_size(c->marked, grown), older);
}

/* In the cycle.  The count falls for a while when a domain ends. */
static size_t take_allocated(struct caml_memory_policy* p, uint64_t count) {
  uint64_t before = p->allocated_at;
  if (before == NO_COUNT) {
    p->allocated_at = count;
    return 0;
  }
  if (count <= before) return 0;
  p->allocated_at = count;
  return (size_t)(count - before);
}

static void note_cycle(struct caml_memory_policy* p,
                       const struct caml_memory_cycle* c) {
  size_t allocated = take_allocated(p, c->allocated);
  p->marked = marked(p, c, allocated);
  p->allocated = allocated;
  if (p->known) note_times(p, c);
  p->waste = less(c->in_use, c->blocks + allocated / 2);
  p->lost = min_size(c->lost, p->waste);
  p->in_use_at = c->in_use;
  p->ended = c->now;
  p->collected = 0;
  p->spent = p->promised = 0.0;
  p->known = true;
}

/* What a limit below what lives is for */
static size_t last_limit(const struct caml_memory_policy* p) {
  return p->limits.hard != CAML_MEMORY_NO_LIMIT
    ? p->limits.hard : p->limits.soft;
}

/* Does what lives not fit? */
static bool is_past(const struct caml_memory_policy* p) {
  size_t limit = last_limit(p);
  double lives = (double)p->marked + (double)least_others(p);
  return (double)p->seen.process > less_margin(limit)
    && lives >= (double)(limit - limit / LIVE_PART);
}

/* Is it half as much again as the limit? */
static bool is_far_past(const struct caml_memory_policy* p) {
  size_t limit = last_limit(p);
  return (double)p->marked + (double)least_others(p) >= 1.5 * (double)limit;
}

/* Has collection taken half of its part of the time lately, and more?  A cycle
   of a heap that grows takes longer than the last, which its budget is
   from. */
static bool takes_its_part(const struct caml_memory_policy* p) {
  double all = p->collecting + p->working;
  return p->collecting * 100 >= 0.5 * p->limits.cpu * all;
}

/* Of a cycle of so many [ns].  A leak that has come far need not take its part:
   there a cycle counts for a second at most, since an idle program's may be
   long. */
static uint64_t time_past(const struct caml_memory_policy* p, uint64_t ns) {
  if (takes_its_part(p)) return ns;
  if (!is_far_past(p)) return 0;
  return ns < SECOND ? ns : SECOND;
}

static void note_past(struct caml_memory_policy* p, uint64_t ns) {
  bool was = p->is_past;
  p->is_past = is_past(p);
  p->past = p->is_past ? p->past + time_past(p, ns) : 0;
  p->exhausted = p->past >= PATIENCE
    || (was && p->is_past && is_past_hard(p));
}

/* A compaction, which takes as long as a cycle, brings the waste, and
   collection the rest.  As much as that is worth a compaction in each cycle;
   less, if it does not come back at once. */
static bool is_worth_compacting(const struct caml_memory_policy* p) {
  size_t brings = p->waste - p->lost;
  double rest = spare(p, p->limits.soft);
  if (p->since_compaction >= SELDOM) rest /= SELDOM_PART;
  return brings >= LEAST_WASTE && (double)brings >= rest;
}

static bool decide_compaction(struct caml_memory_policy* p, bool may_compact) {
  bool compacts = may_compact && is_worth_compacting(p);
  p->since_compaction = compacts ? 0 : p->since_compaction + 1;
  if (compacts) p->waste = p->lost;
  return compacts;
}

static void begin_cycle(struct caml_memory_policy* p) {
  p->others[1] = p->others[0];
  p->others[0] = others(&p->seen);
}

bool caml_memory_policy_cycle_ended(struct caml_memory_policy* p,
                                    const struct caml_memory_cycle* c) {
  uint64_t ns = p->known ? c->now - p->ended : 0;
  note_cycle(p, c);
  begin_cycle(p);
  if (!is_limited(p)) return false;
  note_past(p, ns);
  return decide_compaction(p, c->may_compact);
}

bool caml_memory_policy_purges(const struct caml_memory_policy* p) {
  return is_limited(p) && p->seen.unused > 0
    && (double)p->seen.process > less_margin(p->limits.soft);
}

bool caml_memory_policy_is_near(const struct caml_memory_policy* p,
                                size_t process) {
  return is_limited(p) && process > p->limits.soft / 2;
}

void caml_memory_policy_forked(struct caml_memory_policy* p) {
  p->allocated_at = NO_COUNT;
  p->collected = 0;
  caml_memory_policy_told(p);
}

bool caml_memory_policy_is_late(const struct caml_memory_policy* p) {
  return is_limited(p) && p->known && p->promised >= 1.0;
}

bool caml_memory_policy_fits(const struct caml_memory_policy* p) {
  return p->seen.process <= last_limit(p);
}

bool caml_memory_policy_is_exhausted(const struct caml_memory_policy* p) {
  return p->exhausted;
}

void caml_memory_policy_told(struct caml_memory_policy* p) {
  p->exhausted = p->is_past = false;
  p->past = 0;
}
