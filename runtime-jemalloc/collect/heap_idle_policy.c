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

#include "heap_idle_policy.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define MIB ((size_t)1 << 20)

/* Looks in the time that the program is to rest; but not more often than this,
   nor less where nothing is new */
#define LOOKS 4
#define LEAST_INTERVAL MS
#define LONGEST_PAUSE SECOND

/* CPU time of a program at rest: one part in so many, and a burst.  A thread
   that wakes each 10 ms and does nothing takes half of that here. */
#define LIGHT_PART 50
#define LIGHT_BURST (2 * MS)

/* The wait where memory is short: the program may be about to go on. */
#define URGENT_WAIT (20 * MS)

/* In a rest of so many times the wait a collection gets on */
#define RESTS 2

/* A wait is doubled no more often than this: a hundred ms become two hours. */
#define MOST_DOUBLINGS 16

#define PURSE (600 * MS)
#define PURSE_PART 100

/* CPU time of a collection, a byte held, until one has been seen: marking
   blocks that point to each other at random takes about as much, twice. */
#define COST 1.0

/* It may owe so many times that: the program's own slices may have ended a
   cycle that was marked in vain. */
#define OWED_COSTS 4

/* It has much to gain if the program has allocated so much since the last:
   bytes, and of the heap in use one part in */
#define GAIN_BYTES MIB
#define GAIN_PART 8

/* Or if what is outside of the heap has grown by so many bytes, and by such a
   part: custom blocks may hold it, which are small themselves. */
#define GAIN_OUTSIDE (8 * MIB)

/* It was worth it if one part in so many of what was held came back. */
#define WORTH_PART 20

/* Whoever hardly allocates may have dropped what it had: looked for after a
   minute, then twice as long each time that nothing came back, up to four
   hours; not where so much would have to come from swap */
#define PROBE (60 * SECOND)
#define MOST_PROBE_DOUBLINGS 8
#define SWAP_PART 20

/* What a compaction takes, ns a word that it reads, until one has been seen:
   small blocks that point to each other at random (7 to 12) */
#define STOP 8.0

/* It may come after a rest of so many times the stop. */
#define STOP_RESTS 10

void caml_idle_policy_init(struct caml_idle_policy* p,
                           struct caml_idle_count done) {
  *p = (struct caml_idle_policy){
    .done = done, .purse = PURSE, .cost = COST, .stop = STOP
  };
}

void caml_idle_policy_watch(struct caml_idle_policy* p, uint64_t now,
                            uint64_t cpu) {
  p->last = (struct caml_idle_look){ .now = now, .cpu = cpu };
  p->load = 0;
  p->light_since = p->untouched_since = p->ended = p->filled = now;
}

/* Looks */

static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

uint64_t caml_idle_policy_rest(const struct caml_idle_policy* p) {
  return p->last.now - least(p->light_since, p->untouched_since);
}

static void note_rest(struct caml_idle_policy* p, uint64_t rest) {
  if (rest >= RESTS * p->wanted)
    p->short_rest /= 2;
  else
    p->short_rest = greatest(rest, p->short_rest - p->short_rest / 8);
}

static void note_load(struct caml_idle_policy* p,
                      const struct caml_idle_look* look) {
  uint64_t passed = look->now - p->last.now;
  p->load = less(p->load + less(look->cpu, p->last.cpu), passed / LIGHT_PART);
  if (p->load <= LIGHT_BURST) return;
  p->load = 0;
  p->light_since = look->now;
}

void caml_idle_policy_look(struct caml_idle_policy* p,
                           const struct caml_idle_look* look) {
  uint64_t rest = caml_idle_policy_rest(p);
  note_load(p, look);
  if (look->touched || !look->blocked) p->untouched_since = look->now;
  p->last = *look;
  if (caml_idle_policy_rest(p) >= rest) return;
  note_rest(p, rest);
  p->pause = 0;
}

uint64_t caml_idle_policy_wait(const struct caml_idle_policy* p) {
  if (p->wanted == 0) return 0;
  return p->urgent ? URGENT_WAIT
    : greatest(p->wanted, 2 * p->short_rest) << p->given_up;
}

bool caml_idle_policy_rests(const struct caml_idle_policy* p) {
  return p->urgent || caml_idle_policy_rest(p) >= p->wanted;
}

uint64_t caml_idle_policy_interval(const struct caml_idle_policy* p) {
  return greatest(caml_idle_policy_wait(p) / LOOKS, LEAST_INTERVAL);
}

uint64_t caml_idle_policy_pause(struct caml_idle_policy* p) {
  uint64_t first = greatest(p->wanted / LOOKS, LEAST_INTERVAL);
  if (p->wanted == 0) return LEAST_INTERVAL;
  p->pause = p->pause < first ? first : least(2 * p->pause, LONGEST_PAUSE);
  return p->pause;
}

/* The purse */

static int64_t in_purse(const struct caml_idle_policy* p, uint64_t now) {
  int64_t purse = p->purse + (int64_t)(less(now, p->filled) / PURSE_PART);
  return purse < (int64_t)PURSE ? purse : (int64_t)PURSE;
}

void caml_idle_policy_spend(struct caml_idle_policy* p, uint64_t now,
                            uint64_t cpu) {
  p->purse = in_purse(p, now) - (int64_t)cpu;
  p->filled = now;
  p->spent += cpu;
}

static uint64_t most_owed(const struct caml_idle_policy* p) {
  return OWED_COSTS * (uint64_t)(p->cost * (double)(p->last.in_use + MIB));
}

bool caml_idle_policy_affords(const struct caml_idle_policy* p, uint64_t now) {
  return p->wanted == 0 || p->urgent || in_purse(p, now) > 0
    || (p->may_owe && p->spent < most_owed(p));
}

/* Half full */
uint64_t caml_idle_policy_payday(const struct caml_idle_policy* p,
                                 uint64_t now) {
  int64_t missing = (int64_t)PURSE / 2 - in_purse(p, now);
  return missing > 0 ? now + (uint64_t)missing * PURSE_PART : now;
}

/* What there is to gain */

/* What other domains have counted is seen late: it may seem less than before by
   a little. */
static uint64_t growth_in_bytes(const struct caml_idle_policy* p,
                                const struct caml_idle_need* need) {
  return less(need->allocated.major, p->done.major) * sizeof(uintptr_t);
}

static bool has_much_to_gain(const struct caml_idle_policy* p,
                             const struct caml_idle_need* need) {
  uint64_t bytes = growth_in_bytes(p, need);
  uint64_t outside = less(need->outside, p->outside);
  return (bytes >= GAIN_BYTES && bytes >= need->in_use / GAIN_PART)
    || (outside >= GAIN_OUTSIDE
        && outside >= (need->in_use + need->outside) / GAIN_PART);
}

/* Marking writes into each block: what is shared would be copied.  No more
   comes back than is new, and not shared.  Who else has what is outside of the
   heap is not known. */
static bool would_unshare(const struct caml_idle_policy* p,
                          const struct caml_idle_need* need) {
  size_t own = need->in_use - least(need->shared, need->in_use);
  return need->shared > 0
    && least(growth_in_bytes(p, need), own) <= need->shared;
}

static bool may_owe(const struct caml_idle_policy* p,
                    const struct caml_idle_need* need) {
  return has_much_to_gain(p, need) && !p->futile;
}

static uint64_t due(const struct caml_idle_policy* p,
                    const struct caml_idle_need* need) {
  uint64_t probe = has_much_to_gain(p, need) || p->begun ? 0
    : p->ended + (PROBE << p->probes);
  if (may_owe(p, need) || in_purse(p, need->now) > 0) return probe;
  return greatest(probe, caml_idle_policy_payday(p, need->now));
}

enum caml_idle_decision
caml_idle_policy_decide(const struct caml_idle_policy* p,
                        const struct caml_idle_need* need,
                        uint64_t* deadline) {
  if (!p->begun && less(need->allocated.major, p->done.major) == 0
      && less(need->allocated.minor, p->done.minor) == 0)
    return CAML_IDLE_NOTHING;
  if (would_unshare(p, need)) return CAML_IDLE_NOTHING;
  if (p->wanted == 0) return CAML_IDLE_COLLECT;
  if (!has_much_to_gain(p, need) && need->swapped > need->in_use / SWAP_PART)
    return CAML_IDLE_NOTHING;
  *deadline = p->urgent ? need->now : due(p, need);
  return *deadline <= need->now ? CAML_IDLE_COLLECT : CAML_IDLE_LATER;
}

/* Collections */

void caml_idle_policy_begin(struct caml_idle_policy* p,
                            const struct caml_idle_need* need) {
  if (!p->begun) p->spent = 0;
  p->begun = true;
  p->may_owe = may_owe(p, need);
}

void caml_idle_policy_gave_up(struct caml_idle_policy* p) {
  if (!p->may_owe && p->given_up < MOST_DOUBLINGS) p->given_up++;
}

static void was_worth_it(struct caml_idle_policy* p) {
  p->purse += (int64_t)p->spent;
  p->futile = false;
  p->probes = 0;
}

static void was_futile(struct caml_idle_policy* p) {
  p->futile = true;
  if (p->probes < MOST_PROBE_DOUBLINGS) p->probes++;
}

void caml_idle_policy_ended(struct caml_idle_policy* p, uint64_t now,
                            struct caml_idle_count done, size_t held,
                            size_t returned, size_t outside) {
  double cost = (double)p->spent / (double)(held + MIB);
  if (returned >= GAIN_BYTES && returned >= held / WORTH_PART)
    was_worth_it(p);
  else
    was_futile(p);
  p->cost = (p->cost + cost) / 2;
  p->begun = false;
  p->given_up = 0;
  p->short_rest = 0;
  p->done = done;
  p->outside = outside;
  p->ended = now;
}

void caml_idle_policy_compacted(struct caml_idle_policy* p, uint64_t now,
                                struct caml_idle_count done) {
  p->begun = false;
  p->done = done;
  p->ended = now;
}

/* Stops */

uint64_t caml_idle_policy_stop(const struct caml_idle_policy* p,
                               uint64_t words) {
  return (uint64_t)(p->stop * (double)words);
}

/* One that was longer than was thought tells at once, a shorter one by half. */
void caml_idle_policy_stopped(struct caml_idle_policy* p, uint64_t words,
                              uint64_t ns) {
  double stop = (double)ns / (double)(words + 1);
  p->stop = stop > p->stop ? stop : (p->stop + stop) / 2;
}

uint64_t caml_idle_policy_may_stop(const struct caml_idle_policy* p,
                                   uint64_t ns, uint64_t bound) {
  uint64_t since = p->last.now - caml_idle_policy_rest(p);
  return p->wanted == 0 || ns <= bound ? since : since + STOP_RESTS * ns;
}
