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

#include "jemalloc_pace.h"

#define NS_PER_MS 1000000ull /* as in jemalloc_thread.h, which has a clock */

/* ns: more often it costs more than it tells */
#define INTERVAL (50 * NS_PER_MS)

void caml_pace_init(struct caml_pace* pace, uint64_t now) {
  pace->stretch = 1;
  pace->budget = CAML_PACE_SAVED;
  pace->looked = pace->changed = now;
  pace->counts = (struct caml_pace_counts){ 0, 0, 0 };
  pace->given = 0;
}

static int64_t within(int64_t least, int64_t n, int64_t most) {
  return n < least ? least : n > most ? most : n;
}

static bool set(struct caml_pace* pace, unsigned stretch, uint64_t now) {
  pace->stretch = stretch;
  pace->changed = now;
  return true;
}

/* ns of purging that was in vain since the last look, at what a byte has
   cost */
static int64_t spend(struct caml_pace* pace,
                     const struct caml_pace_counts* counts) {
  size_t again = counts->taken - pace->counts.taken;
  pace->given += counts->purged - pace->counts.purged;
  if (again > pace->given) again = pace->given;
  pace->given -= again;
  pace->counts = *counts;
  return again == 0
    ? 0 : (int64_t)((double)counts->purging / (double)counts->purged
                    * (double)again);
}

/* A new decay time counts from the moment that it is set, for all pages (so
   jemalloc has it).  So it is stretched further as soon as it still costs too
   much, and shortened when it has passed. */
bool caml_pace_look(struct caml_pace* pace, uint64_t now,
                    const struct caml_pace_counts* counts, ssize_t ms) {
  int64_t earned, spent;
  uint64_t passed = now - pace->changed;
  if (now - pace->looked < INTERVAL) return false;
  earned = (int64_t)((now - pace->looked) / CAML_PACE_SHARE);
  spent = spend(pace, counts);
  pace->looked = now;
  pace->budget =
    within(-CAML_PACE_SAVED, pace->budget + earned - spent, CAML_PACE_SAVED);
  if (pace->budget < 0 && spent > earned && pace->stretch < CAML_PACE_STRETCH)
    return set(pace, pace->stretch * 2, now);
  if (pace->budget > CAML_PACE_SAVED / 2 && pace->stretch > 1
      && passed / NS_PER_MS >= (uint64_t)caml_pace_decay(pace, ms))
    return set(pace, pace->stretch / 2, now);
  return false;
}

ssize_t caml_pace_decay(const struct caml_pace* pace, ssize_t ms) {
  return ms <= 0 ? ms : ms * (ssize_t)pace->stretch;
}
