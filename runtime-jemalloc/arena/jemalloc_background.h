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

/* A thread that gives back the unused pages of an arena when their time has
   come, also while nobody uses the arena.

   It is made when there is something to give back for the first time.  While
   there is nothing, it sleeps and does not wake up.  It blocks all signals and
   never touches an OCaml value. */

#ifndef CAML_JEMALLOC_BACKGROUND_H
#define CAML_JEMALLOC_BACKGROUND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include "jemalloc_arena.h"
#include "jemalloc_mutex.h"
#include "jemalloc_thread.h"

enum caml_background_state {
  CAML_BACKGROUND_OFF,     /* no thread, and none is wanted */
  CAML_BACKGROUND_REFUSED, /* no thread could be made; tried again later */
  CAML_BACKGROUND_ASLEEP,  /* there is no thread yet, or it waits */
  CAML_BACKGROUND_FORKED,  /* there is none in this child yet, but what the
                              parent's was to purge */
  CAML_BACKGROUND_AWAKE
};

struct caml_background {
  struct caml_arena* arena;
  _Atomic enum caml_background_state state; /* written with [lock] held */
  struct caml_ranked_mutex lock; /* taken before jemalloc's own locks */
  pthread_cond_t changed;
  pthread_t thread;
  bool running;  /* there is [thread] */
  bool stopping; /* it is to end */
  size_t committed; /* bytes that the heap had ever committed at its last look;
                       with [lock] held */
  struct caml_thread_retry retry; /* of making it */
  _Atomic uint64_t next_poll;     /* ns, where there is no thread */
  _Atomic clockid_t clock;        /* of the thread's CPU time; 0: no thread */
};

/* Makes [background] ready; it is off.  Called once, when [arena] is ready.
   [background] must not move afterwards. */
void caml_background_init(struct caml_background* background,
                          struct caml_arena* arena);

/* From now on there is a thread when one is needed.  From any thread. */
void caml_background_on(struct caml_background* background);

/* Ends the thread, and waits for that.  From any thread but this one. */
void caml_background_off(struct caml_background* background);

/* To be called now and then, from any thread.  Where there is no thread, does
   its work, and sees to it that one is made if none could be made before.
   Takes some nanoseconds where there is one. */
void caml_background_poll(struct caml_background* background);

/* Called by the functions below. */
void caml_background_wake(struct caml_background* background);

/* Is there something for the thread to wake up for, once memory is freed? */
static inline bool
caml_background_sleeps(const struct caml_background* background) {
  enum caml_background_state state = atomic_load(&background->state);
  return state == CAML_BACKGROUND_ASLEEP || state == CAML_BACKGROUND_FORKED;
}

/* To be called whenever the arena got memory back.  From any thread. */
static inline void caml_background_freed(struct caml_background* background) {
  if (caml_background_sleeps(background)) caml_background_wake(background);
}

/* To be called when a child may be there for longer than to call exec.  From
   any thread. */
static inline void caml_background_settle(struct caml_background* background) {
  if (atomic_load(&background->state) == CAML_BACKGROUND_FORKED)
    caml_background_wake(background);
}

/* Between the two the thread purges nothing.  The first waits for the end of a
   purge that is under way: jemalloc does not begin another meanwhile. */
void caml_background_hold(struct caml_background* background);
void caml_background_release(struct caml_background* background);

/* In a child that was forked between the two, instead of the second.  If the
   parent had the thread, the child gets one of its own when it frees memory,
   or by [caml_background_settle]. */
void caml_background_postfork_child(struct caml_background* background);

#endif /* CAML_JEMALLOC_BACKGROUND_H */
