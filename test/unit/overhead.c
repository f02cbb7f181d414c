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

/* When a major cycle ends with a compaction, on a clock of the test's own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_overhead.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define MIB ((size_t)1 << 20)
#define WAIT 50 /* times what it took: one part in 51 of the time, at most */

static struct caml_overhead o;
static uint64_t wall, cpu; /* ns */
static uint64_t allocated; /* bytes */
static unsigned readings;  /* of the CPU clock */
static uint64_t most_stop; /* ns */

static uint64_t now(void) {
  return wall;
}

static uint64_t busy(void) {
  readings++;
  return cpu;
}

static const struct caml_overhead_clock clock = { now, busy };

static int setup(void** state) {
  (void)state;
  o = (struct caml_overhead){ .cycles = 0 };
  wall = 12345 * SECOND;
  cpu = allocated = readings = 0;
  most_stop = SECOND;
  return 0;
}

/* So much work by one thread, and so long blocked */
static void work(uint64_t ns) {
  wall += ns;
  cpu += ns;
}

static void block(uint64_t ns) {
  wall += ns;
}

/* The end of a cycle in which [fresh] bytes were allocated; [in_use], of which
   [blocks] are in blocks, [marked] in those that were marked.  Does it end
   with a compaction? */
static bool cycle(size_t in_use, size_t blocks, size_t marked, size_t fresh) {
  struct caml_overhead_cycle c = {
    .max_overhead = 200, .space_overhead = 120, .between = MIB, .others = false,
    .most_stop = most_stop
  };
  struct caml_overhead_measures m = {
    .in_use = in_use, .blocks = blocks, .counted = marked,
    .allocated = allocated += fresh, .known = true
  };
  caml_overhead_cycle_ended(&o, &clock, &c, &m);
  return o.compacting;
}

/* A heap of 100 MiB of which but 10 are marked, [n] times, a cycle each 300
   ms */
static bool sparse(int n) {
  bool compacts = false;
  for (int i = 0; i < n && !compacts; i++) {
    work(300 * MS);
    compacts = cycle(100 * MIB, 20 * MIB, 10 * MIB, 4 * MIB);
  }
  return compacts;
}

/* To the guess: the next cycle is accelerated. */
static void until_suspected(void) {
  for (int i = 0; o.cycles == 0; i++) {
    assert_true(i < 10);
    assert_false(sparse(1));
  }
}

static uint64_t wait(void) {
  return o.not_before - wall;
}

static void what_is_dense_is_left_alone(void** state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    work(300 * MS);
    assert_false(cycle(100 * MIB, 90 * MIB, 60 * MIB, 4 * MIB));
  }
  assert_int_equal(o.cycles, 0);
  assert_int_equal(readings, 0);
}

static void what_is_sparse_for_long_is_compacted(void** state) {
  (void)state;
  uint64_t began = wall;
  until_suspected();
  assert_true(wall - began >= SECOND);
  assert_true(o.least_slice > 0.0);
  assert_true(sparse(2));
  assert_true(o.least_slice == 0.0);
}

/* It may take one part in so much of the time. */
static void the_next_waits_for_what_it_took(void** state) {
  (void)state;
  until_suspected();
  assert_true(sparse(2));
  work(100 * MS);
  caml_overhead_compacted(&o, &clock, 70 * MIB);
  assert_int_equal(wait(), WAIT * (2 * 300 + 100) * MS);
}

/* An accelerated cycle ends when the program is back. */
static void blocked_time_is_not_charged(void** state) {
  (void)state;
  until_suspected();
  block(600 * SECOND);
  assert_true(sparse(2));
  work(100 * MS);
  caml_overhead_compacted(&o, &clock, 70 * MIB);
  assert_int_equal(wait(), WAIT * (2 * 300 + 100) * MS);
}

/* Nor where the guess was wrong */
static void blocked_time_is_not_charged_in_vain(void** state) {
  (void)state;
  until_suspected();
  block(600 * SECOND);
  work(100 * MS);
  assert_false(cycle(100 * MIB, 90 * MIB, 80 * MIB, 4 * MIB));
  assert_int_equal(o.cycles, 0);
  assert_int_equal(wait(), 2 * WAIT * 100 * MS);
}

/* Eight threads that work at once use eight times the CPU time. */
static void domains_do_not_add_up(void** state) {
  (void)state;
  until_suspected();
  assert_true(sparse(2));
  wall += 100 * MS;
  cpu += 8 * 100 * MS + 7 * 2 * 300 * MS;
  caml_overhead_compacted(&o, &clock, 70 * MIB);
  assert_int_equal(wait(), WAIT * (2 * 300 + 100) * MS);
}

static void what_returns_little_waits_longer(void** state) {
  (void)state;
  for (unsigned i = 1; i <= 12; i++) {
    uint64_t unit = WAIT * (2 * 300 + 100) * MS;
    until_suspected();
    assert_true(sparse(2));
    work(100 * MS);
    caml_overhead_compacted(&o, &clock, MIB);
    assert_int_equal(wait(), unit << (i < 10 ? i : 10));
    block(wait());
  }
}

/* Nor is a cycle accelerated for it. */
static void what_would_take_too_long_is_not_begun(void** state) {
  (void)state;
  most_stop = 10 * MS;
  assert_false(sparse(100));
  assert_int_equal(o.cycles, 0);
  assert_int_equal(readings, 0);
  most_stop = SECOND;
  assert_true(sparse(100));
}

static void one_that_took_long_tells(void** state) {
  (void)state;
  until_suspected();
  assert_true(sparse(2));
  work(5 * SECOND);
  caml_overhead_compacted(&o, &clock, 70 * MIB);
  block(wait());
  assert_false(sparse(100));
  most_stop = 5 * SECOND;
  assert_true(sparse(100));
}

/* The guess was too low: it is known to live. */
static void what_lives_after_all_counts(void** state) {
  (void)state;
  most_stop = 50 * MS;
  until_suspected();
  work(300 * MS);
  cycle(100 * MIB, 30 * MIB, 30 * MIB, 0);
  assert_false(o.compacting);
  assert_int_equal(o.cycles, 0);
  assert_true(wait() > 0);
}

/* All that is there was marked in a cycle without allocation. */
static void what_is_certain_needs_no_accelerated_cycle(void** state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    work(MS);
    cycle(100 * MIB, 100 * MIB, 100 * MIB, i == 0 ? 100 * MIB : 0);
  }
  work(MS);
  assert_true(cycle(100 * MIB, 10 * MIB, 10 * MIB, 0));
}

/* Of a small heap nothing is asked, but the end of an accelerated cycle. */
static void small_heaps(void** state) {
  (void)state;
  assert_true(caml_overhead_is_small(&o, 4 * MIB - 1));
  assert_false(caml_overhead_is_small(&o, 4 * MIB));
  until_suspected();
  assert_false(caml_overhead_is_small(&o, MIB));
  caml_overhead_skip(&o);
  assert_true(caml_overhead_is_small(&o, MIB));
}

/* The hour in which the heap was small is not one in which much was unused. */
static void a_heap_that_was_small_is_new(void** state) {
  (void)state;
  work(300 * MS);
  cycle(100 * MIB, 90 * MIB, 80 * MIB, 4 * MIB);
  caml_overhead_skip(&o);
  work(3600 * SECOND);
  assert_false(cycle(100 * MIB, 20 * MIB, 10 * MIB, 4 * MIB));
  assert_int_equal(o.cycles, 0);
  until_suspected();
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(what_is_dense_is_left_alone),
    T(what_is_sparse_for_long_is_compacted),
    T(the_next_waits_for_what_it_took),
    T(blocked_time_is_not_charged),
    T(blocked_time_is_not_charged_in_vain),
    T(domains_do_not_add_up),
    T(what_returns_little_waits_longer),
    T(what_would_take_too_long_is_not_begun),
    T(one_that_took_long_tells),
    T(what_lives_after_all_counts),
    T(what_is_certain_needs_no_accelerated_cycle),
    T(small_heaps),
    T(a_heap_that_was_small_is_new),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("overhead", tests, NULL, NULL);
}
