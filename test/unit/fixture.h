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

/* An arena of its own for each test: T(f) runs f with one. */

#ifndef FIXTURE_H
#define FIXTURE_H

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "jemalloc_arena.h"
#include "smaps.h"

#define MIB ((size_t)1 << 20)
#define POOL CAML_POOL_SIZE

static struct caml_arena arena;

static int setup(void** state) {
  (void)state;
  if (caml_arena_create(&arena, CAML_THP_SYSTEM) != NULL) return -1;
  return caml_arena_set_dirty_decay(&arena, 1000)
    && caml_arena_set_muzzy_decay(&arena, 1000) ? 0 : -1;
}

static int teardown(void** state) {
  (void)state;
  return caml_arena_destroy(&arena) ? 0 : -1;
}

/* Skips the test where the kernel cannot do as it is told to. */
static inline void need_populate(void) {
  if (!smaps_can_populate()) {
    print_message("# no MADV_POPULATE_WRITE before Linux 5.14\n");
    skip();
  }
}

/* Forks so many times, with what a fork does to the arena: it works in each
   child. */
static inline void fork_often(int times, bool (*works)(void)) {
  for (int i = 0; i < times; i++) {
    int status;
    pid_t pid;
    caml_arena_prefork(&arena);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      alarm(60);
      caml_arena_postfork_child(&arena);
      _exit(works() ? 0 : 1);
    }
    caml_arena_postfork_parent(&arena);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
  }
}

/* ms */
#define LATE_TIME 20000

/* A thread looks at ages, since [*since].  Only where it has not, with a decay
   time of LATE_TIME, do puts to that shard. */
static inline void assert_puts_look_late(uint64_t* since,
                                         void (*put_one)(void)) {
  uint64_t now = caml_shard_now(), due = now - LATE_TIME / 2;
  *since = due;
  for (int i = 0; i < CAML_SHARD_PUTS; i++) put_one();
  if (caml_shard_now() < now + CAML_SHARD_LATE) assert_true(*since == due);
  *since = due - CAML_SHARD_LATE;
  for (int i = 0; i < CAML_SHARD_PUTS; i++) put_one();
  assert_true(*since >= now);
}

/* A purge gives a shard to whoever takes all of them, too: others wait for
   those that it has already. */
static inline void assert_seen_to_wait(struct caml_shard_lock* lock,
                                       void* (*lock_all)(void*)) {
  pthread_t thread;
  caml_shard_lock(lock);
  assert_int_equal(pthread_create(&thread, NULL, lock_all, NULL), 0);
  for (int i = 0; i < 10000 && atomic_load(&lock->waiting) == 0; i++)
    usleep(1000);
  assert_int_equal(atomic_load(&lock->waiting), 1);
  caml_shard_unlock(lock);
  pthread_join(thread, NULL);
  assert_int_equal(atomic_load(&lock->waiting), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif /* FIXTURE_H */
