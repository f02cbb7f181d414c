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

/* Which block serves, how much is kept and for how long: on a clock of the
   test's own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "jemalloc_cache_policy.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define DECAY 1000 /* ms */

static void a_class_has_no_smaller_block(void** state) {
  unsigned before = 0;
  (void)state;
  for (size_t size = CAML_CACHE_BLOCK_LEAST; size <= CAML_CACHE_BLOCK_MOST;
       size += 256) {
    unsigned class = caml_cache_class(size);
    assert_in_range(class, before, before + 1 + (before == 0) * 4);
    assert_true(caml_cache_class_size(class) <= size);
    assert_true(class + 1 == CAML_CACHE_CLASSES
                || caml_cache_class_size(class + 1) > size);
    before = class;
  }
  assert_int_equal(before + 1, CAML_CACHE_CLASSES);
}

static void what_serves_is_not_much_larger(void** state) {
  (void)state;
  for (unsigned class = caml_cache_class(CAML_CACHE_BLOCK_LEAST);
       class < CAML_CACHE_CLASSES; class++) {
    size_t size = caml_cache_class_size(class);
    unsigned last = caml_cache_last_class(class);
    assert_in_range(last, class, CAML_CACHE_CLASSES - 1);
    assert_in_range(caml_cache_class_size(last), size, size + size / 4);
  }
  assert_int_equal(caml_cache_last_class(caml_cache_class(8 * KIB)),
                   caml_cache_class(10 * KIB));
  assert_int_equal(caml_cache_last_class(caml_cache_class(12 * KIB)),
                   caml_cache_class(14 * KIB));
}

static struct caml_cache_bound bound;

static int setup(void** state) {
  (void)state;
  bound = (struct caml_cache_bound){ 0, 0, 0 };
  return 0;
}

static bool has_room(size_t size) {
  return caml_cache_has_room(&bound, 0, size);
}

static void at_first_a_64th_of_the_heap(void** state) {
  (void)state;
  caml_cache_bound_look(&bound, 64 * MIB, 1);
  assert_true(has_room(MIB));
  assert_false(has_room(MIB + 1));
  assert_true(caml_cache_has_room(&bound, MIB - 5, 5));
  assert_false(caml_cache_has_room(&bound, MIB - 5, 6));
  caml_cache_bound_look(&bound, 64 * MIB, 4);
  assert_true(has_room(MIB / 4));
  assert_false(has_room(MIB / 4 + 1));
  caml_cache_bound_look(&bound, (size_t)1 << 40, 1);
  assert_true(has_room(8 * MIB));
  assert_false(has_room(8 * MIB + 1));
  caml_cache_bound_look(&bound, (size_t)1 << 40, 64); /* each of them */
  assert_true(has_room(8 * MIB));
  assert_false(has_room(8 * MIB + 1));
}

static void of_a_small_heap_an_eighth(void** state) {
  (void)state;
  caml_cache_bound_look(&bound, MIB, 1);
  assert_true(has_room(MIB / 8));
  assert_false(has_room(MIB / 8 + 1));
  caml_cache_bound_look(&bound, 16 * MIB, 2);
  assert_true(has_room(MIB / 4));
  assert_false(has_room(MIB / 4 + 1));
}

static void what_was_found_makes_room_up_to_half_of_the_heap(void** state) {
  (void)state;
  caml_cache_bound_look(&bound, 64 * MIB, 2);
  caml_cache_bound_found(&bound, 3 * MIB);
  assert_true(has_room(MIB / 2 + 3 * MIB));
  assert_false(has_room(MIB / 2 + 3 * MIB + 1));
  for (int i = 0; i < 100; i++) caml_cache_bound_found(&bound, MIB);
  assert_true(has_room(16 * MIB));
  assert_false(has_room(16 * MIB + 1));
  caml_cache_bound_look(&bound, 32 * MIB, 2); /* the heap has shrunk */
  assert_false(has_room(8 * MIB + 1));
}

static void what_was_kept_in_vain_takes_room(void** state) {
  (void)state;
  caml_cache_bound_look(&bound, 64 * MIB, 1);
  caml_cache_bound_found(&bound, 3 * MIB);
  caml_cache_bound_vain(&bound, 2 * MIB);
  assert_true(has_room(2 * MIB));
  assert_false(has_room(2 * MIB + 1));
  caml_cache_bound_vain(&bound, 5 * MIB);
  assert_true(has_room(MIB)); /* no less than at first */
}

static void what_is_kept_at_first_stays_in_vain(void** state) {
  (void)state;
  caml_cache_bound_look(&bound, 64 * MIB, 1);
  caml_cache_bound_found(&bound, 3 * MIB);
  assert_false(caml_cache_is_too_much(&bound, MIB));
  assert_true(caml_cache_is_too_much(&bound, MIB + 1));
}

/* Ages: a look every 100 ms, as of the thread that purges */

static struct caml_cache_level level;
static uint64_t now, looked; /* ms */

static void start(uint32_t n) {
  now = looked = 4321;
  level = (struct caml_cache_level){ 0, 0 };
  while (n-- > 0) caml_cache_count_put(&level);
}

/* [ms] pass, in which [n] blocks are taken and put back every 100 ms: how many
   blocks go */
static uint32_t pass(unsigned ms, uint32_t n, ssize_t decay) {
  uint32_t gone = 0;
  for (unsigned i = 0; i < ms / 100; i++) {
    for (uint32_t k = 0; k < n; k++) caml_cache_count_get(&level);
    for (uint32_t k = 0; k < n; k++) caml_cache_count_put(&level);
    now += 100;
    if (!caml_cache_is_due(looked, decay, now)) continue;
    looked = now;
    gone += caml_cache_untouched(&level);
  }
  return gone;
}

static void what_is_new_stays_for_half_of_the_decay(void** state) {
  (void)state;
  start(10);
  assert_int_equal(pass(DECAY / 2, 0, DECAY), 0);
  assert_int_equal(pass(DECAY / 2 - 100, 0, DECAY), 0);
}

static void what_is_not_touched_is_gone_when_it_has_passed(void** state) {
  (void)state;
  start(10);
  assert_int_equal(pass(DECAY, 0, DECAY), 10);
  assert_int_equal(level.n, 0);
}

static void what_is_touched_stays(void** state) {
  (void)state;
  start(10);
  assert_int_equal(pass(60 * DECAY, 3, DECAY), 7);
  assert_int_equal(level.n, 3);
  assert_int_equal(pass(DECAY, 0, DECAY), 3);
}

static void without_decay_all_stays(void** state) {
  (void)state;
  start(10);
  assert_int_equal(pass(60 * DECAY, 0, -1), 0);
}

static void a_look_of_another_thread_counts(void** state) {
  (void)state;
  assert_false(caml_cache_is_due(5000, DECAY, 4000));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_class_has_no_smaller_block),
    cmocka_unit_test(what_serves_is_not_much_larger),
    cmocka_unit_test_setup(at_first_a_64th_of_the_heap, setup),
    cmocka_unit_test_setup(of_a_small_heap_an_eighth, setup),
    cmocka_unit_test_setup(what_was_found_makes_room_up_to_half_of_the_heap,
                           setup),
    cmocka_unit_test_setup(what_was_kept_in_vain_takes_room, setup),
    cmocka_unit_test_setup(what_is_kept_at_first_stays_in_vain, setup),
    cmocka_unit_test(what_is_new_stays_for_half_of_the_decay),
    cmocka_unit_test(what_is_not_touched_is_gone_when_it_has_passed),
    cmocka_unit_test(what_is_touched_stays),
    cmocka_unit_test(without_decay_all_stays),
    cmocka_unit_test(a_look_of_another_thread_counts),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
