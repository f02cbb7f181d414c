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

/* The descendants of a process: each once, and in n log n steps. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "descendants.h"

#define N 100000

static struct process all[N], found[N];

static void make(size_t i, pid_t pid, pid_t parent) {
  all[i] = (struct process){ .pid = pid, .parent = parent };
}

/* Each is the parent of the one listed before it.  To go through all of them
   for each of them, as long as there are more, takes 10^15 steps. */
static void a_chain_that_is_listed_backwards(void** state) {
  (void)state;
  for (pid_t i = 0; i < N; i++) make((size_t)i, N - i + 1, N - i);
  assert_int_equal(descendants(all, N, 1, found), N);
  for (size_t i = 0; i < N; i++) assert_int_equal(found[i].pid, i + 2);
}

static void many_children(void** state) {
  (void)state;
  for (pid_t i = 0; i < N; i++) make((size_t)i, i + 3, 2);
  assert_int_equal(descendants(all, N, 2, found), N);
}

static void other_trees_are_left_out(void** state) {
  (void)state;
  for (pid_t i = 0; i < N; i++) make((size_t)i, i + 2, i < 10 ? 1 : i % 2 + 2);
  /* 2 and 3 have half each of those from 12 on */
  assert_int_equal(descendants(all, N, 2, found), N / 2 - 5);
  for (size_t i = 0; i < N / 2 - 5; i++) assert_int_equal(found[i].parent, 2);
}

static void a_circle_ends(void** state) {
  (void)state;
  make(0, 2, 4);
  make(1, 3, 2);
  make(2, 4, 3);
  assert_int_equal(descendants(all, 3, 2, found), 2);
}

static void none(void** state) {
  (void)state;
  assert_int_equal(descendants(all, 0, 1, found), 0);
  make(0, 2, 1);
  assert_int_equal(descendants(all, 1, 2, found), 0);
}

#define T(f) cmocka_unit_test(f)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(a_chain_that_is_listed_backwards),
    T(many_children),
    T(other_trees_are_left_out),
    T(a_circle_ends),
    T(none),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("descendants", tests, NULL, NULL);
}
