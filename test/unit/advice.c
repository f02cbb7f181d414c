/**************************************************************************/
/*                                                                        */
/*                            runtime-jemalloc                            */
/*                                                                        */
/*   Copyright 2026 the runtime-jemalloc developers                       */
/*                                                                        */
/*   All rights reserved.  This file is distributed under the terms of    */
/*   the GNU Lesser General Public License version 2.1, with the          */
/*   special exception on linking described in the file LICENSE.          */
/* What is asked of a kernel that refuses: linked with --wrap=madvise and
   prctl. */

#define _GNU_SOURCE /* MADV_FREE */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include "jemalloc_advice.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE 65536 /* bytes: some pages, whatever they are */

static _Alignas(PAGE) char memory[PAGE];
static int answer; /* an error, or 0 */
static unsigned calls;
static int last_advice;
static const char* last_name;

int __wrap_madvise(void* p, size_t size, int advice);
int __wrap_prctl(int option, unsigned long what, void* p, size_t size,
                 const char* name);

static int answered(void* p, size_t size) {
  assert_ptr_equal(p, memory);
  assert_int_equal(size, PAGE);
  calls++;
  errno = answer;
  return answer == 0 ? 0 : -1;
}

int __wrap_madvise(void* p, size_t size, int advice) {
  last_advice = advice;
  return answered(p, size);
}

int __wrap_prctl(int option, unsigned long what, void* p, size_t size,
                 const char* name) {
  assert_int_equal(option, 0x53564d41);
  assert_int_equal(what, 0);
  last_name = name;
  return answered(p, size);
}

/* Gives [advice] [n] times: how many calls reach the kernel? */
static unsigned advise(unsigned n, enum caml_advice advice) {
  unsigned before = calls;
  for (unsigned i = 0; i < n; i++) {
    unsigned made = calls;
    bool done = caml_advise(memory, PAGE, advice);
    assert_int_equal(done, calls > made && answer == 0);
  }
  return calls - before;
}

/* The kernel knows all of it again. */
static int forget(void** state) {
  (void)state;
  answer = 0;
  for (int i = 0; i < CAML_N_ADVICES; i++)
    while (caml_advice_is_refused(i)) caml_advise(memory, PAGE, i);
  return 0;
}

static void each_is_its_call(void** state) {
  static const int numbers[] = { MADV_FREE, MADV_POPULATE_WRITE, MADV_HUGEPAGE,
                                 MADV_NOHUGEPAGE };
  (void)state;
  for (int i = CAML_ADVICE_FREE; i <= CAML_ADVICE_PLAIN; i++) {
    assert_int_equal(advise(1, i), 1);
    assert_int_equal(last_advice, numbers[i]);
  }
  assert_int_equal(advise(1, CAML_ADVICE_NAME), 1);
  assert_string_equal(last_name, CAML_MAPPING_NAME);
}

static void a_kernel_that_knows_it_is_always_asked(void** state) {
  (void)state;
  assert_int_equal(advise(10000, CAML_ADVICE_FREE), 10000);
  assert_false(caml_advice_is_refused(CAML_ADVICE_FREE));
}

static void a_refusal_is_remembered(void** state) {
  static const int errors[] = { EINVAL, ENOSYS, EPERM, EACCES };
  (void)state;
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    forget(state);
    answer = errors[i];
    assert_int_equal(advise(1, CAML_ADVICE_FREE), 1);
    assert_true(caml_advice_is_refused(CAML_ADVICE_FREE));
    for (unsigned n = CAML_ADVICE_LEFT_OUT; n < 64 * CAML_ADVICE_LEFT_OUT;
         n *= 2) {
      assert_int_equal(advise(n, CAML_ADVICE_FREE), 0);
      assert_int_equal(advise(1, CAML_ADVICE_FREE), 1);
    }
  }
}

static void of_each_advice_by_itself(void** state) {
  (void)state;
  answer = EINVAL;
  for (int i = 0; i < CAML_N_ADVICES; i++) {
    assert_false(caml_advice_is_refused(i));
    assert_int_equal(advise(100, i), 1);
  }
}

static void what_is_of_the_moment_is_not(void** state) {
  static const int errors[] = { ENOMEM, EAGAIN, EFAULT, EINTR, EHWPOISON };
  (void)state;
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    answer = errors[i];
    assert_int_equal(advise(100, CAML_ADVICE_POPULATE), 100);
    assert_false(caml_advice_is_refused(CAML_ADVICE_POPULATE));
  }
}

/* As when memory is locked no more */
static void a_kernel_may_come_round(void** state) {
  (void)state;
  answer = EINVAL;
  advise(2 + CAML_ADVICE_LEFT_OUT, CAML_ADVICE_FREE);
  answer = 0;
  assert_int_equal(advise(2 * CAML_ADVICE_LEFT_OUT, CAML_ADVICE_FREE), 0);
  assert_int_equal(advise(100, CAML_ADVICE_FREE), 100);
  assert_false(caml_advice_is_refused(CAML_ADVICE_FREE));
  answer = EINVAL; /* and from the beginning */
  assert_int_equal(advise(1 + CAML_ADVICE_LEFT_OUT, CAML_ADVICE_FREE), 1);
  assert_int_equal(advise(1, CAML_ADVICE_FREE), 1);
}

#define T(f) cmocka_unit_test_teardown(f, forget)

int main(void) {
  static const struct CMUnitTest tests[] = {
    T(each_is_its_call),
    T(a_kernel_that_knows_it_is_always_asked),
    T(a_refusal_is_remembered),
    T(of_each_advice_by_itself),
    T(what_is_of_the_moment_is_not),
    T(a_kernel_may_come_round),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
