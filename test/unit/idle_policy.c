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

/* When an idle program is collected, on a clock of the test's own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_idle_policy.h"

#define US 1000ull
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define MIB ((size_t)1 << 20)
#define WANTED (100 * MS)
#define WORDS(bytes) ((bytes) / sizeof(uintptr_t))

static struct caml_idle_policy p;
static struct caml_idle_look look; /* the next */
static struct caml_idle_need need; /* as it is now */
static uint64_t deadline;

static int setup(void** state) {
  (void)state;
  caml_idle_policy_init(&p, (struct caml_idle_count){ 0, 0 });
  p.wanted = WANTED;
  look = (struct caml_idle_look){
    .now = 12345 * SECOND, .blocked = true, .in_use = 100 * MIB
  };
  need = (struct caml_idle_need){ .in_use = 100 * MIB };
  caml_idle_policy_watch(&p, look.now, 0);
  return 0;
}

static void pass(uint64_t ns, uint64_t cpu, bool touched) {
  look.now += ns;
  look.cpu += cpu;
  look.touched = touched;
  caml_idle_policy_look(&p, &look);
  need.now = look.now;
}

static void at_rest(uint64_t ns) {
  pass(ns, 0, false);
}

static void works(uint64_t ns) {
  pass(ns, ns, true);
}

static bool begins(void) {
  return caml_idle_policy_rest(&p) >= caml_idle_policy_wait(&p);
}

static enum caml_idle_decision decision(void) {
  return caml_idle_policy_decide(&p, &need, &deadline);
}

static void allocates(size_t bytes) {
  need.allocated.major += WORDS(bytes);
  need.allocated.minor += WORDS(bytes);
}

/* A collection that takes so much and brings so much back */
static void collects(uint64_t cpu, size_t returned) {
  caml_idle_policy_begin(&p, &need);
  look.now += cpu;
  caml_idle_policy_spend(&p, look.now, cpu);
  caml_idle_policy_ended(&p, look.now, need.allocated, need.in_use, returned,
                         need.outside);
  need.now = look.now;
}

static void gives_up(void) {
  caml_idle_policy_begin(&p, &need);
  caml_idle_policy_gave_up(&p);
}

/* Rest */

static void begins_after_the_wait(void** state) {
  (void)state;
  works(SECOND);
  at_rest(WANTED - MS);
  assert_false(begins());
  at_rest(MS);
  assert_true(begins());
}

/* A heartbeat at every period that takes a thousandth of a core */
static void a_heartbeat_is_rest(void** state) {
  for (uint64_t period = 10 * MS; period <= 50 * MS; period += 5 * MS) {
    setup(state);
    works(SECOND);
    for (uint64_t t = 0; t <= WANTED; t += period)
      pass(period, period / 1000, true);
    assert_true(begins());
    assert_true(caml_idle_policy_rests(&p));
  }
}

static void a_request_is_not(void** state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    at_rest(50 * MS);
    pass(6 * MS, 6 * MS, true);
    assert_false(begins());
  }
}

/* C code in a blocking section that computes, or a domain that does not
   block */
static void c_code_is_rest(void** state) {
  (void)state;
  works(SECOND);
  for (int i = 0; i < 4; i++) pass(25 * MS, 25 * MS, false);
  assert_true(begins());
  look.blocked = false;
  pass(25 * MS, 25 * MS, false);
  assert_false(begins());
}

/* A burst of CPU time now and then is none */
static void a_burst_is_rest(void** state) {
  (void)state;
  works(SECOND);
  for (int i = 0; i < 20; i++) {
    pass(10 * MS, MS, true);
    for (int j = 0; j < 10; j++) pass(10 * MS, 0, true);
  }
  assert_true(begins());
}

/* Rests of a length that no collection would end in: twice as long as those */
static void short_rests_make_it_wait(void** state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    at_rest(120 * MS);
    works(20 * MS);
  }
  assert_true(caml_idle_policy_wait(&p) >= 240 * MS);
  at_rest(120 * MS);
  assert_false(begins());
  at_rest(130 * MS);
  assert_true(begins());
}

static void long_rests_do_not(void** state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    at_rest(600 * MS);
    works(200 * MS);
  }
  assert_int_equal(caml_idle_policy_wait(&p), WANTED);
}

static void each_attempt_in_vain_doubles_the_wait(void** state) {
  (void)state;
  need.allocated.minor++;
  for (int i = 0; i < 4; i++) {
    assert_int_equal(caml_idle_policy_wait(&p), WANTED << i);
    gives_up();
  }
  collects(100 * MS, 50 * MIB);
  assert_int_equal(caml_idle_policy_wait(&p), WANTED);
}

/* With much to gain each rest brings it nearer. */
static void an_attempt_with_much_to_gain_does_not(void** state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    works(SECOND);
    allocates(100 * MIB);
    at_rest(600 * MS);
    assert_true(begins());
    assert_int_equal(decision(), CAML_IDLE_COLLECT);
    gives_up();
  }
  assert_int_equal(caml_idle_policy_wait(&p), WANTED);
}

/* Questions change nothing. */
static void predicates_are_pure(void** state) {
  (void)state;
  struct caml_idle_policy before;
  allocates(60 * MIB);
  at_rest(SECOND);
  before = p;
  caml_idle_policy_rest(&p);
  caml_idle_policy_wait(&p);
  caml_idle_policy_rests(&p);
  caml_idle_policy_affords(&p, need.now);
  caml_idle_policy_payday(&p, need.now);
  caml_idle_policy_stop(&p, 1000);
  caml_idle_policy_may_stop(&p, 1000, 10);
  decision();
  assert_memory_equal(&before, &p, sizeof(p));
}

/* What there is to gain */

static void nothing_new_is_nothing_to_gain(void** state) {
  (void)state;
  at_rest(SECOND);
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
  allocates(20 * MIB);
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  collects(100 * MS, 50 * MIB);
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
}

/* What custom blocks may hold, which are small themselves */
static void memory_outside_is_to_be_gained(void** state) {
  (void)state;
  need.in_use = MIB;
  need.allocated.minor++;
  need.outside = 7 * MIB;
  at_rest(SECOND);
  assert_int_equal(decision(), CAML_IDLE_LATER);
  need.outside = 8 * MIB;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  collects(MS, 0);
  need.allocated.minor++;
  assert_int_equal(decision(), CAML_IDLE_LATER);
  need.outside += 8 * MIB;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  need.shared = MIB; /* by whom is not known */
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
  need.shared = 0;
  need.in_use = 300 * MIB; /* little beside that */
  assert_int_equal(decision(), CAML_IDLE_LATER);
}

/* A little is looked for after a minute, then ever more rarely. */
static void probes_become_rare(void** state) {
  (void)state;
  uint64_t probes = 0, day = look.now + 24 * HOUR;
  while (look.now < day) {
    at_rest(SECOND);
    need.allocated.minor += 10;
    if (decision() != CAML_IDLE_COLLECT) continue;
    probes++;
    assert_true(look.now >= p.ended + MINUTE);
    collects(100 * MS, 0);
  }
  assert_in_range(probes, 10, 16);
  assert_true(p.ended + 4 * HOUR < look.now + 5 * HOUR);
}

static void a_probe_that_brings_something_is_followed_by_others(void** state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    need.now = look.now += 24 * HOUR;
    need.allocated.minor++;
    assert_int_equal(decision(), CAML_IDLE_COLLECT);
    collects(100 * MS, 0);
  }
  at_rest(HOUR);
  need.allocated.minor++;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  collects(100 * MS, 60 * MIB);
  need.allocated.minor++;
  assert_int_equal(decision(), CAML_IDLE_LATER);
  assert_int_equal(deadline, p.ended + MINUTE);
}

static void nothing_is_fetched_from_swap_for_a_probe(void** state) {
  (void)state;
  at_rest(HOUR);
  need.allocated.minor++;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  need.swapped = 50 * MIB;
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
}

/* The purse */

/* Whatever a program does that gets nothing back: over any minute a fiftieth of
   a core, and what one collection may owe. */
static void a_fiftieth_of_a_core_at_most(void** state) {
  (void)state;
  uint64_t minute = 0, spent = 0, slice = 10 * MS;
  allocates(100 * MIB);
  collects(slice, 0); /* may owe; now none may */
  minute = look.now;
  for (int i = 0; i < 60 * 600; i++) {
    at_rest(100 * MS);
    allocates(20 * MIB);
    caml_idle_policy_begin(&p, &need);
    while (caml_idle_policy_affords(&p, look.now)) {
      look.now += slice;
      caml_idle_policy_spend(&p, look.now, slice);
      spent += slice;
    }
    if (look.now - minute < MINUTE) continue;
    assert_true(spent <= MINUTE / 50 + slice);
    minute = look.now;
    spent = 0;
  }
}

static void what_brought_memory_back_is_free(void** state) {
  (void)state;
  for (int i = 0; i < 1000; i++) {
    works(200 * MS);
    allocates(100 * MIB);
    at_rest(400 * MS);
    assert_true(begins());
    assert_int_equal(decision(), CAML_IDLE_COLLECT);
    collects(200 * MS, 90 * MIB);
  }
}

/* A large heap is collected although that takes more than there is, once. */
static void much_to_gain_may_owe(void** state) {
  (void)state;
  look.in_use = need.in_use = 10000 * MIB;
  allocates(5000 * MIB);
  at_rest(SECOND);
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  caml_idle_policy_begin(&p, &need);
  caml_idle_policy_spend(&p, look.now, 10 * SECOND);
  assert_true(caml_idle_policy_affords(&p, look.now));
  caml_idle_policy_ended(&p, look.now, need.allocated, need.in_use, 0, 0);
  allocates(5000 * MIB);
  at_rest(SECOND);
  assert_int_equal(decision(), CAML_IDLE_LATER);
  assert_true(deadline > look.now + 900 * SECOND);
}

/* But not for ever, if it never ends. */
static void what_may_be_owed_has_an_end(void** state) {
  (void)state;
  uint64_t spent = 0;
  allocates(50 * MIB);
  at_rest(SECOND);
  caml_idle_policy_begin(&p, &need);
  for (; caml_idle_policy_affords(&p, look.now); spent += 10 * MS)
    caml_idle_policy_spend(&p, look.now, 10 * MS);
  assert_in_range(spent, 400 * MS, 700 * MS);
}

static void one_that_ran_out_of_money_goes_on(void** state) {
  (void)state;
  at_rest(HOUR);
  need.allocated.minor++;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  caml_idle_policy_begin(&p, &need);
  caml_idle_policy_spend(&p, look.now, SECOND);
  assert_false(caml_idle_policy_affords(&p, look.now));
  assert_int_equal(decision(), CAML_IDLE_LATER);
  assert_int_equal(deadline, caml_idle_policy_payday(&p, look.now));
  at_rest(deadline - look.now);
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
}

/* Shared pages */

static void what_is_shared_stays_so(void** state) {
  (void)state;
  at_rest(SECOND);
  allocates(300 * MIB);
  need.shared = 80 * MIB;
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
  need.shared = 10 * MIB;
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  need.allocated.major = WORDS(9 * MIB);
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
  need.shared = 0;
  allocates(20 * MIB);
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
}

/* Stops */

static void a_long_stop_waits_for_a_long_rest(void** state) {
  (void)state;
  uint64_t stop, began = look.now;
  caml_idle_policy_stopped(&p, 1000000, 20 * MS);
  stop = caml_idle_policy_stop(&p, 10000000);
  assert_in_range(stop, 199 * MS, 200 * MS);
  at_rest(SECOND);
  assert_true(caml_idle_policy_may_stop(&p, stop, 200 * MS) <= look.now);
  assert_int_equal(caml_idle_policy_may_stop(&p, stop, 50 * MS),
                   began + 10 * stop);
  caml_idle_policy_stopped(&p, 1000000, 10 * MS);
  assert_in_range(caml_idle_policy_stop(&p, 10000000), 149 * MS, 150 * MS);
}

/* Where memory is short it waits for hardly anything, and what it costs does
   not count; but what is shared, or in swap, stays where it is. */
static void in_an_urgent_case(void** state) {
  (void)state;
  works(SECOND);
  allocates(MIB / 2); /* not much to gain */
  p.purse = -1;
  at_rest(20 * MS);
  assert_false(begins());
  p.urgent = true;
  assert_true(begins());
  assert_true(caml_idle_policy_rests(&p));
  assert_true(caml_idle_policy_affords(&p, look.now));
  assert_int_equal(decision(), CAML_IDLE_COLLECT);
  need.swapped = need.in_use / 2;
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
  need.swapped = 0;
  need.shared = 50 * MIB;
  assert_int_equal(decision(), CAML_IDLE_NOTHING);
}

static void zero_is_at_every_chance(void** state) {
  (void)state;
  p.wanted = 0;
  for (int i = 0; i < 100; i++) {
    works(10 * MS);
    allocates(1);
    allocates(sizeof(uintptr_t));
    assert_true(begins() && caml_idle_policy_rests(&p));
    assert_int_equal(decision(), CAML_IDLE_COLLECT);
    gives_up();
    caml_idle_policy_spend(&p, look.now, SECOND);
    assert_true(caml_idle_policy_affords(&p, look.now));
  }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(begins_after_the_wait),
    TEST(a_heartbeat_is_rest),
    TEST(a_request_is_not),
    TEST(c_code_is_rest),
    TEST(a_burst_is_rest),
    TEST(short_rests_make_it_wait),
    TEST(long_rests_do_not),
    TEST(each_attempt_in_vain_doubles_the_wait),
    TEST(an_attempt_with_much_to_gain_does_not),
    TEST(predicates_are_pure),
    TEST(nothing_new_is_nothing_to_gain),
    TEST(memory_outside_is_to_be_gained),
    TEST(probes_become_rare),
    TEST(a_probe_that_brings_something_is_followed_by_others),
    TEST(nothing_is_fetched_from_swap_for_a_probe),
    TEST(a_fiftieth_of_a_core_at_most),
    TEST(what_brought_memory_back_is_free),
    TEST(much_to_gain_may_owe),
    TEST(what_may_be_owed_has_an_end),
    TEST(one_that_ran_out_of_money_goes_on),
    TEST(what_is_shared_stays_so),
    TEST(a_long_stop_waits_for_a_long_rest),
    TEST(in_an_urgent_case),
    TEST(zero_is_at_every_chance),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
