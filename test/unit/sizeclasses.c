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

/* The tables of the size classes agree with each other. */

#define CAML_INTERNALS

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "caml/heap_pools.h"

/* Words of all slots of a pool of the class, and of what is lost */
static unsigned room(unsigned class) {
  return (unsigned)caml_pool_wsize(class) - POOL_HEADER_WSIZE;
}

static void a_block_has_the_smallest_class_that_holds_it(void** state) {
  (void)state;
  for (unsigned words = 1; words <= SIZECLASS_MAX; words++) {
    unsigned class = caml_sizeclass(words);
    assert_true(class < NUM_SIZECLASSES);
    assert_true(words <= wsize_sizeclass[class]);
    if (class > 0) assert_true(words > wsize_sizeclass[class - 1]);
  }
  assert_int_equal(wsize_sizeclass[caml_sizeclass(SIZECLASS_MAX)],
                   SIZECLASS_MAX);
}

static void what_no_slot_takes_is_known(void** state) {
  (void)state;
  for (unsigned class = 0; class < NUM_SIZECLASSES; class++)
    assert_int_equal(wastage_sizeclass[class],
                     room(class) % wsize_sizeclass[class]);
}

/* Of a pool's words, with the smallest blocks of each class in it: a tenth as
   in OCaml's generator of the table, an eighth with 8 and 9 slots. */
static void little_of_a_pool_is_lost(void** state) {
  (void)state;
  for (unsigned class = 1; class < NUM_SIZECLASSES; class++) {
    unsigned slots = room(class) / wsize_sizeclass[class];
    unsigned used = slots * (wsize_sizeclass[class - 1] + 1);
    assert_true(slots >= 8);
    assert_true(room(class) - used
                <= room(class) / (slots < 10 ? 8 : 10) + 4);
  }
}

/* From so many words on */
static void medium_blocks_are_in_medium_pools(void** state) {
  (void)state;
  for (unsigned class = 0; class < NUM_SIZECLASSES; class++)
    assert_int_equal(caml_pool_wsize(class),
                     wsize_sizeclass[class] < CAML_MEDIUM_LEAST
                     ? POOL_WSIZE : CAML_MEDIUM_POOL_WSIZE);
  assert_int_equal(wsize_sizeclass[NUM_SIZECLASSES - 1], 2047);
}

/* For caml_atomic_make_contended: blocks of one and of two cache lines */
static void cache_lines_have_a_class(void** state) {
  (void)state;
  assert_int_equal(wsize_sizeclass[caml_sizeclass(16)], 16);
  assert_int_equal(wsize_sizeclass[caml_sizeclass(32)], 32);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_block_has_the_smallest_class_that_holds_it),
    cmocka_unit_test(what_no_slot_takes_is_known),
    cmocka_unit_test(little_of_a_pool_is_lost),
    cmocka_unit_test(medium_blocks_are_in_medium_pools),
    cmocka_unit_test(cache_lines_have_a_class),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
