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

/* How much is done ahead of a program's slices. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_ahead_policy.h"

#define SLICE 1000000

static struct caml_ahead_policy policy;

static int setup(void** state) {
  (void)state;
  policy = (struct caml_ahead_policy){ .failures = 0 };
  return 0;
}

/* A slice that owes as much as is not done ahead.  How much is to be done
   before the next? */
static intptr_t slice(intptr_t ahead) {
  caml_ahead_slice(&policy, SLICE, SLICE - ahead);
  return atomic_load(&policy.words);
}

static void as_much_as_the_last(void** state) {
  (void)state;
  assert_false(caml_ahead_is_wanted(&policy));
  assert_int_equal(slice(0), SLICE);
  assert_true(caml_ahead_is_wanted(&policy));
  caml_ahead_done(&policy, SLICE);
  assert_false(caml_ahead_is_wanted(&policy));
}

/* The lead does not grow from slice to slice, so cycles come no sooner. */
static void no_more_than_that(void** state) {
  intptr_t counter = 0, lead = 0;
  (void)state;
  for (int i = 0; i < 100; i++) {
    counter += SLICE;
    caml_ahead_slice(&policy, SLICE, SLICE - lead);
    lead = lead > SLICE ? lead - SLICE : 0;
    if (caml_ahead_is_wanted(&policy)) {
      lead += atomic_load(&policy.words);
      caml_ahead_done(&policy, atomic_load(&policy.words));
    }
    assert_in_range(lead, 0, SLICE);
  }
  assert_int_equal(slice(2 * SLICE), 0);
  assert_int_equal(slice(SLICE + SLICE / 4), SLICE - SLICE / 4);
}

static void what_was_interrupted_goes_on(void** state) {
  (void)state;
  slice(0);
  caml_ahead_done(&policy, SLICE / 4);
  caml_ahead_tried(&policy, true);
  assert_int_equal(atomic_load(&policy.words), SLICE - SLICE / 4);
}

static void a_small_slice_is_not_worth_it(void** state) {
  (void)state;
  caml_ahead_slice(&policy, 1000, 1000);
  assert_false(caml_ahead_is_wanted(&policy));
  assert_int_equal(slice(2 * SLICE - 1000), 0);
}

/* How many slices pass until one is asked for? */
static unsigned passed(void) {
  unsigned n = 0;
  while (slice(0) == 0) n++;
  return n;
}

static void who_has_no_gaps_is_left_alone(void** state) {
  (void)state;
  for (unsigned n = 1, i = 0; i < 8; i++) {
    slice(0);
    caml_ahead_tried(&policy, false);
    assert_false(caml_ahead_is_wanted(&policy));
    assert_int_equal(passed(), n);
    n = 2 * n + 1;
  }
  caml_ahead_tried(&policy, false);
  assert_int_equal(passed(), 255);
  caml_ahead_tried(&policy, true);
  assert_int_equal(passed(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(as_much_as_the_last, setup),
    cmocka_unit_test_setup(no_more_than_that, setup),
    cmocka_unit_test_setup(what_was_interrupted_goes_on, setup),
    cmocka_unit_test_setup(a_small_slice_is_not_worth_it, setup),
    cmocka_unit_test_setup(who_has_no_gaps_is_left_alone, setup),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
