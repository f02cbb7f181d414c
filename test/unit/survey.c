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

/* What a compaction is told of a heap's pools, on pools that are made up. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_survey.h"

#define SLOTS 100
#define POOLS 300
#define CYCLE 7

static int domain, other_domain;
static unsigned pools[POOLS]; /* of each, how many slots are not free */

static unsigned list(void* pool, unsigned sizeclass, uint16_t* offsets) {
  unsigned n = *(unsigned*)pool;
  for (unsigned i = 0; i < n; i++) offsets[i] = (uint16_t)(i * sizeclass);
  return n;
}

/* Pools of the size classes 1 and 3; that one may not have ended. */
static struct caml_survey* make(void) {
  struct caml_survey* s = caml_survey_get(&domain);
  assert_non_null(s);
  caml_survey_begin(s, CYCLE, 0);
  for (unsigned sizeclass = 0; sizeclass <= 3; sizeclass++) {
    for (unsigned i = sizeclass % 2 == 0 ? POOLS : 0; i < POOLS; i++) {
      pools[i] = i * 37 % SLOTS;
      assert_true(caml_survey_add(s, &pools[i], &pools[i], SLOTS, list));
    }
    if (sizeclass < 3) caml_survey_end_class(s);
  }
  return s;
}

static int forget(void** state) {
  (void)state;
  caml_survey_forget_all();
  return 0;
}

static void one_for_each_domain(void** state) {
  (void)state;
  assert_null(caml_survey_find(&other_domain));
  struct caml_survey* s = caml_survey_get(&domain);
  assert_ptr_equal(caml_survey_get(&domain), s);
  assert_ptr_not_equal(caml_survey_get(&other_domain), s);
  assert_ptr_equal(caml_survey_find(&domain), s);
  assert_false(s->begun);
}

static void pools_are_those_of_their_size_class(void** state) {
  struct caml_survey* s = make();
  (void)state;
  for (unsigned sizeclass = 0; sizeclass < CAML_SURVEY_CLASSES; sizeclass++) {
    size_t n;
    const struct caml_surveyed_pool* p = caml_survey_pools(s, sizeclass, &n);
    assert_int_equal(n, sizeclass == 1 || sizeclass == 3 ? POOLS : 0);
    for (size_t i = 0; i < n; i++) {
      assert_ptr_equal(p[i].pool, &pools[i]);
      assert_int_equal(p[i].count, pools[i]);
    }
  }
}

static void slots_of_sparse_pools_are_listed(void** state) {
  struct caml_survey* s = make();
  size_t n;
  const struct caml_surveyed_pool* p = caml_survey_pools(s, 3, &n);
  (void)state;
  for (size_t i = 0; i < n; i++) {
    const uint16_t* offsets = caml_survey_slots(s, &p[i]);
    assert_int_equal(offsets != NULL, p[i].count <= SLOTS / 2);
    for (unsigned k = 0; offsets != NULL && k < p[i].count; k++)
      assert_int_equal(offsets[k], 3 * k);
  }
}

static void order_is_from_both_ends(void** state) {
  struct caml_survey* s = make();
  struct caml_pool_order order = { { NULL } };
  const unsigned part = SLOTS / CAML_SURVEY_PARTS + 1;
  unsigned sparse = 0, dense = SLOTS;
  size_t n, taken = 0;
  struct caml_surveyed_pool *p = caml_survey_pools(s, 1, &n), *q;
  (void)state;
  for (size_t i = 0; i < n; i++) caml_pool_order_add(&order, &p[i], SLOTS);
  while ((q = caml_pool_order_sparse(&order)) != NULL) {
    assert_true(q->count + part >= sparse);
    if (q->count > sparse) sparse = q->count;
    taken++;
    if ((q = caml_pool_order_dense(&order)) == NULL) break;
    assert_true(q->count <= dense + part);
    if (q->count < dense) dense = q->count;
    taken++;
  }
  assert_int_equal(taken, POOLS);
  assert_true(sparse <= dense + part);
  assert_null(caml_pool_order_dense(&order));
}

static void begun_anew_it_is_empty(void** state) {
  struct caml_survey* s = make();
  size_t n;
  (void)state;
  caml_survey_begin(s, CYCLE + 1, 0);
  for (unsigned sizeclass = 0; sizeclass <= 3; sizeclass++) {
    caml_survey_pools(s, sizeclass, &n);
    assert_int_equal(n, 0);
  }
}

static void forgotten_it_holds_no_memory(void** state) {
  struct caml_survey* s = make();
  (void)state;
  caml_survey_forget(s);
  assert_false(s->begun);
  assert_null(s->pools.data);
  assert_null(s->slots.data);
  caml_survey_forget(NULL);
}

static void cancelled_it_is_to_begin_anew(void** state) {
  struct caml_survey* s = make();
  (void)state;
  caml_survey_cancel(s);
  assert_false(s->begun);
  caml_survey_forget_all();
  assert_null(s->pools.data);
  caml_survey_cancel(NULL);
}

#define T(f) cmocka_unit_test_teardown(f, forget)

int main(void) {
  static const struct CMUnitTest tests[] = {
    T(one_for_each_domain),
    T(pools_are_those_of_their_size_class),
    T(slots_of_sparse_pools_are_listed),
    T(order_is_from_both_ends),
    T(begun_anew_it_is_empty),
    T(forgotten_it_holds_no_memory),
    T(cancelled_it_is_to_begin_anew),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
