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

/* How often memory is given back where it is short, on the test's clock. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_pressure_policy.h"

#define SECOND 1000000000ull
#define MIB ((size_t)1 << 20)

static struct caml_pressure_policy policy;
static uint64_t now;

static int setup(void** state) {
  (void)state;
  policy = (struct caml_pressure_policy){ .futile = 0 };
  now = 1000 * SECOND;
  return 0;
}

/* A relief that takes so long and gives so much back of 100 MiB.  Returns when
   there is another, seconds later. */
static unsigned relief(uint64_t took, size_t returned) {
  unsigned seconds = 0;
  assert_true(caml_pressure_policy_acts(&policy, now));
  caml_pressure_policy_begin(&policy, now);
  assert_false(caml_pressure_policy_acts(&policy, now + took));
  now += took;
  caml_pressure_policy_end(&policy, now, took, 100 * MIB, returned);
  while (!caml_pressure_policy_acts(&policy, now)) {
    now += SECOND;
    seconds++;
  }
  return seconds;
}

static void a_pause_follows(void** state) {
  (void)state;
  assert_int_equal(relief(SECOND / 10, 50 * MIB), 10);
  assert_int_equal(relief(SECOND / 10, 50 * MIB), 10);
}

static void a_fiftieth_of_the_time_at_most(void** state) {
  (void)state;
  assert_int_equal(relief(SECOND, 50 * MIB), 50);
  assert_int_equal(relief(8 * SECOND, 50 * MIB), 400);
}

static void what_is_futile_comes_seldom(void** state) {
  static const unsigned pauses[] = { 20, 40, 80, 160, 160 };
  (void)state;
  for (int i = 0; i < 5; i++)
    assert_int_equal(relief(0, 5 * MIB), pauses[i]);
  assert_int_equal(relief(0, 6 * MIB), 10);
}

/* The program was in C code until its end. */
static void one_that_never_ends_is_no_obstacle(void** state) {
  (void)state;
  caml_pressure_policy_begin(&policy, now);
  assert_false(caml_pressure_policy_acts(&policy, now + 9 * SECOND));
  assert_true(caml_pressure_policy_acts(&policy, now + 10 * SECOND));
}

/* Nothing began, as in a child that was forked meanwhile. */
static void an_end_without_a_beginning(void** state) {
  (void)state;
  caml_pressure_policy_end(&policy, now, 0, MIB, MIB);
  assert_false(caml_pressure_policy_acts(&policy, now + 9 * SECOND));
  assert_true(caml_pressure_policy_acts(&policy, now + 10 * SECOND));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_pause_follows, setup),
    cmocka_unit_test_setup(a_fiftieth_of_the_time_at_most, setup),
    cmocka_unit_test_setup(what_is_futile_comes_seldom, setup),
    cmocka_unit_test_setup(one_that_never_ends_is_no_obstacle, setup),
    cmocka_unit_test_setup(an_end_without_a_beginning, setup)
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
