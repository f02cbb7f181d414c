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

/* The thread that purges: when there is one, what it does, and who does it
   where there is none. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fixture.h"
#include "jemalloc_background.h"

static struct caml_background background;
static bool no_threads; /* the system has no more */

int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attr,
                          void* (*run)(void*), void* data);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attr,
                          void* (*run)(void*), void* data);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attr,
                          void* (*run)(void*), void* data) {
  return no_threads ? EAGAIN : __real_pthread_create(thread, attr, run, data);
}

static int begin(void** state) {
  no_threads = false;
  memset(&background, 0, sizeof(background));
  if (setup(state) != 0) return -1;
  caml_thread_init();
  caml_background_init(&background, &arena);
  return caml_arena_set_dirty_decay(&arena, 10)
    && caml_arena_set_muzzy_decay(&arena, 10) ? 0 : -1;
}

static int end(void** state) {
  caml_background_off(&background);
  return teardown(state);
}

/* Of the process */
static unsigned threads(void) {
  DIR* tasks = opendir("/proc/self/task");
  unsigned n = 0;
  assert_non_null(tasks);
  for (struct dirent* d; (d = readdir(tasks)) != NULL;)
    n += d->d_name[0] != '.';
  closedir(tasks);
  return n;
}

/* Puts a block and a pool, as the heap does. */
static void free_some(void) {
  void *block = caml_arena_get(&arena, MIB), *pool;
  void* other = caml_arena_get_pool(&arena, 0);
  pool = caml_arena_get_pool(&arena, 0);
  assert_non_null(block);
  assert_non_null(other);
  assert_non_null(pool);
  memset(block, 1, MIB);
  memset(pool, 1, POOL);
  caml_arena_put(&arena, block, MIB);
  caml_arena_put_pool(&arena, pool);
  caml_background_freed(&background);
}

static void pause_briefly(void) {
  struct timespec t = { .tv_nsec = 1000000 };
  nanosleep(&t, NULL);
}

/* Until nothing is left to purge, which main's alarm bounds; calls [act] */
static void wait_for_decay(void (*act)(void)) {
  while (caml_arena_decays(&arena)) {
    if (act != NULL) act();
    pause_briefly();
  }
}

static void wait_for(enum caml_background_state state) {
  while (atomic_load(&background.state) != state) pause_briefly();
}

static void poll(void) {
  caml_background_poll(&background);
}

static void there_is_none_before_memory_is_freed(void** state) {
  (void)state;
  caml_background_on(&background);
  assert_int_equal(background.state, CAML_BACKGROUND_ASLEEP);
  assert_int_equal(threads(), 1);
}

static void it_purges_and_sleeps(void** state) {
  (void)state;
  caml_background_on(&background);
  for (int i = 0; i < 2; i++) {
    free_some();
    assert_true(background.running);
    assert_int_equal(threads(), 2);
    wait_for_decay(NULL);
    wait_for(CAML_BACKGROUND_ASLEEP);
  }
}

static void it_ends(void** state) {
  (void)state;
  caml_background_on(&background);
  free_some();
  caml_background_off(&background);
  assert_int_equal(background.state, CAML_BACKGROUND_OFF);
  assert_false(background.running);
  assert_int_equal(threads(), 1);
  free_some(); /* off: that makes none */
  assert_int_equal(threads(), 1);
}

static void a_poll_does_its_work_where_it_is_off(void** state) {
  (void)state;
  free_some();
  assert_true(caml_arena_decays(&arena));
  wait_for_decay(poll);
  assert_int_equal(threads(), 1);
}

static void a_poll_does_its_work_where_none_can_be_made(void** state) {
  size_t before = caml_thread_failures();
  (void)state;
  no_threads = true;
  caml_background_on(&background);
  free_some();
  assert_int_equal(background.state, CAML_BACKGROUND_REFUSED);
  assert_int_equal(caml_thread_failures(), before + 1);
  wait_for_decay(poll);
  assert_int_equal(caml_thread_failures(), before + 1); /* too soon */
  no_threads = false;
  background.retry.not_before = 0; /* now it is */
  atomic_store(&background.next_poll, 0);
  poll();
  assert_int_equal(background.state, CAML_BACKGROUND_ASLEEP);
  free_some();
  assert_int_equal(threads(), 2);
}

static void it_purges_nothing_while_it_is_held(void** state) {
  (void)state;
  caml_background_on(&background);
  caml_background_hold(&background);
  caml_background_release(&background);
  free_some();
  caml_background_hold(&background);
  for (int i = 0; i < 300; i++) pause_briefly(); /* three looks of its */
  assert_true(caml_arena_decays(&arena));
  caml_background_release(&background);
  wait_for_decay(NULL);
}

/* As heap_lifecycle.c does */
static pid_t fork_heap(void) {
  pid_t pid;
  caml_background_hold(&background);
  caml_arena_prefork(&arena);
  pid = fork();
  if (pid == 0) {
    caml_arena_postfork_child(&arena);
    caml_background_postfork_child(&background);
  } else {
    caml_arena_postfork_parent(&arena);
    caml_background_release(&background);
  }
  return pid;
}

/* In a child with the heap: is what [act] returns 0? */
static void assert_child(int (*act)(void)) {
  int status;
  pid_t pid = fork_heap();
  assert_true(pid >= 0);
  if (pid == 0) {
    alarm(30);
    _exit(act());
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

static int go_on(void) {
  if (threads() != 1) return 1;
  caml_background_settle(&background);
  if (threads() != 2) return 2;
  free_some();
  wait_for_decay(NULL);
  caml_background_off(&background);
  return threads() == 1 ? 0 : 3;
}

static void a_child_that_goes_on_has_its_own(void** state) {
  (void)state;
  caml_background_on(&background);
  free_some();
  assert_child(go_on);
  assert_int_equal(threads(), 2);
}

static int free_memory(void) {
  free_some();
  return threads() == 2 ? 0 : 1;
}

static void a_child_that_frees_memory_has_its_own(void** state) {
  (void)state;
  caml_background_on(&background);
  free_some();
  assert_child(free_memory);
}

static int settle(void) {
  caml_background_settle(&background);
  return threads() == 1 ? 0 : 1;
}

static void a_child_of_one_without_has_none(void** state) {
  (void)state;
  caml_background_on(&background);
  assert_child(settle);
}

#define B(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    B(there_is_none_before_memory_is_freed),
    B(it_purges_and_sleeps),
    B(it_ends),
    B(a_poll_does_its_work_where_it_is_off),
    B(a_poll_does_its_work_where_none_can_be_made),
    B(it_purges_nothing_while_it_is_held),
    B(a_child_that_goes_on_has_its_own),
    B(a_child_that_frees_memory_has_its_own),
    B(a_child_of_one_without_has_none),
  };
  alarm(60);
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("background", tests, NULL, NULL);
}
