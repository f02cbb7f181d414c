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

#include <signal.h>
#include "jemalloc_thread.h"

bool caml_thread_start(pthread_t* thread, size_t stack, void* (*run)(void*),
                       void* data) {
  pthread_attr_t attr;
  sigset_t all, saved;
  int error;
  if (pthread_attr_init(&attr) != 0) return false;
  pthread_attr_setstacksize(&attr, stack);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &saved);
  error = pthread_create(thread, &attr, run, data);
  pthread_sigmask(SIG_SETMASK, &saved, NULL);
  pthread_attr_destroy(&attr);
  return error == 0;
}

void caml_thread_init_lock(pthread_mutex_t* lock, pthread_cond_t* changed) {
  pthread_condattr_t attr;
  pthread_mutex_init(lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(changed, &attr);
  pthread_condattr_destroy(&attr);
}

void caml_thread_wait_until(pthread_cond_t* changed, pthread_mutex_t* lock,
                            uint64_t deadline) {
  struct timespec t = { .tv_sec = (time_t)(deadline / 1000000000),
                        .tv_nsec = (long)(deadline % 1000000000) };
  pthread_cond_timedwait(changed, lock, &t);
}
