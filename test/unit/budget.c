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

/* Decay times by the cost of purging. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "jemalloc_budget.h"

#define MS 1000000ull
#define DECAY 1000 /* ms */

static struct caml_budget budget;
static uint64_t now; /* ns */
static struct caml_budget_counts counts;

static int setup(void** state) {
  (void)state;
  now = 12345 * MS;
  counts = (struct caml_budget_counts){ 0, 0, 0 };
  caml_budget_init(&budget, now);
  return 0;
}

/* A look, after purging [bytes] in [ns] */
static bool look(size_t bytes, size_t ns) {
  counts.purged += bytes;
  counts.purging += ns;
  return caml_budget_update(&budget, now, &counts, DECAY);
}

/* For [ms], of which purging what is taken again takes one part in [part], or
   nothing if that is 0: how often the times change. */
static unsigned run(unsigned ms, unsigned part) {
  unsigned changes = 0;
  for (unsigned i = 0; i < ms / 100; i++) {
    now += 100 * MS;
    size_t cost = part > 0 ? 100 * MS / part : 0; /* a nanosecond a byte */
    counts.taken += cost;
    if (look(cost, cost)) changes++;
  }
  return changes;
}

static void what_is_cheap_is_as_asked_for(void** state) {
  (void)state;
  assert_int_equal(run(600000, CAML_BUDGET_SHARE), 0);
  assert_int_equal(caml_budget_decay(&budget, DECAY), DECAY);
}

static void a_burst_is_as_asked_for(void** state) {
  (void)state;
  now += 200 * MS;
  counts.taken += 1000;
  assert_false(look(1000, 200 * MS));
  assert_int_equal(run(600000, 0), 0);
}

/* A heap that grows, and then shrinks for good */
static void what_is_not_in_vain_is_free(void** state) {
  (void)state;
  counts.taken += 1000000;
  now += 1000 * MS;
  assert_false(look(0, 0));
  for (int i = 0; i < 100; i++) {
    now += 100 * MS;
    assert_false(look(10000, 100 * MS));
  }
  assert_int_equal(budget.stretch, 1);
  assert_int_equal(budget.balance, CAML_BUDGET_SAVED);
  counts.taken += 2000000; /* it grows again, and beyond */
  now += 100 * MS;
  assert_true(look(0, 0));
  now += 100 * MS;
  counts.taken += 1000000;
  assert_false(look(0, 0));
}

static void what_is_dear_stays_longer(void** state) {
  (void)state;
  assert_int_equal(run(10000, 2), 4);
  assert_int_equal(budget.stretch, CAML_BUDGET_STRETCH);
  assert_int_equal(caml_budget_decay(&budget, DECAY),
                   DECAY * CAML_BUDGET_STRETCH);
}

static void never_and_at_once_are_as_asked_for(void** state) {
  (void)state;
  run(10000, 2);
  assert_int_equal(caml_budget_decay(&budget, -1), -1);
  assert_int_equal(caml_budget_decay(&budget, 0), 0);
}

/* Once there is a budget again, a step each time that a decay has gone by */
static void cheap_again_it_is_as_asked_for_again(void** state) {
  (void)state;
  run(10000, 2);
  assert_int_equal(run(18000, 0), 0);
  assert_int_equal(budget.stretch, CAML_BUDGET_STRETCH);
  assert_int_equal(run(60000, 0), 4);
  assert_int_equal(budget.stretch, 1);
  assert_int_equal(run(60000, 0), 0);
}

/* If half of the time goes to purging unless times are stretched to the end */
static void the_budget_holds(void** state) {
  size_t spent;
  uint64_t began = now;
  (void)state;
  for (unsigned i = 0; i < 36000; i++)
    run(100, budget.stretch == CAML_BUDGET_STRETCH ? 1000 : 2);
  spent = counts.purging;
  assert_true(spent <= (now - began) / CAML_BUDGET_SHARE
                + 2 * CAML_BUDGET_SAVED);
}

/* Looks in quick succession are one. */
static void too_early_is_no_look(void** state) {
  (void)state;
  for (unsigned i = 0; i < 49; i++) {
    now += MS;
    counts.taken += 10;
    assert_false(look(10, 100 * MS));
  }
  now += MS;
  assert_true(look(0, 0));
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(what_is_cheap_is_as_asked_for),
    T(a_burst_is_as_asked_for),
    T(what_is_not_in_vain_is_free),
    T(what_is_dear_stays_longer),
    T(never_and_at_once_are_as_asked_for),
    T(cheap_again_it_is_as_asked_for_again),
    T(the_budget_holds),
    T(too_early_is_no_look),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
