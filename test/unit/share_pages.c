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

/* Which pages of a set a process has written since it shares them: at forks
   that are told of and at others. */

#define CAML_INTERNALS
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "heap_share_pages.h"

/* Granules of 4 KiB, whatever the kernel's pages are: what is written here are
   the first bytes of runs of 16. */
#define RUN (16 * CAML_SHARE_PAGE)
#define RUNS ((size_t)256)

static struct caml_share_written w;
static char* memory;

static int setup(void** state) {
  size_t align = 64 * CAML_SHARE_PAGE;
  char* p = mmap(NULL, RUNS * RUN + align, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)state;
  if (p == MAP_FAILED) return -1;
  memory = (char*)(((uintptr_t)p + align - 1) & -align);
  madvise(p, RUNS * RUN + align, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < RUNS; i++) memory[i * RUN] = 1;
  return caml_share_written_make(&w, (uintptr_t)memory,
                                 (uintptr_t)memory + RUNS * RUN) ? 0 : -1;
}

static int teardown(void** state) {
  (void)state;
  caml_share_written_free(&w);
  return 0;
}

static void add_all(void) {
  caml_share_written_add(&w, (uintptr_t)memory, RUNS * RUN);
}

static bool is_written(size_t run) {
  uintptr_t at = (uintptr_t)memory + run * RUN;
  return caml_share_written_bits(&w, at, 1) != 0;
}

static size_t count_written(void) {
  size_t n = 0;
  for (size_t i = 0; i < RUNS; i++) n += is_written(i);
  return n;
}

static void write_run(size_t run) {
  memory[run * RUN]++;
}

/* A child that shares all until it is let go; by the system call, so that no
   handler is called. */
static pid_t fork_untold(void) {
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    alarm(60); /* should this process end before */
    for (;;) pause();
  }
  return pid;
}

static pid_t fork_told(void) {
  pid_t pid;
  caml_share_written_note(&w);
  pid = fork_untold();
  caml_share_written_forked(&w);
  return pid;
}

static void let_go(pid_t pid) {
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_written_pages(void** state) {
  pid_t pid;
  (void)state;
  add_all();
  assert_int_equal(w.count, RUNS * 16);
  pid = fork_told();
  caml_share_written_forget(&w); /* the set is what there was at the fork */
  caml_share_written_read(&w);
  assert_int_equal(count_written(), 0);
  write_run(3);
  write_run(200);
  caml_share_written_read(&w);
  assert_int_equal(count_written(), 2);
  assert_true(is_written(3) && is_written(200));
  assert_true(w.shared > 0);
  let_go(pid);
  caml_share_written_read(&w);
  assert_int_equal(count_written(), RUNS); /* in vain */
  assert_int_equal(w.shared, 0);
}

/* Another fork shares what was written. */
static void test_second_fork(void** state) {
  pid_t first, second;
  (void)state;
  add_all();
  first = fork_told();
  caml_share_written_forget(&w);
  write_run(7);
  second = fork_told();
  write_run(9);
  caml_share_written_read(&w);
  assert_int_equal(count_written(), 2);
  assert_true(is_written(7) && is_written(9));
  let_go(first);
  let_go(second);
}

static void test_fork_that_is_not_told_of(void** state) {
  pid_t first, second;
  (void)state;
  add_all();
  first = fork_told();
  caml_share_written_forget(&w);
  write_run(7);
  second = fork_untold();
  caml_share_written_read(&w);
  assert_int_equal(count_written(), RUNS);
  let_go(first);
  let_go(second);
  caml_share_written_read(&w);
  assert_int_equal(count_written(), RUNS);
}

static void test_some_pages_only(void** state) {
  (void)state;
  caml_share_written_add(&w, (uintptr_t)memory + 5 * RUN + 100, 200);
  caml_share_written_add(&w, (uintptr_t)memory + 9 * RUN - 1, 2);
  assert_int_equal(w.count, 3);
  caml_share_written_read(&w);
  assert_true(is_written(5) && is_written(9));
  assert_int_equal(count_written(), 2);
  assert_true(caml_share_has_page(&w.pages, (uintptr_t)memory + 5 * RUN));
  assert_false(caml_share_has_page(&w.pages, (uintptr_t)memory + 6 * RUN));
  assert_false(caml_share_has_page(&w.pages, (uintptr_t)memory - 1));
  assert_false(caml_share_has_page(&w.pages, (uintptr_t)memory + RUNS * RUN));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_written_pages, setup, teardown),
    cmocka_unit_test_setup_teardown(test_second_fork, setup, teardown),
    cmocka_unit_test_setup_teardown(test_fork_that_is_not_told_of, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(test_some_pages_only, setup, teardown),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
