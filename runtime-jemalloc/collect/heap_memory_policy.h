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

/* Xmemory_limit: what keeps the memory that the process takes below a soft
   limit, and below a hard one past which the system kills it.  Independent of
   OCaml's runtime, of the system and of its clock, so that it can be tested
   alone.

   A major cycle frees what the one before it found dead.  So at the end of the
   next cycle the heap will hold what was marked in this one, what was allocated
   in it, and what will be allocated until then, which is the only one of the
   three that can be chosen: the cycle's budget.  The cycle gets as much
   collection for each byte allocated that it ends when its budget is spent.

   Bytes and nanoseconds.  By one thread at a time. */

#ifndef CAML_HEAP_MEMORY_POLICY_H
#define CAML_HEAP_MEMORY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAML_MEMORY_NO_LIMIT ((size_t)-1)
#define CAML_MEMORY_NEVER (CAML_MEMORY_NO_LIMIT / 2)

struct caml_memory_limits {
  size_t soft, hard; /* of the process; CAML_MEMORY_NO_LIMIT.  What lives past
                        [hard], or past [soft] where there is no [hard], is
                        told; CAML_MEMORY_NEVER: nothing is. */
  int cpu; /* percent of the time that collection may take to keep to [soft], 1
              to 100 */
};

/* A limit that the system sets */
struct caml_memory_bound {
  size_t most;
  size_t used; /* of it, by now */
  bool shared; /* with other processes, whose use counts */
  bool kills;  /* Past it the system kills.  Else it refuses more memory, which
                  the program sees, or slows the process down. */
};

/* Of limits that the system sets, so much is the soft one, percent, and the
   hard one: what is left is for what it counts beside the process's pages, and
   for what comes before anybody looks. */
#define CAML_MEMORY_SOFT 90
#define CAML_MEMORY_HARD 95

/* What [bound] means for a process that takes [process] bytes: makes *limits
   less, if it does.  Those who share a bound each have the part of it that they
   have of its use: whoever may grow, all may grow by the same factor.  None
   need know of the others. */
void caml_memory_add_bound(struct caml_memory_limits* limits, size_t process,
                           struct caml_memory_bound bound);

/* What there is at one moment */
struct caml_memory_seen {
  uint64_t now;
  size_t process; /* that the process takes */
  size_t in_use;  /* of that, in pools and large blocks */
  size_t unused;  /* and in free pages of the heap */
};

/* A major cycle that has ended */
struct caml_memory_cycle {
  uint64_t now;
  size_t in_use;
  size_t blocks;      /* in blocks, garbage that has not been swept among them
                         */
  size_t marked;      /* in blocks that are known to have been marked; [blocks]
                         if nothing is known */
  size_t lost;        /* in pools, but to what is free in them: to their headers
                         and to the sizes of blocks.  No compaction brings
                         it. */
  uint64_t allocated; /* since the program began, as far as known: what a
                         domain that ends has allocated may come later */
  unsigned domains;   /* that have allocated in it: each has its time.  Those
                         that wait have none. */
  bool may_compact;
};

/* All zero at first: nothing is known, and nothing paced, until a cycle has
   ended. */
struct caml_memory_policy {
  struct caml_memory_limits limits;
  struct caml_memory_seen seen; /* last */
  /* The last cycle */
  bool known;            /* there was one */
  size_t marked;         /* in it, as far as can be known */
  size_t in_last;        /* in the one before */
  size_t waste;          /* in pools and not in blocks at the cycle's end, but
                            for half of [allocated], which the blocks had more
                            in its middle */
  size_t lost;           /* of it, what no compaction brings */
  uint64_t allocated_at; /* the program's allocation by its end; NO_COUNT: not
                            known */
  size_t in_use_at;
  uint64_t ended;
  size_t allocated;      /* in it */
  /* Beside the heap: the least in this cycle and in the last, since bigarrays
     and the like come and go with cycles too */
  size_t others[2];
  unsigned since_compaction; /* cycles */
  /* Of recent cycles, each of which counts half of the next */
  double cycles, collecting, working, allocating;
  uint64_t collected;    /* in this cycle so far, ns */
  /* This cycle */
  double spent;          /* bytes of its budget */
  double promised;       /* the part of its work that was asked for */
  size_t others_seen;    /* beside the heap, when the last slice began */
  bool is_past;          /* What lives does not fit. */
  uint64_t past;         /* for how long, in cycles in which collection took its
                            part of the time */
  bool exhausted;        /* it has been there for too long */
};

/* The limits, which may change at any time */
void caml_memory_policy_limit(struct caml_memory_policy* policy,
                              struct caml_memory_limits limits);

/* What there is now. */
void caml_memory_policy_see(struct caml_memory_policy* policy,
                            struct caml_memory_seen seen);

/* The part of a cycle's work, 0 to 1, that goes with [allocated] bytes since
   the last slice: of all blocks, and of what is beside the heap by what was
   seen.  What the heap has grown by counts, whoever tells of it.  0: the limits
   ask for nothing. */
double caml_memory_policy_slice(struct caml_memory_policy* policy,
                                size_t allocated);

/* A slice has taken so long, of its thread's CPU time: a process that is
   stopped meanwhile has not collected. */
void caml_memory_policy_collected(struct caml_memory_policy* policy,
                                  uint64_t ns);

/* Does the cycle end with a compaction?  If that brings more than collection:
   it is to happen. */
bool caml_memory_policy_cycle_ended(struct caml_memory_policy* policy,
                                    const struct caml_memory_cycle* cycle);

/* In a forked child, whose clock and counts begin anew */
void caml_memory_policy_forked(struct caml_memory_policy* policy);

/* What follows changes nothing. */

/* Has all of the cycle's work been asked for, and it goes on?  A domain that
   waits has not done its part. */
bool caml_memory_policy_is_late(const struct caml_memory_policy* policy);

/* Do free pages go back at once? */
bool caml_memory_policy_purges(const struct caml_memory_policy* policy);

/* Does a process that takes [process] need a close look? */
bool caml_memory_policy_is_near(const struct caml_memory_policy* policy,
                                size_t process);

/* What may be allocated in this cycle; CAML_MEMORY_NO_LIMIT: as much as
   [space_overhead] lets it. */
size_t caml_memory_policy_budget(const struct caml_memory_policy* policy);

/* Is the process within its limit, the hard one if there is one? */
bool caml_memory_policy_fits(const struct caml_memory_policy* policy);

/* Does what lives not fit any more, and for so long that the program is to be
   told?  The second forgets it. */
bool caml_memory_policy_is_exhausted(const struct caml_memory_policy* policy);
void caml_memory_policy_told(struct caml_memory_policy* policy);

#endif /* CAML_HEAP_MEMORY_POLICY_H */
