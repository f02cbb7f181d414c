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

/* An idle program collects its garbage, compacts its heap and gives the memory
   back, on a thread of the runtime.  When, and with which locks:
   doc/automatic.md.

   The thread is made when there is a heap of some size, sleeps without waking
   up while the program is at rest, and blocks all signals. */

#ifndef CAML_HEAP_IDLE_H
#define CAML_HEAP_IDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "caml/config.h"
#include "jemalloc_thread.h"

/* Words that the program has allocated since it began, by promotion too */
struct caml_idle_count { uint64_t major, minor; };

/* What the last collection tells about the next one: the thread's own. */
struct caml_idle_history {
  struct caml_idle_count done; /* at the end of the last that came to its end */
  uint64_t tried_minor;  /* at the beginning of the last of all */
  uint64_t ended;        /* when that ended, was given up or put off, ns */
  uint64_t cost;         /* what it took of this thread, ns */
  uintnat goal;          /* cycles completed when all garbage is known; 0: none
                            yet */
  uint64_t goal_major;   /* words allocated when that was set */
  intnat slice;          /* words of work that take about a millisecond */
  double stop;           /* of the compaction, ns a word of pools and large
                            blocks */
};

struct caml_idle {
  /* No domain's lock was taken or let go since this was set, by the thread. */
  _Atomic bool quiet;
  /* The thread, if there is one, waits to be woken up. */
  _Atomic bool asleep;
  /* A collection is under way. */
  _Atomic bool collecting;
  /* It is compacting, and will give back when the program is no longer
     stopped. */
  _Atomic bool compacting;

  pthread_mutex_t lock; /* taken before a domain's lock and those of jemalloc */
  pthread_cond_t changed;
  pthread_t thread;
  bool running;          /* there is [thread] */
  _Atomic bool stopping; /* it is to end */
  /* The domain, by its state, whose lock the thread has and which it works
     for */
  void* _Atomic in_place_of;
  uint64_t began;        /* since when the program has been idle, ns */
  uint64_t deadline;     /* when the thread is to look again, ns; 0: when woken
                            */
  struct caml_thread_retry retry; /* of making the thread */
  struct caml_idle_history history;
  struct caml_idle_count at_fork; /* what a child has from its parent */
  struct caml_idle_count compacted; /* when the program last compacted by
                                       itself */
  uint64_t compacted_at;            /* ns */
};

/* Of the one heap */
extern struct caml_idle caml_heap_idle;

/* No collection yet: before the thread is made */
void caml_idle_forget(struct caml_idle* idle);

/* Makes [idle] ready, without a thread. */
void caml_idle_init(struct caml_idle* idle);

/* Ends the thread for good.  Called with the domain lock, which is free
   meanwhile. */
void caml_idle_stop(struct caml_idle* idle);

/* Xidle_compact_ms has changed. */
void caml_idle_look_again(struct caml_idle* idle);

/* Around a fork, and in the child, which gets a thread when it needs one. */
void caml_idle_prefork(struct caml_idle* idle);
void caml_idle_postfork_parent(struct caml_idle* idle);
void caml_idle_postfork_child(struct caml_idle* idle);

/* Is the program still where it was when the thread set [quiet]? */
static inline bool caml_idle_undisturbed(struct caml_idle* idle) {
  return atomic_load(&idle->quiet) && !atomic_load(&idle->stopping);
}

enum caml_idle_outcome {
  CAML_IDLE_DONE,     /* nothing to do until the program has run again */
  CAML_IDLE_GIVEN_UP, /* the program is back */
  CAML_IDLE_LATER     /* not before [deadline] */
};

/* What the program has allocated; of the other domains, up to their last minor
   collection.  With the domain lock. */
struct caml_idle_count caml_idle_allocated(void);

/* The program has just compacted by itself: there is nothing to collect but
   what it allocates from now on.  With the domain lock. */
void caml_idle_compacted(struct caml_idle* idle);

/* Collects if that is worth it.  [since]: how long the program has been idle,
   ns.  On the thread, with [lock]; releases it meanwhile. */
enum caml_idle_outcome caml_idle_collect(struct caml_idle* idle,
                                         uint64_t since);

/* How often a thread of the runtime's could not be made; the other says so on
   stderr, once, under OCAMLRUNPARAM=v=.  From any thread. */
size_t caml_heap_refused_threads(void);
void caml_heap_tell_refused_threads(void);

#endif /* CAML_HEAP_IDLE_H */
