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

/* The heap's own threads: how one is made, and waits by the monotonic clock. */

#ifndef CAML_JEMALLOC_THREAD_H
#define CAML_JEMALLOC_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000ull

/* Nanoseconds of a clock; 0 where it is of a thread that has ended.  From any
   thread. */
static inline uint64_t caml_heap_clock(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of the monotonic clock. */
static inline uint64_t caml_heap_now(void) {
  return caml_heap_clock(CLOCK_MONOTONIC);
}

/* To be called once, before the first thread is started and before a fork. */
void caml_thread_init(void);

/* Bytes of stack for a thread that does the work of the program's own threads:
   the system's limit for these (RLIMIT_STACK).  Where there is none, 64 MiB, of
   which only what is used takes memory. */
size_t caml_thread_program_stack(void);

/* Starts a thread, which is to be joined.  It can use [stack] bytes of stack:
   what the C library takes out of a stack comes on top.  It blocks all signals.
   To be called with a lock that the thread takes before it does anything else.
   False if there is no memory for it, or the system has no more threads. */
bool caml_thread_start(pthread_t* thread, size_t stack, void* (*run)(void*),
                       void* data);

/* To be called by the new thread before it takes that lock.  Gives it the
   ordinary scheduling policy and the processors of the process's first thread,
   whatever its maker has. */
void caml_thread_settle(void);

/* When to try again to make a thread that could not be made: after a second,
   then after twice as long each time, up to a minute.  All zeros: never
   tried. */
struct caml_thread_retry {
  uint64_t not_before;     /* ns */
  uint64_t wait;           /* ns, after the next failure; 0: the first */
};

/* How often a thread could not be made, since the process began.  From any
   thread. */
size_t caml_thread_failures(void);

/* May it be tried [now]?  Changes nothing. */
static inline bool caml_thread_may_retry(const struct caml_thread_retry* retry,
                                         uint64_t now) {
  return now >= retry->not_before;
}

/* It was tried [now], and the thread was [made] or not. */
void caml_thread_tried(struct caml_thread_retry* retry, uint64_t now,
                       bool made);

/* Makes a condition ready to be waited for until a moment, or both, also over
   what a fork has left of them. */
void caml_thread_init_condition(pthread_cond_t* changed);
void caml_thread_init_lock(pthread_mutex_t* lock, pthread_cond_t* changed);

/* With the lock: waits for a change, or until [deadline] by [caml_heap_now]. */
void caml_thread_wait_until(pthread_cond_t* changed, pthread_mutex_t* lock,
                            uint64_t deadline);

#endif /* CAML_JEMALLOC_THREAD_H */
