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

#include "heap_pressure_policy.h"

#define SECOND 1000000000ull

/* At least so long between two reliefs, and so many times what the last took:
   a fiftieth of the time at most. */
#define PAUSE (10 * SECOND)
#define PAUSE_PART 50

/* A relief was futile if less than one part in so many of what was held came
   back.  Each in a row doubles the pause, up to sixteen times. */
#define WORTH_PART 20
#define MOST_DOUBLINGS 4

bool caml_pressure_policy_acts(const struct caml_pressure_policy* p,
                               uint64_t now) {
  return now >= p->not_before;
}

void caml_pressure_policy_begin(struct caml_pressure_policy* p, uint64_t now) {
  p->not_before = now + PAUSE;
}

void caml_pressure_policy_end(struct caml_pressure_policy* p, uint64_t now,
                              uint64_t took, size_t held, size_t returned) {
  uint64_t pause = PAUSE_PART * took;
  if (pause < PAUSE) pause = PAUSE;
  if (returned > held / WORTH_PART)
    p->futile = 0;
  else if (p->futile < MOST_DOUBLINGS)
    p->futile++;
  p->not_before = now + (pause << p->futile);
}
