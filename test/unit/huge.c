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

/* Which huge pages the kernel is advised against, seen in smaps. */

#define _GNU_SOURCE /* MAP_ANONYMOUS, sched_yield */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "jemalloc_huge.h"
#include "smaps.h"

#define MIB ((size_t)1 << 20)
#define HUGE_PAGE CAML_HUGE_PAGE_SIZE
#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static struct caml_huge huge;

int __real_madvise(void* p, size_t size, int advice);
int __wrap_madvise(void* p, size_t size, int advice);

/* What another thread does while the kernel is told, once */
static void (*meanwhile)(void* p);

int __wrap_madvise(void* p, size_t size, int advice) {
  void (*act)(void*) = meanwhile;
  meanwhile = NULL;
  if (act != NULL) act(p);
  return __real_madvise(p, size, advice);
}

/* [size] bytes at a multiple of a huge page, with a hole on either side */
static char* get_huge_pages(size_t size) {
  char* p = mmap(NULL, size + 4 * HUGE_PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  char* aligned =
    (char*)(((uintptr_t)p + 2 * HUGE_PAGE) & -(uintptr_t)HUGE_PAGE);
  assert_ptr_not_equal(p, MAP_FAILED);
  munmap(p, aligned - p);
  munmap(aligned + size, p + 4 * HUGE_PAGE - aligned);
  return aligned;
}

static char* get(size_t size) {
  char* p = get_huge_pages(size);
  caml_huge_mapped(&huge, p, size);
  return p;
}

/* The same, all of it in use */
static char* get_in_use(size_t size) {
  char* p = get(size);
  caml_huge_commit(&huge, p, size);
  return p;
}

/* A heap that is no longer small; its first huge pages are left mapped. */
static void start(enum caml_thp thp) {
  caml_huge_init(&huge, thp);
  get(CAML_HUGE_SMALL_HEAP);
}

static bool is_plain(const char* p) {
  return smaps_has_flag(p, "nh");
}

static bool is_huge(const char* p) {
  return smaps_has_flag(p, "hg");
}

static void a_small_heap_is_plain(void** state) {
  (void)state;
  for (enum caml_thp thp = CAML_THP_NEVER; thp <= CAML_THP_ALWAYS; thp++) {
    caml_huge_init(&huge, thp);
    assert_true(is_plain(get(HUGE_PAGE)));
    caml_huge_end(&huge);
  }
}

static void a_mapping_is_as_asked_for(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_NEVER);
  assert_true(is_plain(get(8 * HUGE_PAGE)));
  caml_huge_end(&huge);
  start(CAML_THP_SYSTEM);
  p = get(8 * HUGE_PAGE);
  assert_false(is_plain(p) || is_huge(p));
  caml_huge_end(&huge);
  start(CAML_THP_ALWAYS);
  assert_true(is_huge(get(8 * HUGE_PAGE)));
  caml_huge_end(&huge);
}

static void a_huge_page_with_a_hole_is_plain(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_SYSTEM);
  p = get_in_use(8 * HUGE_PAGE);
  /* the last page of one huge page and the first of the next */
  caml_huge_decommit(&huge, p + 4 * HUGE_PAGE - PAGE, 2 * PAGE);
  for (size_t i = 0; i < 8; i++)
    assert_int_equal(is_plain(p + i * HUGE_PAGE), i == 3 || i == 4);
  caml_huge_end(&huge);
}

/* Nothing is there that khugepaged could fill up. */
static void an_empty_huge_page_is_left(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_SYSTEM);
  p = get_in_use(8 * HUGE_PAGE);
  caml_huge_decommit(&huge, p + HUGE_PAGE, 2 * HUGE_PAGE);
  for (size_t i = 0; i < 8; i++) assert_false(is_plain(p + i * HUGE_PAGE));
  caml_huge_end(&huge);
}

static void a_full_huge_page_is_huge_again(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(8 * HUGE_PAGE);
  caml_huge_decommit(&huge, p + HUGE_PAGE, HUGE_PAGE / 2);
  assert_true(is_plain(p + HUGE_PAGE));
  caml_huge_commit(&huge, p + HUGE_PAGE, HUGE_PAGE / 2 - PAGE);
  assert_true(is_plain(p + HUGE_PAGE));
  caml_huge_commit(&huge, p + HUGE_PAGE + HUGE_PAGE / 2 - PAGE, PAGE);
  assert_true(is_huge(p + HUGE_PAGE));
  assert_int_equal(huge.borders, 0);
  caml_huge_end(&huge);
}

/* The first huge pages of a heap too, once they are dense */
static void a_small_heap_that_is_full_is_huge(void** state) {
  char* p;
  (void)state;
  caml_huge_init(&huge, CAML_THP_ALWAYS);
  p = get(2 * HUGE_PAGE);
  caml_huge_count(&huge, p, HUGE_PAGE, true);
  assert_true(is_plain(p));
  caml_huge_count(&huge, p, HUGE_PAGE, false);
  caml_huge_commit(&huge, p, HUGE_PAGE);
  assert_true(is_huge(p));
  assert_true(is_plain(p + HUGE_PAGE));
  caml_huge_end(&huge);
}

static void the_system_has_a_say(void** state) {
  (void)state;
  for (int always = 0; always <= 1; always++) {
    char* p;
    start(CAML_THP_SYSTEM);
    huge.system_always = always;
    p = get_in_use(8 * HUGE_PAGE);
    caml_huge_decommit(&huge, p, PAGE);
    caml_huge_commit(&huge, p, PAGE);
    assert_int_equal(is_huge(p), always);
    assert_int_equal(is_plain(p), !always);
    caml_huge_end(&huge);
  }
}

static void never_is_never(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_NEVER);
  p = get_in_use(8 * HUGE_PAGE);
  assert_true(is_plain(p));
  caml_huge_end(&huge);
}

static void a_part_of_a_huge_page_is_left_alone(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_huge_pages(4 * HUGE_PAGE);
  caml_huge_mapped(&huge, p + PAGE, 3 * HUGE_PAGE);
  caml_huge_commit(&huge, p + PAGE, 3 * HUGE_PAGE);
  caml_huge_decommit(&huge, p + 3 * HUGE_PAGE, PAGE);
  caml_huge_decommit(&huge, p + PAGE, PAGE);
  assert_false(is_plain(p) || is_huge(p));
  assert_true(is_huge(p + HUGE_PAGE));
  assert_true(is_huge(p + 2 * HUGE_PAGE));
  assert_false(is_plain(p + 3 * HUGE_PAGE) || is_huge(p + 3 * HUGE_PAGE));
  caml_huge_end(&huge);
}

/* A hole in every other huge page: a mapping for each would be 512. */
static void mappings_are_few(void** state) {
  size_t n = 512;
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(n * HUGE_PAGE);
  for (size_t i = 1; i < n; i += 2)
    caml_huge_decommit(&huge, p + i * HUGE_PAGE, PAGE);
  for (size_t i = 1; i < n; i += 2) assert_true(is_plain(p + i * HUGE_PAGE));
  assert_in_range(smaps_mappings(p, n * HUGE_PAGE), 2, 16 + n / 64 + 1);
  assert_int_equal(smaps_mappings(p, n * HUGE_PAGE), huge.borders + 1);
  for (size_t i = n - 1; i < n; i -= 2)
    caml_huge_commit(&huge, p + i * HUGE_PAGE, PAGE);
  assert_in_range(smaps_mappings(p, n * HUGE_PAGE), 1, 16 + n / 64 + 1);
  assert_int_equal(smaps_mappings(p, n * HUGE_PAGE), huge.borders + 1);
  caml_huge_end(&huge);
}

/* Full huge pages that were too many borders at first, with the last of them */
static void what_was_too_much_follows(void** state) {
  size_t n = 256;
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(n * HUGE_PAGE);
  for (size_t i = 0; i < n; i++)
    caml_huge_decommit(&huge, p + i * HUGE_PAGE, PAGE);
  for (size_t i = 0; i < n; i += 2)
    caml_huge_commit(&huge, p + i * HUGE_PAGE, PAGE);
  assert_true(is_plain(p + (n - 2) * HUGE_PAGE));
  for (size_t i = 1; i < n; i += 2)
    caml_huge_commit(&huge, p + i * HUGE_PAGE, PAGE);
  for (size_t i = 0; i < n; i++) assert_true(is_huge(p + i * HUGE_PAGE));
  assert_int_equal(huge.borders, 0);
  caml_huge_end(&huge);
}

#define THREADS 4
#define HUGE_PAGES 8

static char* pages_of_threads;

/* The pages whose number is [data] modulo THREADS: off and on, and in the end
   those of even threads have a hole in the huge page of the thread's number. */
static void* change_pages(void* data) {
  char* p = pages_of_threads;
  size_t i = (uintptr_t)data;
  size_t pages = HUGE_PAGES * HUGE_PAGE / PAGE;
  for (int round = 0; round < 20; round++) {
    for (size_t k = i; k < pages; k += THREADS)
      caml_huge_decommit(&huge, p + k * PAGE, PAGE);
    for (size_t k = i; k < pages; k += THREADS)
      caml_huge_commit(&huge, p + k * PAGE, PAGE);
  }
  if (i % 2 == 0)
    caml_huge_decommit(&huge, p + i * HUGE_PAGE + i * PAGE, PAGE);
  return NULL;
}

/* Whatever the order, a hole is plain, and a full huge page is huge. */
static void threads_agree(void** state) {
  pthread_t threads[THREADS];
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = pages_of_threads = get_in_use(HUGE_PAGES * HUGE_PAGE);
  for (uintptr_t i = 0; i < THREADS; i++)
    assert_int_equal(
      pthread_create(&threads[i], NULL, change_pages, (void*)i), 0);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  for (size_t i = 0; i < HUGE_PAGES; i++) {
    bool hole = i < THREADS && i % 2 == 0;
    assert_int_equal(is_plain(p + i * HUGE_PAGE), hole);
    assert_int_equal(is_huge(p + i * HUGE_PAGE), !hole);
  }
  caml_huge_end(&huge);
}

static void commit_page(void* p) {
  caml_huge_commit(&huge, p, PAGE);
}

static void decommit_page(void* p) {
  caml_huge_decommit(&huge, p, PAGE);
}

/* The last page comes or goes between the count that led to advice and
   the mark itself. */
static void a_count_that_changes_meanwhile_counts(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(2 * HUGE_PAGE);
  meanwhile = commit_page;
  caml_huge_decommit(&huge, p, PAGE);
  assert_true(is_huge(p));
  caml_huge_decommit(&huge, p, PAGE);
  meanwhile = decommit_page;
  caml_huge_commit(&huge, p, PAGE);
  assert_null(meanwhile);
  assert_true(is_plain(p));
  assert_true(is_huge(p + HUGE_PAGE));
  caml_huge_end(&huge);
}

/* The lock of a thread that is not in the child */
static void a_forked_child_goes_on(void** state) {
  char* p;
  int status;
  pid_t pid;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(8 * HUGE_PAGE);
  caml_ranked_mutex_lock(&huge.lock);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    alarm(10);
    caml_huge_postfork_child(&huge);
    caml_huge_decommit(&huge, p, PAGE);
    _exit(is_plain(p) ? 0 : 1);
  }
  caml_ranked_mutex_unlock(&huge.lock);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_true(is_huge(p));
  caml_huge_end(&huge);
}

static void nothing_is_left(void** state) {
  size_t before = smaps_size();
  char* p;
  (void)state;
  caml_huge_init(&huge, CAML_THP_SYSTEM);
  p = get(8 * HUGE_PAGE);
  caml_huge_commit(&huge, p, HUGE_PAGE);
  assert_true(smaps_size() > before + 8 * HUGE_PAGE);
  munmap(p, 8 * HUGE_PAGE);
  caml_huge_end(&huge);
  assert_int_equal(smaps_size(), before);
}

static void a_kernel_without_huge_pages_does_no_harm(void** state) {
  char* p;
  (void)state;
  start(CAML_THP_ALWAYS);
  p = get_in_use(8 * HUGE_PAGE);
  caml_huge_decommit(&huge, p, PAGE);
  assert_true(huge.absent);
  assert_false(is_plain(p) || is_huge(p));
  caml_huge_end(&huge);
}

static bool kernel_has_huge_pages(void) {
  char* p = get_huge_pages(HUGE_PAGE);
  return madvise(p, HUGE_PAGE, MADV_NOHUGEPAGE) == 0;
}

#define T(f) cmocka_unit_test(f)

int main(void) {
  static const struct CMUnitTest with[] = {
    T(a_small_heap_is_plain),
    T(a_mapping_is_as_asked_for),
    T(a_huge_page_with_a_hole_is_plain),
    T(an_empty_huge_page_is_left),
    T(a_full_huge_page_is_huge_again),
    T(a_small_heap_that_is_full_is_huge),
    T(the_system_has_a_say),
    T(never_is_never),
    T(a_part_of_a_huge_page_is_left_alone),
    T(mappings_are_few),
    T(what_was_too_much_follows),
    T(threads_agree),
    T(a_count_that_changes_meanwhile_counts),
    T(a_forked_child_goes_on),
    T(nothing_is_left),
  };
  static const struct CMUnitTest without[] = {
    T(a_kernel_without_huge_pages_does_no_harm),
    T(nothing_is_left),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return kernel_has_huge_pages()
    ? cmocka_run_group_tests_name("huge", with, NULL, NULL)
    : cmocka_run_group_tests_name("huge", without, NULL, NULL);
}
