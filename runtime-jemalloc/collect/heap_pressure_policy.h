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

/* How often memory is given back since the system is short of it: on a clock
   that is given, apart from what does it (heap_pressure.c).  Times are ns.
   Called by one thread at a time. */

#ifndef CAML_HEAP_PRESSURE_POLICY_H
#define CAML_HEAP_PRESSURE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeros: nothing has happened yet. */
struct caml_pressure_policy {
  uint64_t not_before; /* the next relief */
  unsigned futile;     /* in a row that gave hardly anything back */
};

/* The system says that memory is short.  Is something to be done?  Changes
   nothing. */
bool caml_pressure_policy_acts(const struct caml_pressure_policy* policy,
                               uint64_t now);

/* A relief begins, and ends after [took] of work with [returned] bytes of
   [held] given back.  One that never ends is over when the next may begin. */
void caml_pressure_policy_begin(struct caml_pressure_policy* policy,
                                uint64_t now);
void caml_pressure_policy_end(struct caml_pressure_policy* policy,
                              uint64_t now, uint64_t took, size_t held,
                              size_t returned);

#endif /* CAML_HEAP_PRESSURE_POLICY_H */
