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

#define _GNU_SOURCE /* dl_iterate_phdr, pthread_getattr_np, sched_getaffinity */

#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_thread.h"

/* Bytes, where RLIMIT_STACK is unlimited: eight times what Linux has by
   default */
#define UNLIMITED_STACK ((size_t)64 << 20)

/* Bytes.  A larger limit counts as none: the kernel may refuse such a stack. */
#define LARGEST_STACK ((rlim_t)1 << 30)

/* Bytes of a stack that the C library keeps for its own data of a thread, and
   for the thread-local data of libraries that are loaded later: glibc 1,664
   and some 2,300 */
#define THREAD_DATA ((size_t)16 << 10)

/* Bytes of thread-local data of all libraries: glibc and musl put them into the
   stack */
static size_t tls;

static int add_tls(struct dl_phdr_info* object, size_t size, void* sum) {
  (void)size;
  for (int i = 0; i < object->dlpi_phnum; i++)
    if (object->dlpi_phdr[i].p_type == PT_TLS)
      *(size_t*)sum +=
        object->dlpi_phdr[i].p_memsz + object->dlpi_phdr[i].p_align;
  return 0;
}

void caml_thread_init(void) {
  tls = 0;
  dl_iterate_phdr(add_tls, &tls);
}

size_t caml_thread_program_stack(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur > LARGEST_STACK)
    return UNLIMITED_STACK;
  return (size_t)limit.rlim_cur;
}

/* [wanted] bytes and what the C library takes.  A multiple of 64 KiB, which is
   one of any page, as some systems want it, and no less than the system's
   least. */
static size_t stack_size(size_t wanted) {
  size_t unit = (size_t)64 << 10;
  long least = sysconf(_SC_THREAD_STACK_MIN);
  if (least > 0 && wanted < (size_t)least) wanted = (size_t)least;
  return (wanted + tls + THREAD_DATA + unit - 1) & -unit;
}

/* A new thread inherits the policy and the processors of its maker, which may
   be a real-time thread that is bound to one processor.  What the system
   refuses to change stays. */
void caml_thread_settle(void) {
  struct sched_param none = { .sched_priority = 0 };
  cpu_set_t set;
  pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
  if (sched_getaffinity(getpid(), sizeof(set), &set) == 0)
    sched_setaffinity(0, sizeof(set), &set);
}

/* Bytes of its stack that a thread uses which has hardly begun */
#define BEGINNING ((size_t)64 << 10)

/* Takes back the pages of a stack that the thread does not use yet.  Where the
   program's memory is locked (mlockall), a stack has all of its pages from the
   start.  Called by the maker of the thread, since pthread_getattr_np
   allocates. */
static void unlock_stack(pthread_t thread) {
  pthread_attr_t attr;
  unsigned char resident = 0;
  void* lowest;
  size_t size, used = BEGINNING + stack_size(0);
  if (pthread_getattr_np(thread, &attr) != 0) return;
  if (pthread_attr_getstack(&attr, &lowest, &size) == 0 && size > used
      && mincore(lowest, 1, &resident) == 0 && (resident & 1)
      && munlock(lowest, size) == 0)
    madvise(lowest, size - used, MADV_DONTNEED);
  pthread_attr_destroy(&attr);
}

bool caml_thread_start(pthread_t* thread, size_t stack, void* (*run)(void*),
                       void* data) {
  pthread_attr_t attr;
  sigset_t all, saved;
  int error;
  assert(stack > 0 && run != NULL);
  if (pthread_attr_init(&attr) != 0) return false;
  error = pthread_attr_setstacksize(&attr, stack_size(stack));
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &saved);
  if (error == 0) error = pthread_create(thread, &attr, run, data);
  pthread_sigmask(SIG_SETMASK, &saved, NULL);
  pthread_attr_destroy(&attr);
  if (error == 0) unlock_stack(*thread);
  return error == 0;
}

#define RETRY_FIRST 1000000000ull /* ns */
#define RETRY_MOST (60 * RETRY_FIRST)

static _Atomic size_t failures;

size_t caml_thread_failures(void) {
  return atomic_load(&failures);
}

void caml_thread_tried(struct caml_thread_retry* retry, uint64_t now,
                       bool made) {
  assert(caml_thread_may_retry(retry, now) && retry->wait <= RETRY_MOST);
  if (made) {
    retry->not_before = retry->wait = 0;
    return;
  }
  if (retry->wait == 0) retry->wait = RETRY_FIRST;
  retry->not_before = now + retry->wait;
  retry->wait = 2 * retry->wait < RETRY_MOST ? 2 * retry->wait : RETRY_MOST;
  atomic_fetch_add(&failures, 1);
}

void caml_thread_init_condition(pthread_cond_t* changed) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(changed, &attr);
  pthread_condattr_destroy(&attr);
}

void caml_thread_init_lock(pthread_mutex_t* lock, pthread_cond_t* changed) {
  pthread_mutex_init(lock, NULL);
  caml_thread_init_condition(changed);
}

void caml_thread_wait_until(pthread_cond_t* changed, pthread_mutex_t* lock,
                            uint64_t deadline) {
  struct timespec t = { .tv_sec = (time_t)(deadline / 1000000000),
                        .tv_nsec = (long)(deadline % 1000000000) };
  pthread_cond_timedwait(changed, lock, &t);
}
