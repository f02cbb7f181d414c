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

/* When memory is given back again where it is short, on the test's clock and a
   heap that is made up. */

#define CAML_INTERNALS

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include "heap_collect.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_relief.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define MIB ((size_t)1 << 20)

struct caml_heap caml_heap;
struct caml_collector caml_collector;

static uint64_t now;
static size_t unused; /* free pages, bytes */
static uint64_t purge_takes;

int __wrap_clock_gettime(clockid_t clock, struct timespec* t);
int __wrap_clock_gettime(clockid_t clock, struct timespec* t) {
  (void)clock;
  t->tv_sec = (time_t)(now / SECOND);
  t->tv_nsec = (long)(now % SECOND);
  return 0;
}

size_t caml_arena_unused(struct caml_arena* arena) {
  (void)arena;
  return unused;
}

bool caml_heap_give_back(enum caml_compact_purge how) {
  assert_int_equal(how, CAML_COMPACT_PURGE_FORCED);
  unused = 0;
  now += purge_takes;
  return true;
}

void caml_heap_trim_malloc(void) { }

void caml_gc_message(int level, char* format, ...) {
  (void)level;
  (void)format;
}

static void set_in_use(size_t bytes) {
  atomic_store(&caml_heap.in_use.shards[0].large, bytes);
}

static int setup(void** state) {
  (void)state;
  caml_relief_init();
  now = 1000 * SECOND;
  unused = 0;
  purge_takes = 0;
  set_in_use(100 * MIB);
  return 0;
}

/* Seconds until there is another */
static unsigned until_next(void) {
  unsigned seconds = 0;
  while (!caml_relief_begin()) {
    now += SECOND;
    seconds++;
    assert_true(seconds < 10000);
  }
  return seconds;
}

/* The program is at work, and collects for so long at its next safe point. */
static void collect(uint64_t takes, size_t returned) {
  assert_true(caml_relief_take());
  assert_false(caml_relief_take());
  now += takes;
  set_in_use(caml_heap_in_use() - returned);
  caml_relief_end();
}

static void a_fiftieth_of_the_time(void** state) {
  (void)state;
  assert_true(caml_relief_begin());
  collect(SECOND, 50 * MIB);
  assert_int_equal(until_next(), 50);
}

/* The program is in C code for a minute, and comes to no safe point. */
static void the_wait_for_it_does_not_count(void** state) {
  (void)state;
  assert_true(caml_relief_begin());
  now += 60 * SECOND;
  collect(SECOND / 10, 50 * MIB);
  assert_int_equal(until_next(), 10);
}

/* Nor does what the program allocates meanwhile. */
static void nor_what_is_allocated_meanwhile(void** state) {
  (void)state;
  assert_true(caml_relief_begin());
  set_in_use(200 * MIB);
  now += 60 * SECOND;
  collect(SECOND / 10, 50 * MIB);
  assert_int_equal(until_next(), 10);
}

static void the_purge_does(void** state) {
  (void)state;
  purge_takes = 2 * SECOND;
  unused = 50 * MIB;
  assert_true(caml_relief_begin());
  now += 5 * SECOND;
  collect(SECOND, 0);
  purge_takes = 0;
  assert_int_equal(until_next(), 150);
}

/* The thread of an idle program has done it, in so much of the time. */
static void an_idle_one_spends_less(void** state) {
  (void)state;
  assert_true(caml_relief_begin());
  now += 60 * SECOND;
  set_in_use(50 * MIB);
  caml_relief_done(SECOND);
  assert_false(caml_relief_waits());
  assert_int_equal(until_next(), 50);
}

static void what_is_futile_comes_seldom(void** state) {
  (void)state;
  assert_true(caml_relief_begin());
  collect(SECOND / 10, MIB);
  assert_int_equal(until_next(), 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_fiftieth_of_the_time, setup),
    cmocka_unit_test_setup(the_wait_for_it_does_not_count, setup),
    cmocka_unit_test_setup(nor_what_is_allocated_meanwhile, setup),
    cmocka_unit_test_setup(the_purge_does, setup),
    cmocka_unit_test_setup(an_idle_one_spends_less, setup),
    cmocka_unit_test_setup(what_is_futile_comes_seldom, setup)
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
