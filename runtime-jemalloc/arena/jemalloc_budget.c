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

#include "jemalloc_assert.h"
#include "jemalloc_budget.h"

#define NS_PER_MS 1000000ull /* as in jemalloc_thread.h, which has a clock */

/* ns: an update more often would cost more than it tells */
#define INTERVAL (50 * NS_PER_MS)

void caml_budget_init(struct caml_budget* budget, uint64_t now) {
  budget->stretch = 1;
  budget->balance = CAML_BUDGET_SAVED;
  budget->updated = budget->changed = now;
  budget->counts = (struct caml_budget_counts){ 0, 0, 0 };
  budget->given = 0;
}

static int64_t within(int64_t least, int64_t n, int64_t most) {
  return n < least ? least : n > most ? most : n;
}

static bool set(struct caml_budget* budget, unsigned stretch, uint64_t now) {
  assert(caml_is_power_of_two(stretch) && stretch <= CAML_BUDGET_STRETCH);
  budget->stretch = stretch;
  budget->changed = now;
  return true;
}

/* ns of purging that was in vain since the last update, at what a byte has cost
   on average */
static int64_t spend(struct caml_budget* budget,
                     const struct caml_budget_counts* counts) {
  size_t again = counts->taken - budget->counts.taken;
  assert(counts->taken >= budget->counts.taken);
  assert(counts->purged >= budget->counts.purged);
  budget->given += counts->purged - budget->counts.purged;
  if (again > budget->given) again = budget->given;
  budget->given -= again;
  budget->counts = *counts;
  return again == 0
    ? 0 : (int64_t)((double)counts->purging / (double)counts->purged
                    * (double)again);
}

/* jemalloc counts a new decay time, for all pages, from the moment that it is
   set.  So the decay times are
     - stretched further as soon as purging still costs too much;
     - shortened only when the present ones have passed. */
bool caml_budget_update(struct caml_budget* budget, uint64_t now,
                    const struct caml_budget_counts* counts, ssize_t ms) {
  int64_t earned, spent;
  uint64_t passed = now - budget->changed;
  assert(now >= budget->updated && now >= budget->changed);
  if (now - budget->updated < INTERVAL) return false;
  earned = (int64_t)((now - budget->updated) / CAML_BUDGET_SHARE);
  spent = spend(budget, counts);
  budget->updated = now;
  budget->balance = within(-CAML_BUDGET_SAVED, budget->balance + earned - spent,
                           CAML_BUDGET_SAVED);
  assert(earned >= 0 && spent >= 0);
  if (budget->balance < 0 && spent > earned
      && budget->stretch < CAML_BUDGET_STRETCH)
    return set(budget, budget->stretch * 2, now);
  if (budget->balance > CAML_BUDGET_SAVED / 2 && budget->stretch > 1
      && passed / NS_PER_MS >= (uint64_t)caml_budget_decay(budget, ms))
    return set(budget, budget->stretch / 2, now);
  return false;
}

ssize_t caml_budget_decay(const struct caml_budget* budget, ssize_t ms) {
  assert(caml_is_power_of_two(budget->stretch));
  return ms <= 0 ? ms : ms * (ssize_t)budget->stretch;
}
