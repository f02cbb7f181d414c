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

/* What address space is charged for by, with a setting of the machine and a
   clock of the test's. */

#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "jemalloc_limits.h"
#include "limits.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static struct caml_limits limits;
static char setting;   /* of vm.overcommit_memory; 0: it cannot be read */
static unsigned reads; /* of it */
static long now;       /* ms */

int __wrap_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  int ends[2];
  (void)flags;
  assert_string_equal(path, "/proc/sys/vm/overcommit_memory");
  reads++;
  if (setting == 0) {
    errno = EACCES;
    return -1;
  }
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], &setting, 1), 1);
  close(ends[1]);
  return ends[0];
}

/* A static C library and cmocka call the function here, too. */
int __real_clock_gettime(clockid_t clock, struct timespec* t);
int __wrap_clock_gettime(clockid_t clock, struct timespec* t);
int __wrap_clock_gettime(clockid_t clock, struct timespec* t) {
  if (clock != CLOCK_MONOTONIC) return __real_clock_gettime(clock, t);
  *t = (struct timespec){ now / 1000, now % 1000 * 1000000 };
  return 0;
}

static int setup(void** state) {
  (void)state;
  memset(&limits, 0, sizeof(limits));
  setting = '0';
  reads = 0;
  now = 1000000;
  set_limit(RLIMIT_AS, RLIM_INFINITY);
  set_limit(RLIMIT_DATA, RLIM_INFINITY);
  return 0;
}

static void nothing_is_charged(void** state) {
  (void)state;
  for (setting = '0'; setting <= '1'; setting++) {
    now += 2000;
    assert_false(caml_limits_charge(&limits));
  }
}

static void a_limit_charges_while_it_is_set(void** state) {
  static const int resources[] = { RLIMIT_AS, RLIMIT_DATA };
  (void)state;
  for (int i = 0; i < 2; i++) {
    set_limit(resources[i], FAR);
    assert_true(caml_limits_charge(&limits));
    set_limit(resources[i], RLIM_INFINITY);
    assert_false(caml_limits_charge(&limits));
  }
}

static void strict_overcommit_charges(void** state) {
  (void)state;
  setting = '2';
  assert_true(caml_limits_charge(&limits));
}

static void the_setting_is_read_once_a_second(void** state) {
  (void)state;
  assert_false(caml_limits_charge(&limits));
  setting = '2';
  for (int i = 0; i < 10; i++) {
    now += 99;
    assert_false(caml_limits_charge(&limits));
  }
  assert_int_equal(reads, 1);
  now += 2000;
  assert_true(caml_limits_charge(&limits));
  assert_int_equal(reads, 2);
  setting = '0';
  now += 2000;
  assert_false(caml_limits_charge(&limits));
}

static void what_cannot_be_read_does_not_limit(void** state) {
  (void)state;
  setting = 0;
  assert_false(caml_limits_charge(&limits));
  assert_int_equal(reads, 1);
}

static void locked_memory_charges_but_not_in_a_child(void** state) {
  (void)state;
  caml_limits_found_locked(&limits);
  assert_true(caml_limits_charge(&limits));
  caml_limits_postfork_child(&limits);
  assert_false(caml_limits_charge(&limits));
}

/* A new page that is there already: as mlockall leaves it */
static void a_page_that_is_there_is_locked(void** state) {
  char* p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)state;
  assert_ptr_not_equal(p, MAP_FAILED);
  caml_limits_mapped(&limits, p);
  assert_false(caml_limits_charge(&limits));
  *p = 1;
  caml_limits_mapped(&limits, p);
  assert_true(caml_limits_charge(&limits));
  munmap(p, PAGE);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
    T(nothing_is_charged),
    T(a_limit_charges_while_it_is_set),
    T(strict_overcommit_charges),
    T(the_setting_is_read_once_a_second),
    T(what_cannot_be_read_does_not_limit),
    T(locked_memory_charges_but_not_in_a_child),
    T(a_page_that_is_there_is_locked),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
