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

/* The purge budget: how much time purging may take.

   A heap that keeps taking and freeing large blocks has its unused pages in
   many small pieces.  With a decay of a second, such a program spent more
   than half of its time on purging these and on touching them again.  So
   purging has a budget of time.  When it is used up, the decay times are
   stretched, until purging keeps to it again.

   Only what was in vain is charged: the purging of as many bytes as were taken
   again since.

   Independent of the arena, so that it can be tested alone.  Not to be called
   by two threads at once; [stretch] may be read by any. */

#ifndef CAML_JEMALLOC_BUDGET_H
#define CAML_JEMALLOC_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The budget is one part in so many of all time, as for automatic
   compactions. */
#define CAML_BUDGET_SHARE 50

/* ns: the most that is saved up, or owed.  It is about what it takes to purge
   a gigabyte (0.25 to 0.4 s in bench/programs/phases.ml). */
#define CAML_BUDGET_SAVED 250000000

/* Decay times are stretched at most by this: from the default, a second, to
   beyond jemalloc's default, ten seconds. */
#define CAML_BUDGET_STRETCH 16

/* Since the arena was made */
struct caml_budget_counts {
  size_t purging; /* ns that it took */
  size_t purged;  /* bytes given back in the end */
  size_t taken;   /* bytes of address space that got pages */
};

struct caml_budget {
  _Atomic unsigned stretch; /* a power of two, up to CAML_BUDGET_STRETCH */
  int64_t balance;   /* ns, from -CAML_BUDGET_SAVED to CAML_BUDGET_SAVED */
  uint64_t updated; /* ns, when it last was */
  struct caml_budget_counts counts; /* by then */
  size_t given;     /* bytes purged and not taken again */
  uint64_t changed; /* ns, when [stretch] was set */
};

/* [now], here and below, is in ns and goes forward only. */
void caml_budget_init(struct caml_budget* budget, uint64_t now);

/* Brings the budget up to date with [counts], which only grow.  [ms] is the
   longest decay time asked for.  Returns whether [stretch] has changed. */
bool caml_budget_update(struct caml_budget* budget, uint64_t now,
                    const struct caml_budget_counts* counts, ssize_t ms);

/* The decay time in force for one of [ms], which may be 0 or -1. */
ssize_t caml_budget_decay(const struct caml_budget* budget, ssize_t ms);

#endif /* CAML_JEMALLOC_BUDGET_H */
