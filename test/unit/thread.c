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

/* The heap's own threads: what they inherit and what not, and when another is
   tried. */

#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "jemalloc_thread.h"

#define MIB ((size_t)1 << 20)
#define S 1000000000ull /* ns */

static int setup(void** state) {
  (void)state;
  caml_thread_init();
  return 0;
}

static void* join(pthread_t thread) {
  void* result = NULL;
  assert_int_equal(pthread_join(thread, &result), 0);
  return result;
}

#define STACK (4 * MIB)

/* Touches [STACK] bytes of its stack. */
static void* use_stack(void* data) {
  volatile char bytes[STACK];
  for (size_t i = 0; i < STACK; i += 4096) bytes[i] = 1;
  return bytes[0] == 1 ? data : NULL;
}

static void a_thread_has_the_stack_it_asked_for(void** state) {
  pthread_t thread;
  int data;
  (void)state;
  assert_true(caml_thread_start(&thread, STACK, use_stack, &data));
  assert_ptr_equal(join(thread), &data);
}

static void* blocked_signals(void* mask) {
  pthread_sigmask(SIG_BLOCK, NULL, mask);
  return NULL;
}

static void a_thread_blocks_all_signals(void** state) {
  pthread_t thread;
  sigset_t mask, own;
  (void)state;
  assert_true(caml_thread_start(&thread, MIB, blocked_signals, &mask));
  join(thread);
  pthread_sigmask(SIG_BLOCK, NULL, &own);
  for (int s = 1; s <= 31; s++) {
    if (s != SIGKILL && s != SIGSTOP) assert_true(sigismember(&mask, s));
    assert_false(sigismember(&own, s)); /* its maker does not */
  }
}

static void a_stack_for_which_there_is_no_memory(void** state) {
  pthread_t thread;
  (void)state;
  assert_false(caml_thread_start(&thread, SIZE_MAX / 4, use_stack, NULL));
}

struct scheduling { cpu_set_t set; int policy; };

static void* settle(void* data) {
  struct scheduling* found = data;
  struct sched_param none;
  caml_thread_settle();
  sched_getaffinity(0, sizeof(found->set), &found->set);
  pthread_getschedparam(pthread_self(), &found->policy, &none);
  return NULL;
}

/* Bound to one processor, under another policy, which needs no privilege */
static void* bound_maker(void* data) {
  struct sched_param none = { .sched_priority = 0 };
  cpu_set_t all, one;
  pthread_t thread;
  sched_getaffinity(0, sizeof(all), &all);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  sched_setaffinity(0, sizeof(one), &one);
  pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
  if (!caml_thread_start(&thread, MIB, settle, data)) return NULL;
  join(thread);
  return data;
}

static void a_thread_is_not_bound_as_its_maker_is(void** state) {
  struct scheduling found;
  cpu_set_t own;
  pthread_t thread;
  (void)state;
  sched_getaffinity(0, sizeof(own), &own);
  assert_int_equal(pthread_create(&thread, NULL, bound_maker, &found), 0);
  assert_ptr_equal(join(thread), &found);
  assert_true(CPU_EQUAL(&found.set, &own));
  assert_int_equal(found.policy, SCHED_OTHER);
}

/* In a child: the limit may be lowered for good. */
static void the_program_s_stack_is_the_system_s(void** state) {
  struct rlimit old, limit;
  (void)state;
  assert_int_equal(getrlimit(RLIMIT_STACK, &old), 0);
  limit = old;
  limit.rlim_cur = 3 * MIB;
  assert_int_equal(setrlimit(RLIMIT_STACK, &limit), 0);
  assert_int_equal(caml_thread_program_stack(), 3 * MIB);
  if (old.rlim_max == RLIM_INFINITY) {
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_STACK, &limit), 0);
    assert_int_equal(caml_thread_program_stack(), 64 * MIB);
  }
  assert_int_equal(setrlimit(RLIMIT_STACK, &old), 0);
}

static void tries_are_further_and_further_apart(void** state) {
  static const unsigned waits[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
  struct caml_thread_retry retry = { .wait = 0 };
  size_t before = caml_thread_failures();
  uint64_t now = 5 * S;
  (void)state;
  assert_true(caml_thread_may_retry(&retry, 0));
  for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
    caml_thread_tried(&retry, now, false);
    assert_int_equal(caml_thread_failures(), before + i + 1);
    now += waits[i] * S;
    assert_false(caml_thread_may_retry(&retry, now - 1));
    assert_true(caml_thread_may_retry(&retry, now));
  }
  caml_thread_tried(&retry, now, true);
  assert_true(caml_thread_may_retry(&retry, now));
  caml_thread_tried(&retry, now, false);
  assert_false(caml_thread_may_retry(&retry, now + S - 1));
  assert_true(caml_thread_may_retry(&retry, now + S)); /* as at first */
}

/* By the clock that [caml_heap_now] is of */
static void a_deadline_is_waited_for(void** state) {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t deadline;
  (void)state;
  caml_thread_init_lock(&lock, &changed);
  assert_int_equal(pthread_mutex_lock(&lock), 0);
  deadline = caml_heap_now() + 20 * NS_PER_MS;
  caml_thread_wait_until(&changed, &lock, deadline);
  assert_true(caml_heap_now() >= deadline);
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&changed);
  pthread_mutex_destroy(&lock);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(a_thread_has_the_stack_it_asked_for),
    T(a_thread_blocks_all_signals),
    T(a_stack_for_which_there_is_no_memory),
    T(a_thread_is_not_bound_as_its_maker_is),
    T(the_program_s_stack_is_the_system_s),
    T(tries_are_further_and_further_apart),
    T(a_deadline_is_waited_for),
  };
  alarm(60);
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
