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

/* Xmemory_limit's decisions, on a clock and a heap of the test's. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "heap_memory_policy.h"

#define MIB ((size_t)1 << 20)
#define MS 1000000ull
#define NONE CAML_MEMORY_NO_LIMIT

static struct caml_memory_policy policy;

/* A heap of which [lives] bytes live, and what is allocated replaces others.
   A cycle frees what was dead when it began. */
static struct {
  uint64_t now;
  size_t lives, beside; /* and as much beside the heap */
  size_t waste, lost;   /* in pools, for good; of it, no compaction brings */
  size_t dead, floating, found; /* garbage: of this cycle, which was marked;
                                   of the last, likewise; found by the last */
  size_t used, peak;    /* of the pools */
  uint64_t allocated;
  uint64_t mark_ns, work_ns; /* for a MiB marked, and one allocated */
  unsigned domains; /* that collect and work at the same time */
  unsigned compactions;
} heap;

static void limit(size_t soft, size_t hard) {
  caml_memory_policy_limit(&policy, (struct caml_memory_limits){
    .soft = soft, .hard = hard, .cpu = 50
  });
}

static int setup(void** state) {
  (void)state;
  policy = (struct caml_memory_policy){ .known = false };
  heap.now = 1000 * MS;
  heap.lives = 300 * MIB;
  heap.beside = 10 * MIB;
  heap.waste = heap.lost = heap.used = heap.peak = 0;
  heap.dead = heap.floating = heap.found = 0;
  heap.allocated = 0;
  heap.mark_ns = heap.work_ns = MS / 10;
  heap.domains = 1;
  heap.compactions = 0;
  limit(NONE, NONE);
  return 0;
}

static size_t blocks(void) {
  return heap.lives + heap.dead + heap.floating + heap.found;
}

static size_t process(void) {
  return heap.used + heap.beside;
}

static void look(void) {
  size_t now = blocks() + heap.waste;
  if (now > heap.used) heap.used = now;
  if (process() > heap.peak) heap.peak = process();
  caml_memory_policy_see(&policy, (struct caml_memory_seen){
    .now = heap.now, .process = process(), .in_use = heap.used, .unused = 0
  });
}

static void end_cycle(void) {
  struct caml_memory_cycle cycle = {
    .now = heap.now, .in_use = heap.used, .blocks = blocks(),
    .marked = heap.lives, .allocated = heap.allocated,
    .lost = heap.lost, .domains = heap.domains, .may_compact = true
  };
  if (caml_memory_policy_cycle_ended(&policy, &cycle)) {
    heap.compactions++;
    heap.waste = 0;
    heap.used = blocks();
  }
  heap.found = heap.floating;
  heap.floating = heap.dead;
  heap.dead = 0;
}

/* A cycle at the policy's pace, or with [most] bytes allocated; returns how
   many were. */
static size_t run_cycle(size_t most) {
  double done = 0.0;
  uint64_t before = heap.allocated;
  bool swept = false;
  while (done < 1.0) {
    double part = caml_memory_policy_slice(&policy, MIB);
    double ordinary = (double)MIB / (double)most;
    uint64_t ns = heap.mark_ns * (heap.lives / MIB);
    if (part < ordinary) part = ordinary;
    done += part;
    ns = (uint64_t)((double)ns * part);
    for (unsigned i = 0; i < heap.domains; i++)
      caml_memory_policy_collected(&policy, ns);
    heap.now += ns + heap.work_ns;
    heap.allocated += MIB;
    heap.dead += MIB;
    if (!swept && done >= 0.5) {
      swept = true;
      heap.found = 0;
    }
    look();
  }
  end_cycle();
  return (size_t)(heap.allocated - before);
}

static size_t run_cycles(int n, size_t most) {
  size_t last = 0;
  for (int i = 0; i < n; i++) last = run_cycle(most);
  heap.peak = 0;
  for (int i = 0; i < n; i++) last = run_cycle(most);
  return last;
}

static void without_a_limit_nothing_is_asked_for(void** state) {
  (void)state;
  assert_true(run_cycles(5, 300 * MIB) >= 299 * MIB);
  assert_true(caml_memory_policy_slice(&policy, MIB) == 0.0);
  assert_true(caml_memory_policy_budget(&policy) == NONE);
  assert_false(caml_memory_policy_is_near(&policy, process()));
}

static void far_from_the_limit_the_pace_is_ordinary(void** state) {
  (void)state;
  limit(4000 * MIB, NONE);
  assert_true(run_cycles(5, 300 * MIB) >= 299 * MIB);
  assert_false(caml_memory_policy_is_near(&policy, process()));
  assert_int_equal(heap.compactions, 0);
}

/* Live words, and all in one mutator: collection is cheap here. */
static void the_peak_stays_below_the_limit(void** state) {
  (void)state;
  heap.mark_ns = MS / 1000;
  for (size_t most = 600; most >= 400; most -= 50) {
    setup(NULL);
    heap.mark_ns = MS / 1000;
    limit(most * MIB, NONE);
    run_cycles(10, 1000 * MIB);
    assert_in_range(heap.peak, (300 + (most - 300) / 2) * MIB, most * MIB);
  }
}

static void more_room_is_less_collection(void** state) {
  size_t little, much;
  (void)state;
  heap.mark_ns = MS / 1000;
  limit(450 * MIB, NONE);
  little = run_cycles(10, 1000 * MIB);
  limit(600 * MIB, NONE);
  much = run_cycles(10, 1000 * MIB);
  assert_true(much > little + little / 2);
}

static double part_collecting(void) {
  return policy.collecting / (policy.collecting + policy.working);
}

static void collection_keeps_to_its_part_of_the_time(void** state) {
  (void)state;
  limit(330 * MIB, NONE);
  run_cycles(30, 1000 * MIB);
  assert_true(part_collecting() < 0.55);
  assert_true(part_collecting() > 0.40);
  assert_true(heap.peak > 330 * MIB);
}

static void each_domain_has_its_time(void** state) {
  size_t of_one;
  (void)state;
  limit(330 * MIB, NONE);
  run_cycles(30, 1000 * MIB);
  of_one = heap.peak;
  setup(NULL);
  heap.domains = 4;
  limit(330 * MIB, NONE);
  run_cycles(30, 1000 * MIB);
  assert_int_equal(heap.peak, of_one);
}

static void but_for_the_hard_limit(void** state) {
  (void)state;
  limit(330 * MIB, 400 * MIB);
  run_cycles(30, 1000 * MIB);
  assert_true(part_collecting() > 0.55);
  assert_true(heap.peak <= 400 * MIB);
  assert_false(caml_memory_policy_is_exhausted(&policy));
}

static void a_limit_that_is_lowered_is_kept(void** state) {
  (void)state;
  heap.mark_ns = MS / 1000;
  run_cycles(5, 300 * MIB);
  limit(450 * MIB, NONE);
  heap.waste = 0;
  heap.used = 0; /* as after a compaction */
  run_cycles(5, 300 * MIB);
  assert_true(heap.peak <= 450 * MIB);
}

static void waste_is_compacted_if_that_brings_more(void** state) {
  (void)state;
  heap.mark_ns = MS / 1000;
  limit(600 * MIB, NONE);
  heap.waste = 10 * MIB;
  run_cycles(20, 100 * MIB);
  assert_int_equal(heap.compactions, 0);
  heap.waste = 200 * MIB;
  run_cycles(5, 100 * MIB);
  assert_int_equal(heap.compactions, 1);
}

/* What is beside the heap counts, and grows like the heap. */
static void what_is_beside_the_heap_counts(void** state) {
  size_t least, budget;
  (void)state;
  heap.mark_ns = MS / 1000;
  limit(900 * MIB, NONE);
  heap.beside = 300 * MIB;
  run_cycles(10, 100 * MIB);
  budget = caml_memory_policy_budget(&policy);
  assert_in_range(budget, 90 * MIB, 140 * MIB);
  least = (size_t)(caml_memory_policy_slice(&policy, 0) * 1000);
  heap.beside += 60 * MIB;
  look();
  assert_true(caml_memory_policy_slice(&policy, 0) * 1000
              > (double)least + 300);
}

/* All that is allocated stays alive. */
static bool leak(size_t most, uint64_t ns) {
  uint64_t end = heap.now + ns;
  while (heap.now < end && !caml_memory_policy_is_exhausted(&policy)) {
    size_t n = run_cycle(most);
    heap.lives += n;
    heap.dead = heap.floating = heap.found = 0;
  }
  return caml_memory_policy_is_exhausted(&policy);
}

static void a_leak_is_told_after_some_time(void** state) {
  uint64_t began;
  (void)state;
  limit(600 * MIB, NONE);
  heap.work_ns = 10 * MS;
  while (heap.lives < 560 * MIB) leak(100 * MIB, MS);
  began = heap.now;
  assert_true(leak(100 * MIB, 60000 * MS));
  assert_in_range(heap.now - began, 10000 * MS, 30000 * MS);
  caml_memory_policy_told(&policy);
  assert_false(caml_memory_policy_is_exhausted(&policy));
}

/* Collection takes less than its part of the time. */
static void a_slow_leak_is_told_where_it_has_come_far(void** state) {
  (void)state;
  limit(300 * MIB, NONE);
  heap.work_ns = 40 * MS;
  while (heap.lives < 290 * MIB) leak(100 * MIB, MS);
  assert_true(leak(100 * MIB, 600000 * MS));
  assert_true(part_collecting() < 0.25);
  assert_true(heap.lives >= 450 * MIB);
}

static void past_the_hard_limit_it_is_told_at_once(void** state) {
  (void)state;
  limit(550 * MIB, 600 * MIB);
  heap.work_ns = 10 * MS;
  assert_true(leak(100 * MIB, 60000 * MS));
  assert_in_range(process(), 600 * MIB, 620 * MIB);
}

/* The budget of a program that has allocated much */
static size_t budget_of_old_program(void) {
  limit(450 * MIB, NONE);
  heap.allocated = (uint64_t)100000 * MIB;
  run_cycles(5, 1000 * MIB);
  return caml_memory_policy_budget(&policy);
}

/* A domain that has ended is counted a cycle late: what all have allocated is
   less for a while. */
static void what_is_counted_late_is_no_allocation(void** state) {
  size_t budget = budget_of_old_program();
  (void)state;
  heap.allocated -= 90000 * MIB;
  run_cycle(1000 * MIB);
  heap.allocated += 90000 * MIB;
  run_cycle(1000 * MIB);
  assert_in_range(caml_memory_policy_budget(&policy), budget / 2, budget * 2);
}

/* Nor is what a parent allocated a child's. */
static void a_child_counts_anew(void** state) {
  size_t budget = budget_of_old_program();
  (void)state;
  caml_memory_policy_forked(&policy);
  heap.allocated = 0;
  run_cycle(1000 * MIB);
  run_cycle(1000 * MIB);
  assert_in_range(caml_memory_policy_budget(&policy), budget / 2, budget * 2);
  assert_int_equal(policy.allocated_at, heap.allocated);
}

/* Domains that end allocate without telling. */
static void growth_that_nobody_tells_of_counts(void** state) {
  (void)state;
  limit(450 * MIB, NONE);
  run_cycles(5, 1000 * MIB);
  heap.dead += 20 * MIB;
  heap.used += 20 * MIB;
  look();
  assert_true(caml_memory_policy_slice(&policy, 0) > 0.0);
  assert_true(caml_memory_policy_slice(&policy, 0) == 0.0);
}

/* All work was asked for; somebody has not done it. */
static void a_cycle_that_goes_on_is_late(void** state) {
  (void)state;
  limit(450 * MIB, NONE);
  run_cycles(5, 1000 * MIB);
  assert_false(caml_memory_policy_is_late(&policy));
  caml_memory_policy_slice(&policy, caml_memory_policy_budget(&policy) / 2);
  assert_false(caml_memory_policy_is_late(&policy));
  caml_memory_policy_slice(&policy, caml_memory_policy_budget(&policy));
  assert_true(caml_memory_policy_is_late(&policy));
  end_cycle();
  assert_false(caml_memory_policy_is_late(&policy));
}

/* Headers of pools, and what blocks are less than their size class */
static void what_a_compaction_does_not_bring_is_no_reason(void** state) {
  (void)state;
  heap.mark_ns = MS / 1000;
  limit(900 * MIB, NONE);
  heap.waste = heap.lost = 300 * MIB;
  run_cycles(20, 100 * MIB);
  assert_int_equal(heap.compactions, 0);
  heap.lost = 0;
  run_cycles(5, 100 * MIB);
  assert_int_equal(heap.compactions, 1);
}

/* An idle program that lives past its limit has not exhausted its time. */
static void who_does_not_collect_is_not_told(void** state) {
  (void)state;
  limit(300 * MIB, NONE);
  heap.work_ns = 1000 * MS;
  for (int i = 0; i < 50; i++) {
    run_cycle(100 * MIB);
    assert_false(caml_memory_policy_is_exhausted(&policy));
  }
}

static void free_pages_go_back_near_the_limit(void** state) {
  struct caml_memory_seen seen = {
    .process = 590 * MIB, .in_use = 500 * MIB, .unused = 80 * MIB
  };
  (void)state;
  limit(600 * MIB, NONE);
  caml_memory_policy_see(&policy, seen);
  assert_true(caml_memory_policy_purges(&policy));
  seen.process = 500 * MIB;
  seen.in_use = 410 * MIB;
  caml_memory_policy_see(&policy, seen);
  assert_false(caml_memory_policy_purges(&policy));
}

static struct caml_memory_limits bound(size_t used, size_t process_takes,
                                       bool shared) {
  struct caml_memory_limits l = { .soft = NONE, .hard = NONE, .cpu = 50 };
  caml_memory_add_bound(&l, process_takes, (struct caml_memory_bound){
    .most = 1000 * MIB, .used = used, .shared = shared, .kills = shared
  });
  return l;
}

static void a_bound_is_shared_by_use(void** state) {
  (void)state;
  assert_in_range(bound(500 * MIB, 500 * MIB, true).soft, 899 * MIB, 900 * MIB);
  assert_in_range(bound(0, 500 * MIB, true).hard, 949 * MIB, 950 * MIB);
  assert_in_range(bound(400 * MIB, 100 * MIB, true).soft, 224 * MIB,
                  225 * MIB);
  assert_true(bound(1000 * MIB, 100 * MIB, true).soft < 100 * MIB);
}

static void address_space_is_what_is_left(void** state) {
  (void)state;
  assert_in_range(bound(700 * MIB, 300 * MIB, false).soft, 499 * MIB,
                  500 * MIB);
  assert_in_range(bound(950 * MIB, 300 * MIB, false).soft, 249 * MIB,
                  250 * MIB);
  assert_int_equal(bound(2000 * MIB, 300 * MIB, false).soft, 0);
  assert_int_equal(bound(700 * MIB, 300 * MIB, false).hard, CAML_MEMORY_NEVER);
}

/* Where the system does not kill, the program goes past its limit however long
   what lives does not fit. */
static void who_is_not_killed_is_not_told(void** state) {
  (void)state;
  limit(200 * MIB, CAML_MEMORY_NEVER);
  for (int i = 0; i < 200; i++) {
    run_cycle(1000 * MIB);
    assert_false(caml_memory_policy_is_exhausted(&policy));
  }
  limit(200 * MIB, NONE);
  for (int i = 0; i < 200 && !caml_memory_policy_is_exhausted(&policy); i++)
    run_cycle(1000 * MIB);
  assert_true(caml_memory_policy_is_exhausted(&policy));
}

static void nothing_overflows(void** state) {
  struct caml_memory_cycle all = {
    .now = UINT64_MAX, .in_use = SIZE_MAX, .blocks = SIZE_MAX,
    .marked = SIZE_MAX, .allocated = UINT64_MAX,
    .domains = UINT_MAX, .may_compact = true
  };
  (void)state;
  limit(0, 0);
  caml_memory_policy_see(&policy, (struct caml_memory_seen){
    .now = 0, .process = SIZE_MAX, .in_use = SIZE_MAX / 2, .unused = 0
  });
  for (int i = 0; i < 4; i++) {
    double part = caml_memory_policy_slice(&policy, SIZE_MAX);
    assert_true(part >= 0.0 && part <= 1.0);
    caml_memory_policy_cycle_ended(&policy, &all);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(without_a_limit_nothing_is_asked_for, setup),
    cmocka_unit_test_setup(far_from_the_limit_the_pace_is_ordinary, setup),
    cmocka_unit_test_setup(the_peak_stays_below_the_limit, setup),
    cmocka_unit_test_setup(more_room_is_less_collection, setup),
    cmocka_unit_test_setup(collection_keeps_to_its_part_of_the_time, setup),
    cmocka_unit_test_setup(each_domain_has_its_time, setup),
    cmocka_unit_test_setup(but_for_the_hard_limit, setup),
    cmocka_unit_test_setup(a_limit_that_is_lowered_is_kept, setup),
    cmocka_unit_test_setup(waste_is_compacted_if_that_brings_more, setup),
    cmocka_unit_test_setup(what_is_beside_the_heap_counts, setup),
    cmocka_unit_test_setup(what_is_counted_late_is_no_allocation, setup),
    cmocka_unit_test_setup(a_child_counts_anew, setup),
    cmocka_unit_test_setup(growth_that_nobody_tells_of_counts, setup),
    cmocka_unit_test_setup(a_cycle_that_goes_on_is_late, setup),
    cmocka_unit_test_setup(what_a_compaction_does_not_bring_is_no_reason,
                           setup),
    cmocka_unit_test_setup(a_slow_leak_is_told_where_it_has_come_far, setup),
    cmocka_unit_test_setup(a_leak_is_told_after_some_time, setup),
    cmocka_unit_test_setup(past_the_hard_limit_it_is_told_at_once, setup),
    cmocka_unit_test_setup(who_does_not_collect_is_not_told, setup),
    cmocka_unit_test_setup(free_pages_go_back_near_the_limit, setup),
    cmocka_unit_test_setup(a_bound_is_shared_by_use, setup),
    cmocka_unit_test_setup(address_space_is_what_is_left, setup),
    cmocka_unit_test_setup(who_is_not_killed_is_not_told, setup),
    cmocka_unit_test_setup(nothing_overflows, setup),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
