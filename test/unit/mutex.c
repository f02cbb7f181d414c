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

/* The witness of lock ranks: what it lets pass, and what it stops. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "jemalloc_mutex.h"

static struct caml_ranked_mutex low, high, twin; /* [twin]'s rank is [low]'s */

static int setup(void** state) {
  (void)state;
  caml_ranked_mutex_init(&low, CAML_RANK_TRIM);
  caml_ranked_mutex_init(&twin, CAML_RANK_TRIM);
  caml_ranked_mutex_init(&high, CAML_RANK_HUGE);
  return 0;
}

/* In a forked child: does [act] end at an assertion? */
static bool is_stopped(void (*act)(void)) {
  int status;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    alarm(10);
    signal(SIGABRT, SIG_DFL);
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
    act();
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void in_order(void) {
  caml_ranked_mutex_lock(&low);
  caml_ranked_mutex_lock(&high);
  caml_ranked_mutex_assert_held(&low);
  caml_ranked_mutex_assert_held(&high);
  caml_ranked_mutex_unlock(&low); /* the order of these does not matter */
  caml_ranked_mutex_unlock(&high);
  caml_ranked_mutex_lock(&low);
  caml_ranked_mutex_unlock(&low);
}

static void downwards(void) {
  caml_ranked_mutex_lock(&high);
  caml_ranked_mutex_lock(&low);
}

static void tried_downwards(void) {
  caml_ranked_mutex_lock(&high);
  caml_ranked_mutex_try_lock(&low);
}

static void one_rank_twice(void) {
  caml_ranked_mutex_lock(&low);
  caml_ranked_mutex_lock(&twin);
}

static void unlocked_without(void) {
  caml_ranked_mutex_unlock(&low);
}

static void demanded_without(void) {
  caml_ranked_mutex_assert_held(&low);
}

static void waited_without(void) {
  caml_ranked_mutex_held(&low);
}

static void destroyed_while_held(void) {
  caml_ranked_mutex_lock(&low);
  caml_ranked_mutex_destroy(&low);
}

static void upwards_passes(void** state) {
  (void)state;
  assert_false(is_stopped(in_order));
}

static void all_else_is_stopped(void** state) {
  (void)state;
  assert_true(is_stopped(downwards));
  assert_true(is_stopped(tried_downwards));
  assert_true(is_stopped(one_rank_twice));
  assert_true(is_stopped(unlocked_without));
  assert_true(is_stopped(demanded_without));
  assert_true(is_stopped(waited_without));
  assert_true(is_stopped(destroyed_while_held));
}

static void* try_low(void* unused) {
  bool got = caml_ranked_mutex_try_lock(&low);
  (void)unused;
  assert_false(caml_rank_is_held(CAML_RANK_TRIM));
  return got ? &low : NULL;
}

/* What one thread holds is no matter of another's. */
static void ranks_are_of_a_thread(void** state) {
  pthread_t thread;
  void* got = &low;
  (void)state;
  caml_ranked_mutex_lock(&low);
  assert_int_equal(pthread_create(&thread, NULL, try_low, NULL), 0);
  assert_int_equal(pthread_join(thread, &got), 0);
  assert_null(got);
  assert_true(caml_rank_is_held(CAML_RANK_TRIM));
  caml_ranked_mutex_unlock(&low);
  assert_false(caml_rank_is_held(CAML_RANK_TRIM));
}

static void a_child_holds_nothing(void** state) {
  int status;
  pid_t pid;
  (void)state;
  caml_ranked_mutex_lock(&low);
  caml_ranked_mutex_lock(&high);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    alarm(10);
    caml_ranked_mutex_postfork_child(&high);
    caml_ranked_mutex_postfork_child(&low);
    in_order();
    _exit(caml_rank_is_held(CAML_RANK_TRIM) ? 1 : 0);
  }
  caml_ranked_mutex_unlock(&high);
  caml_ranked_mutex_unlock(&low);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

/* All shards of the pools at once, then what the hooks take */
static void each_shard_has_a_rank(void** state) {
  static struct caml_ranked_mutex shards[CAML_POOL_SHARDS];
  (void)state;
  for (int i = 0; i < CAML_POOL_SHARDS; i++) {
    caml_ranked_mutex_init(&shards[i], (enum caml_rank)(CAML_RANK_SHARD + i));
    caml_ranked_mutex_lock(&shards[i]);
  }
  caml_ranked_mutex_lock(&high);
  caml_ranked_mutex_unlock(&high);
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_ranked_mutex_unlock(&shards[i]);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(upwards_passes),
    T(all_else_is_stopped),
    T(ranks_are_of_a_thread),
    T(a_child_holds_nothing),
    T(each_shard_has_a_rank),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("mutex", tests, NULL, NULL);
}
