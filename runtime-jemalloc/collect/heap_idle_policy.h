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

/* When an idle program is collected: decisions on a clock that is given, apart
   from what acts on them (heap_idle_collect.c).  Nothing of OCaml's is in here,
   so that it can be tested alone.

   At rest is who does no work, however often it wakes up: who takes hardly any
   CPU time, or has all its domains in blocking sections without a sign.

   The wait is Xidle_compact_ms, or twice as long as the rests seen lately if
   these were hardly longer than that.  Each time that a collection with little
   to gain was given up, since the program worked again, the wait is doubled;
   one that has ended makes it what it was.  What was done is not lost: with
   much to gain each rest brings a collection nearer to its end.

   The purse holds the CPU time that collections may take.  It fills by one
   hundredth of a core and holds 0.6 s: over any minute a fiftieth of a core is
   spent at most.  What brought memory back is paid back.  A collection that
   has much to gain may owe a few times what one costs, unless the last of that
   kind brought nothing.

   Xidle_compact_ms=0 is for tests: no wait, no purse.

   Times are ns, sizes bytes.  Called by one thread at a time. */

#ifndef CAML_HEAP_IDLE_POLICY_H
#define CAML_HEAP_IDLE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words that the program has allocated since it began, by promotion too */
struct caml_idle_count { uint64_t major, minor; };

/* What a look at the program shows */
struct caml_idle_look {
  uint64_t now;
  uint64_t cpu;  /* that it has taken since it began */
  bool touched;  /* A lock of a domain was taken or let go since the last. */
  bool blocked;  /* All domains are in blocking sections. */
  size_t in_use; /* pools and large blocks */
};

/* What there may be to gain */
struct caml_idle_need {
  uint64_t now;
  struct caml_idle_count allocated;
  size_t in_use;
  size_t outside; /* of the heap: what custom blocks may hold, and more */
  size_t shared;  /* of it, with other processes */
  size_t swapped; /* of it */
};

enum caml_idle_decision {
  CAML_IDLE_NOTHING, /* to gain until the program has run again */
  CAML_IDLE_LATER,   /* not before the deadline */
  CAML_IDLE_COLLECT
};

struct caml_idle_policy {
  uint64_t wanted;          /* Xidle_compact_ms */
  bool urgent;              /* The system is short of memory: no such wait, and
                               the purse does not count. */
  /* Looks */
  struct caml_idle_look last;
  uint64_t load;            /* CPU time of late */
  uint64_t light_since;     /* hardly any CPU time has been taken */
  uint64_t untouched_since; /* without a sign, and all domains blocked */
  uint64_t short_rest;      /* the longest of late that was too short */
  unsigned given_up;        /* times, since a collection ended */
  uint64_t pause;           /* between looks that showed nothing new */
  /* The purse */
  int64_t purse;            /* at [filled]; negative: owed */
  uint64_t filled;
  uint64_t spent;           /* on the collection under way */
  double cost;              /* of collections, a byte held */
  /* Collections */
  struct caml_idle_count done; /* at the end of the last that ended */
  size_t outside;           /* of the heap, then */
  uint64_t ended;           /* when that was */
  bool begun;               /* one is to be gone on with */
  bool may_owe;
  bool futile;              /* The last that might owe brought nothing. */
  unsigned probes;          /* in a row that brought nothing */
  /* The stop of a compaction, a word that it reads */
  double stop;
};

/* Nothing is known but what the program has allocated. */
void caml_idle_policy_init(struct caml_idle_policy* policy,
                           struct caml_idle_count done);

/* The program begins to be looked at. */
void caml_idle_policy_watch(struct caml_idle_policy* policy, uint64_t now,
                            uint64_t cpu);

void caml_idle_policy_look(struct caml_idle_policy* policy,
                           const struct caml_idle_look* look);

/* How long the program has been at rest, by the last look, and how long that is
   to be before a collection begins */
uint64_t caml_idle_policy_rest(const struct caml_idle_policy* policy);
uint64_t caml_idle_policy_wait(const struct caml_idle_policy* policy);

/* Is it at rest, so that what has begun may go on? */
bool caml_idle_policy_rests(const struct caml_idle_policy* policy);

/* How long until the next look, while the program does not rest for long
   enough */
uint64_t caml_idle_policy_interval(const struct caml_idle_policy* policy);

/* If it is CAML_IDLE_LATER, *deadline is when to ask again. */
enum caml_idle_decision
caml_idle_policy_decide(const struct caml_idle_policy* policy,
                        const struct caml_idle_need* need, uint64_t* deadline);

/* How long to leave a program alone that stays at rest, after there was nothing
   to do: longer each time that this was asked. */
uint64_t caml_idle_policy_pause(struct caml_idle_policy* policy);

/* A collection for that need begins, or goes on. */
void caml_idle_policy_begin(struct caml_idle_policy* policy,
                            const struct caml_idle_need* need);

/* It has taken so much CPU time more. */
void caml_idle_policy_spend(struct caml_idle_policy* policy, uint64_t now,
                            uint64_t cpu);

/* Is there enough in the purse for it to go on? */
bool caml_idle_policy_affords(const struct caml_idle_policy* policy,
                              uint64_t now);

/* When that is so for one that has to wait */
uint64_t caml_idle_policy_payday(const struct caml_idle_policy* policy,
                                 uint64_t now);

/* The program was back before it had ended. */
void caml_idle_policy_gave_up(struct caml_idle_policy* policy);

/* It has ended, and so much of [held] and of what is outside of the heap came
   back.  [outside]: what there is now, and what the program takes anew as it
   goes on. */
void caml_idle_policy_ended(struct caml_idle_policy* policy, uint64_t now,
                            struct caml_idle_count done, size_t held,
                            size_t returned, size_t outside);

/* The program has compacted by itself. */
void caml_idle_policy_compacted(struct caml_idle_policy* policy, uint64_t now,
                                struct caml_idle_count done);

/* How long a compaction that reads so many words would stop the program, by the
   ones before; and one that did for so long */
uint64_t caml_idle_policy_stop(const struct caml_idle_policy* policy,
                               uint64_t words);
void caml_idle_policy_stopped(struct caml_idle_policy* policy, uint64_t words,
                              uint64_t ns);

/* When a stop of [ns] may be made, if [bound] is how long it may be while the
   program is only just at rest: by then it has rested for ten times as long. */
uint64_t caml_idle_policy_may_stop(const struct caml_idle_policy* policy,
                                   uint64_t ns, uint64_t bound);

#endif /* CAML_HEAP_IDLE_POLICY_H */
