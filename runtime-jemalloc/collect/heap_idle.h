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
#include "heap_ahead_policy.h"
#include "heap_idle_policy.h"
#include "jemalloc_thread.h"

/* It is a gap between two pieces of the program's work if no lock of a domain
   is touched for so long, ns. */
#define CAML_IDLE_GAP NS_PER_MS

/* The collection under way, or to be gone on with: the thread's own */
struct caml_idle_goal {
  uintnat cycle;  /* cycles completed when all garbage is known; 0: none */
  struct caml_idle_count allocated; /* when that was set */
  size_t held;    /* bytes, the most since its beginning */
  size_t outside; /* of the heap, likewise */
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
  /* The system is short of memory: the policy is to be told. */
  _Atomic bool urgent;
  /* The thread is to look for a gap. */
  _Atomic bool ahead_asked;
  /* How many threads wait for the lock of a domain: a slice ends for one. */
  _Atomic unsigned waiting;

  pthread_mutex_t lock; /* taken before a domain's lock and those of jemalloc */
  pthread_cond_t changed;
  pthread_t thread;
  bool running;          /* there is [thread] */
  _Atomic bool stopping; /* it is to end */
  /* The domain, by its state, whose lock the thread has and which it works
     for */
  void* _Atomic in_place_of;
  uint64_t deadline;     /* when the thread is to look again, ns; 0: when woken
                            */
  struct caml_thread_retry retry; /* of making the thread */
  struct caml_idle_policy policy; /* the thread's own, when there is one */
  struct caml_ahead_policy ahead;
  struct caml_idle_goal goal;
  bool touched;          /* [quiet] was false since the last look */
  uint64_t words;        /* of work, in slices that can be interrupted */
  uint64_t paid;         /* of the thread's CPU time, into the policy's purse */
  struct caml_idle_count at_fork; /* what a child has from its parent */
  struct caml_idle_count compacted; /* when the program last compacted by
                                       itself */
  uint64_t compacted_at;            /* ns */
  /* Of a program with a small heap: its process has taken much memory; when to
     look for that again, ns */
  _Atomic bool process_is_large;
  _Atomic uint64_t next_size;
};

/* Of the one heap */
extern struct caml_idle caml_heap_idle;

/* Makes [idle] ready, without a thread. */
void caml_idle_init(struct caml_idle* idle);

/* Ends the thread for good.  Called with the domain lock, which is free
   meanwhile. */
void caml_idle_stop(struct caml_idle* idle);

/* Xidle_compact_ms has changed. */
void caml_idle_look_again(struct caml_idle* idle);

/* The system is short of memory: a program that is idle is collected without a
   wait.  From any thread, without the domain lock. */
void caml_idle_collect_soon(struct caml_idle* idle);

/* Around a fork, and in the child, which gets a thread when it needs one. */
void caml_idle_prefork(struct caml_idle* idle);
void caml_idle_postfork_parent(struct caml_idle* idle);
void caml_idle_postfork_child(struct caml_idle* idle);

/* Is a thread of the program's waiting for the one here? */
static inline bool caml_idle_is_awaited(struct caml_idle* idle) {
  return atomic_load(&idle->waiting) > 0 || atomic_load(&idle->stopping);
}

/* Looks at the program, for the policy.  [blocked]: all domains are known to be
   in blocking sections, if no lock of a domain was taken or let go since the
   last look.  On the thread. */
void caml_idle_look(struct caml_idle* idle, bool blocked);

/* The thread's own CPU time, ns */
uint64_t caml_idle_own_cpu(void);

/* What the program has allocated; of the other domains, up to their last minor
   collection.  With the domain lock. */
struct caml_idle_count caml_idle_allocated(void);

/* The program has just compacted by itself: there is nothing to collect but
   what it has allocated since it had [allocated] so much.  With the domain
   lock. */
void caml_idle_compacted(struct caml_idle* idle,
                         struct caml_idle_count allocated);

/* Does what [ahead] says for domains that are in blocking sections.  On the
   thread, without [lock]. */
void caml_idle_work_ahead(struct caml_idle* idle);

/* Instead of [caml_domain_return], on the thread */
void caml_idle_return_domain(void);

/* Collects, or goes on, if the policy says so.  False if the program was back
   before it came to its end; else there is nothing to do until that has run
   again, or until [deadline].  On the thread, with [lock]; releases it
   meanwhile. */
bool caml_idle_collect(struct caml_idle* idle);

/* If a thread of the runtime's could not be made, says so on stderr, once,
   under OCAMLRUNPARAM=v=.  From any thread. */
void caml_heap_tell_refused_threads(void);

#endif /* CAML_HEAP_IDLE_H */
