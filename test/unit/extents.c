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

/* The extent hooks, each called as jemalloc calls it. */

#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "jemalloc_advice.h"
#include "jemalloc_extents.h"
#include "limits.h"
#include "smaps.h"

#define MIB ((size_t)1 << 20)
#define KIB ((size_t)1 << 10)
#define KERNEL_PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define PAGE (extents.page) /* jemalloc's */

static struct caml_extents extents;
static extent_hooks_t* hooks;

static int setup(void** state) {
  (void)state;
  hooks = caml_extents_init(&extents, CAML_THP_SYSTEM);
  caml_extents_started(&extents);
  return 0;
}

static char* get_aligned(size_t size, size_t alignment) {
  bool zero = false, commit = false;
  char* p = hooks->alloc(hooks, NULL, size, alignment, &zero, &commit, 0);
  if (p != NULL) {
    assert_true(zero);
    assert_false(commit);
  }
  return p;
}

static char* get(size_t size) {
  char* p = get_aligned(size, PAGE);
  assert_non_null(p);
  return p;
}

static void drop(char* p, size_t size) {
  hooks->destroy(hooks, p, size, true, 0);
  assert_false(smaps_is_mapped(p));
}

static void assert_count(const struct caml_extent_count* c,
                         size_t calls, size_t bytes, size_t failures) {
  assert_int_equal(c->calls, calls);
  assert_int_equal(c->bytes, bytes);
  assert_int_equal(c->failures, failures);
}

static bool is_zero(const char* p, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (p[i] != 0) return false;
  return true;
}

static void alloc_is_aligned_and_zero(void** state) {
  static const size_t sizes[] = { 1, 2, 3, 512, 513, 1000 };
  (void)state;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    size_t size = sizes[i] * PAGE;
    char* p = get(size);
    if (size >= CAML_HUGE_PAGE_SIZE)
      assert_int_equal((uintptr_t)p % CAML_EXTENT_ALIGNMENT, 0);
    assert_true(is_zero(p, size));
    memset(p, 1, size);
    drop(p, size);
  }
}

static void alloc_honours_a_larger_alignment(void** state) {
  char* p = get_aligned(MIB, 64 * MIB);
  (void)state;
  assert_non_null(p);
  assert_int_equal((uintptr_t)p % (64 * MIB), 0);
  drop(p, MIB);
}

/* Nothing but what was asked for stays mapped. */
static void alloc_cuts_its_ends_off(void** state) {
  char* p = get(3 * MIB);
  (void)state;
  assert_int_equal(smaps_field(p, "Size:") % MIB, 0);
  assert_int_equal(caml_extents_mapped(&extents), 3 * MIB);
  drop(p, 3 * MIB);
  assert_int_equal(caml_extents_mapped(&extents), 0);
}

static void alloc_at_an_address_is_refused(void** state) {
  bool zero = false, commit = false;
  char* p = get(4 * MIB);
  (void)state;
  drop(p, 4 * MIB);
  assert_null(hooks->alloc(hooks, p, 4 * MIB, PAGE, &zero, &commit, 0));
  assert_false(smaps_is_mapped(p));
}

static void alloc_fails_without_address_space(void** state) {
  struct rlimit old, low;
  char* p;
  (void)state;
  not_under_a_sanitizer();
  assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
  low = old;
  low.rlim_cur = 512 * MIB;
  assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
  p = get_aligned(1024 * MIB, PAGE);
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  assert_null(p);
  assert_count(&extents.alloc, 0, 0, 1);
  /* so large that the slack for the alignment overflows */
  assert_null(get_aligned(SIZE_MAX - PAGE + 1, PAGE));
  assert_count(&extents.alloc, 0, 0, 2);
}

static void mappings_have_a_name(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  assert_true(smaps_has_name(p, CAML_MAPPING_NAME));
  drop(p, 2 * MIB);
}

static void a_kernel_without_names_does_no_harm(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  assert_false(smaps_has_name(p, CAML_MAPPING_NAME));
  memset(p, 1, 2 * MIB);
  drop(p, 2 * MIB);
}

static bool kernel_has_names(void) {
  char* p = mmap(NULL, KERNEL_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                 0);
  bool named = prctl(0x53564d41, 0, p, KERNEL_PAGE, "probe") == 0;
  munmap(p, KERNEL_PAGE);
  return named;
}

static void dalloc_opts_out(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  p[0] = 1;
  assert_true(hooks->dalloc(hooks, p, 2 * MIB, true, 0));
  assert_true(smaps_is_mapped(p));
  assert_int_equal(p[0], 1);
  assert_count(&extents.dalloc, 0, 0, 1);
  drop(p, 2 * MIB);
}

/* Of which mappings does the tool know?  Those in [size] bytes from [p] */
static size_t noted(const char* p, size_t size) {
  size_t sum = 0;
  for (unsigned i = 0; i < CAML_EXTENTS_MAPPINGS; i++) {
    const struct caml_heap_mapping* m = &extents.mappings[i];
    if (m->start >= (uintptr_t)p && m->start < (uintptr_t)p + size)
      sum += m->size;
  }
  return sum;
}

static void huge_pages_that_are_charged_go(int resource) {
  char* p = get(16 * MIB);
  rlim_t old = set_limit(resource, FAR);
  memset(p, 1, 16 * MIB);
  assert_false(hooks->dalloc(hooks, p + 4 * MIB, 8 * MIB, true, 0));
  assert_false(smaps_is_mapped(p + 4 * MIB));
  assert_false(smaps_is_mapped(p + 12 * MIB - PAGE));
  assert_int_equal(p[4 * MIB - 1], 1);
  assert_int_equal(p[12 * MIB], 1);
  assert_int_equal(noted(p, 16 * MIB), 8 * MIB);
  assert_int_equal(caml_extents_mapped(&extents), 8 * MIB);
  set_limit(resource, old);
  assert_true(hooks->dalloc(hooks, p, 4 * MIB, true, 0));
  drop(p, 4 * MIB);
  drop(p + 12 * MIB, 4 * MIB);
}

static void dalloc_unmaps_under_ulimit_v(void** state) {
  (void)state;
  huge_pages_that_are_charged_go(RLIMIT_AS);
}

static void dalloc_unmaps_under_ulimit_d(void** state) {
  (void)state;
  huge_pages_that_are_charged_go(RLIMIT_DATA);
}

static void dalloc_unmaps_whole_huge_pages_only(void** state) {
  char* p = get(16 * MIB);
  rlim_t old = set_limit(RLIMIT_AS, FAR);
  (void)state;
  assert_true(hooks->dalloc(hooks, p + MIB, 2 * MIB, true, 0));
  assert_true(hooks->dalloc(hooks, p, 3 * MIB, true, 0));
  assert_true(hooks->dalloc(hooks, p, PAGE, true, 0));
  assert_count(&extents.dalloc, 0, 0, 3);
  /* with the page that jemalloc 5.3.0 puts behind a block */
  assert_false(hooks->dalloc(hooks, p, 2 * MIB + PAGE, true, 0));
  assert_true(smaps_is_mapped(p + 2 * MIB + PAGE));
  set_limit(RLIMIT_AS, old);
  drop(p + 2 * MIB + PAGE, 14 * MIB - PAGE);
}

/* Every other huge page: 128 holes are too many.  Those beside a hole make no
   more. */
static void dalloc_leaves_few_mappings(void** state) {
  size_t n = 256, refused = 0, mapped;
  char* p = get(n * 2 * MIB);
  rlim_t old = set_limit(RLIMIT_AS, FAR);
  (void)state;
  for (size_t i = 1; i < n; i += 2)
    refused += hooks->dalloc(hooks, p + i * 2 * MIB, 2 * MIB, true, 0);
  assert_in_range(smaps_mappings(p, n * 2 * MIB), 8, 8 + n / 64 + 1);
  assert_in_range(refused, 100, 127);
  mapped = caml_extents_mapped(&extents);
  assert_int_equal(mapped, 2 * MIB * (n / 2 + refused));
  for (size_t i = 2; i < 16; i += 2)
    assert_false(hooks->dalloc(hooks, p + i * 2 * MIB, 2 * MIB, true, 0));
  assert_int_equal(noted(p, n * 2 * MIB), mapped - 14 * MIB);
  set_limit(RLIMIT_AS, old);
  munmap(p, n * 2 * MIB);
}

static void dalloc_unmaps_when_closing(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  caml_extents_close(&extents, true);
  assert_false(hooks->dalloc(hooks, p, 2 * MIB, true, 0));
  assert_false(smaps_is_mapped(p));
  assert_count(&extents.dalloc, 1, 2 * MIB, 0);
  assert_int_equal(caml_extents_mapped(&extents), 0);
  /* munmap refuses an address in the middle of a page */
  assert_true(hooks->dalloc(hooks, p + 1, 2 * MIB, true, 0));
  assert_count(&extents.dalloc, 1, 2 * MIB, 1);
}

static void destroy_unmaps(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  drop(p, 2 * MIB);
  assert_count(&extents.destroy, 1, 2 * MIB, 0);
  hooks->destroy(hooks, p + 1, 2 * MIB, true, 0);
  assert_count(&extents.destroy, 1, 2 * MIB, 1);
}

static void commit(char* p, size_t size, size_t offset, size_t length) {
  assert_false(hooks->commit(hooks, p, size, offset, length, 0));
}

static void decommit_zeroes_and_lowers_rss(void** state) {
  size_t size = 64 * MIB, before, after;
  char* p = get(size);
  (void)state;
  commit(p, size, 0, size);
  assert_count(&extents.commit, 1, size, 0);
  memset(p, 1, size);
  before = smaps_rss();
  /* all but the first and the last page */
  assert_false(hooks->decommit(hooks, p, size, PAGE, size - 2 * PAGE, 0));
  after = smaps_rss();
  assert_true(before - after > size - MIB);
  assert_int_equal(p[PAGE - 1], 1);
  assert_int_equal(p[size - PAGE], 1);
  assert_true(is_zero(p + PAGE, size - 2 * PAGE));
  assert_count(&extents.decommit, 1, size - 2 * PAGE, 0);
  drop(p, size);
}

/* Some that are locked, if they may be */
static char* get_locked(size_t size) {
  char* p = get(size);
  if (mlock(p, size) != 0) {
    print_message("# 64 KiB cannot be locked: see ulimit -l\n");
    skip();
  }
  commit(p, size, 0, size);
  memset(p, 1, size);
  return p;
}

static void pages_that_are_locked_go(void** state) {
  size_t size = 16 * PAGE;
  char *p = get_locked(size), *q = get(size);
  (void)state;
  if (!kernel_takes_locked()) {
    print_message("# no MADV_DONTNEED_LOCKED before Linux 5.18\n");
    skip();
  }
  for (int i = 0; i < 3; i++) {
    if (i > 0) commit(p, size, 0, size);
    memset(p, 1, size);
    assert_false(hooks->decommit(hooks, p, size, 0, size, 0));
    assert_true(is_zero(p, size));
  }
  assert_count(&extents.decommit, 3, 3 * size, 0);
  /* and others by the same call */
  commit(q, size, 0, size);
  memset(q, 1, size);
  assert_false(hooks->decommit(hooks, q, size, 0, size, 0));
  assert_true(is_zero(q, size));
  drop(p, size);
  drop(q, size);
}

/* What it lacks is asked for once, and not what is locked. */
static void an_older_kernel_keeps_pages_that_are_locked(void** state) {
  size_t size = 16 * PAGE;
  char *p = get_locked(size), *q = get(size);
  (void)state;
  not_under_a_sanitizer();
  before_5_18 = true;
  asked_for_locked = 0;
  commit(q, size, 0, size);
  memset(q, 1, size);
  for (int i = 0; i < 3; i++)
    assert_true(hooks->decommit(hooks, p, size, 0, size, 0));
  assert_int_equal(asked_for_locked, 1);
  assert_false(hooks->decommit(hooks, q, size, 0, size, 0));
  assert_true(is_zero(q, size));
  assert_int_equal(munlock(p, size), 0);
  assert_false(hooks->decommit(hooks, p, size, 0, size, 0));
  assert_true(is_zero(p, size));
  before_5_18 = false;
  drop(p, size);
  drop(q, size);
}

static void purge_lazy_marks_pages_free(void** state) {
  size_t size = 64 * MIB, lazy;
  char* p = get(size);
  (void)state;
  memset(p, 1, size);
  assert_false(hooks->purge_lazy(hooks, p, size, PAGE, size - PAGE, 0));
  lazy = smaps_field(p, "LazyFree:");
  /* the kernel counts a batch of pages late */
  assert_in_range(lazy, size - MIB, size - PAGE);
  assert_count(&extents.purge_lazy, 1, size - PAGE, 0);
  assert_int_equal(p[0], 1);
  drop(p, size);
}

static void purges_fail_where_nothing_is_mapped(void** state) {
  char* p = get(2 * MIB);
  (void)state;
  commit(p, 2 * MIB, 0, 2 * MIB);
  drop(p, 2 * MIB);
  assert_true(hooks->purge_lazy(hooks, p, 2 * MIB, 0, 2 * MIB, 0));
  assert_true(hooks->decommit(hooks, p, 2 * MIB, 0, 2 * MIB, 0));
  assert_count(&extents.purge_lazy, 0, 0, 1);
  assert_count(&extents.decommit, 0, 0, 1);
}

static void split_and_merge_are_allowed(void** state) {
  char* p = get(4 * MIB);
  (void)state;
  assert_false(hooks->split(hooks, p, 4 * MIB, MIB, 3 * MIB, true, 0));
  assert_false(hooks->merge(hooks, p, MIB, p + MIB, 3 * MIB, true, 0));
  assert_count(&extents.split, 1, 0, 0);
  assert_count(&extents.merge, 1, 0, 0);
  drop(p, 4 * MIB);
}

/* A purge that runs over the border of two mappings. */
static void merged_mappings_purge_as_one(void** state) {
  char* p = get(4 * MIB);
  (void)state;
  assert_int_equal(mprotect(p, 2 * MIB, PROT_READ), 0);
  assert_int_equal(mprotect(p, 2 * MIB, PROT_READ | PROT_WRITE), 0);
  memset(p, 1, 4 * MIB);
  commit(p, 4 * MIB, 0, 4 * MIB);
  assert_false(hooks->decommit(hooks, p, 4 * MIB, 0, 4 * MIB, 0));
  assert_true(is_zero(p, 4 * MIB));
  drop(p, 4 * MIB);
}

/* What jemalloc asks for when it could not have more. */
static char* get_small(size_t size) {
  bool zero = false, commit = true;
  char* p = hooks->alloc(hooks, NULL, size, PAGE, &zero, &commit, 0);
  assert_non_null(p);
  assert_true(zero);
  assert_true(commit);
  assert_true(is_zero(p, size));
  return p;
}

static void small_extents_share_a_mapping(void** state) {
  char* p[64];
  (void)state;
  for (size_t i = 0; i < 64; i++) {
    p[i] = get_small(64 * KIB);
    if (i > 0 && i != 32) assert_ptr_equal(p[i], p[i - 1] - 64 * KIB);
  }
  assert_count(&extents.alloc, 2, 4 * MIB, 0);
  hooks->destroy(hooks, p[31], 32 * 64 * KIB, true, 0);
  caml_extents_end(&extents);
  hooks->destroy(hooks, p[63], 32 * 64 * KIB, true, 0);
  assert_int_equal(caml_extents_mapped(&extents), 0);
}

/* Of a mapping of 2 MiB */
static void what_is_left_is_for_smaller_ones(void** state) {
  char *most, *other, *rest;
  (void)state;
  for (int i = 0; i < 4; i++) most = get_small(448 * KIB);
  other = get_small(512 * KIB);
  rest = get_small(256 * KIB);
  assert_ptr_equal(rest, most - 256 * KIB);
  assert_count(&extents.alloc, 2, 4 * MIB, 0);
  hooks->destroy(hooks, rest, 2 * MIB, true, 0);
  hooks->destroy(hooks, other, 512 * KIB, true, 0);
  caml_extents_end(&extents);
  assert_int_equal(caml_extents_mapped(&extents), 0);
}

static void jemalloc_has_all_leaves(void) {
  memset(extents.leaves, 0xff, sizeof(extents.leaves));
}

/* Room for 4 MiB, but not for what jemalloc may need to note them down */
static void alloc_leaves_room_for_a_leaf(void** state) {
  size_t size = 4 * MIB;
  rlim_t old;
  char* p;
  (void)state;
  not_under_a_sanitizer();
  old = set_limit(RLIMIT_AS, smaps_size() + 2 * size);
  p = get_aligned(size, PAGE);
  set_limit(RLIMIT_AS, smaps_size() + 2 * size + 12 * MIB);
  assert_null(p);
  assert_int_equal(caml_extents_mapped(&extents), 0);
  assert_int_equal(noted(NULL, SIZE_MAX), 0);
  p = get(size);
  set_limit(RLIMIT_AS, old);
  drop(p, size);
}

static void a_leaf_is_there_for_good(void** state) {
  size_t size = 4 * MIB;
  rlim_t old;
  char* p;
  (void)state;
  not_under_a_sanitizer();
  jemalloc_has_all_leaves();
  old = set_limit(RLIMIT_AS, smaps_size() + 2 * size);
  p = get_aligned(size, PAGE);
  set_limit(RLIMIT_AS, old);
  assert_non_null(p);
  drop(p, size);
}

/* Room for 2 MiB, but not for twice as much to align them */
static void alloc_at_the_end_of_the_address_space(void** state) {
  struct rlimit old, low;
  size_t size = 64 * MIB;
  char *p, *q;
  (void)state;
  not_under_a_sanitizer();
  jemalloc_has_all_leaves();
  assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
  low = old;
  low.rlim_cur = smaps_size() + 2 * size + MIB;
  assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
  p = get_aligned(size, PAGE);
  q = get_aligned(size, PAGE);
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  assert_non_null(p);
  assert_non_null(q);
  drop(p, size);
  drop(q, size);
}

static void a_block_goes_with_its_mapping(void** state) {
  size_t size = CAML_MAPPED_BLOCK + 1;
  char *p = caml_extents_map_block(&extents, size), *q;
  (void)state;
  assert_non_null(p);
  assert_int_equal((uintptr_t)p % CAML_EXTENT_ALIGNMENT, 0);
  p[0] = p[size - 1] = 1;
  assert_int_equal(extents.in_blocks, CAML_MAPPED_BLOCK + extents.page);
  assert_int_equal(caml_extents_mapped(&extents),
                   CAML_MAPPED_BLOCK + extents.page);
  assert_false(caml_extents_unmap_block(&extents, p + KERNEL_PAGE));
  assert_true(caml_extents_unmap_block(&extents, p));
  assert_false(smaps_is_mapped(p));
  assert_false(caml_extents_unmap_block(&extents, p));
  assert_int_equal(extents.in_blocks, 0);
  assert_int_equal(caml_extents_mapped(&extents), 0);
  /* what is left at the end */
  p = caml_extents_map_block(&extents, size);
  q = caml_extents_map_block(&extents, 2 * size);
  caml_extents_end(&extents);
  assert_false(smaps_is_mapped(p));
  assert_false(smaps_is_mapped(q));
  assert_int_equal(caml_extents_mapped(&extents), 0);
}

/* A block may begin anywhere in its first page of these: see
   caml_arena_get_cached. */
static void a_block_has_whole_pages(void** state) {
  char* p;
  (void)state;
  extents.page = 16 * KERNEL_PAGE;
  p = caml_extents_map_block(&extents, CAML_MAPPED_BLOCK + 1);
  assert_int_equal(extents.in_blocks, CAML_MAPPED_BLOCK + extents.page);
  p[CAML_MAPPED_BLOCK + extents.page - 1] = 1;
  assert_true(caml_extents_unmap_block(&extents, p));
}

static void blocks_are_not_without_number(void** state) {
  (void)state;
  for (int i = 0; i < CAML_MAPPED_BLOCKS; i++)
    assert_non_null(caml_extents_map_block(&extents, CAML_MAPPED_BLOCK));
  assert_null(caml_extents_map_block(&extents, CAML_MAPPED_BLOCK));
  assert_null(caml_extents_map_block(&extents, SIZE_MAX));
  caml_extents_end(&extents);
  assert_int_equal(caml_extents_mapped(&extents), 0);
}

/* As when vm.max_map_count is reached: the next block has it. */
static void a_block_that_stays_mapped_is_used_again(void** state) {
  char *p = caml_extents_map_block(&extents, 2 * CAML_MAPPED_BLOCK), *q;
  (void)state;
  p[0] = 1;
  extents.mappings[0].size += 1; /* munmap takes no more than it can */
  extents.mappings[0].start += 1;
  extents.in_blocks += 1;
  assert_true(caml_extents_unmap_block(&extents, p + 1));
  extents.mappings[0].size -= 1;
  extents.mappings[0].start -= 1;
  assert_true(smaps_is_mapped(p));
  assert_int_equal(extents.dalloc.failures, 1);
  assert_int_equal(extents.in_blocks, 0);
  q = caml_extents_map_block(&extents, CAML_MAPPED_BLOCK);
  assert_ptr_equal(p, q);
  assert_true(caml_extents_unmap_block(&extents, q));
  assert_int_equal(extents.in_blocks, 0);
  assert_int_equal(caml_extents_mapped(&extents), 0);
  caml_extents_end(&extents);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
  const struct CMUnitTest name = kernel_has_names()
    ? (struct CMUnitTest)T(mappings_have_a_name)
    : (struct CMUnitTest)T(a_kernel_without_names_does_no_harm);
  const struct CMUnitTest tests[] = {
    T(alloc_is_aligned_and_zero),
    T(alloc_honours_a_larger_alignment),
    T(alloc_cuts_its_ends_off),
    T(alloc_at_an_address_is_refused),
    T(alloc_fails_without_address_space),
    name,
    T(dalloc_opts_out),
    T(dalloc_unmaps_under_ulimit_v),
    T(dalloc_unmaps_under_ulimit_d),
    T(dalloc_unmaps_whole_huge_pages_only),
    T(dalloc_leaves_few_mappings),
    T(dalloc_unmaps_when_closing),
    T(destroy_unmaps),
    T(decommit_zeroes_and_lowers_rss),
    T(pages_that_are_locked_go),
    T(an_older_kernel_keeps_pages_that_are_locked),
    T(purge_lazy_marks_pages_free),
    T(purges_fail_where_nothing_is_mapped),
    T(split_and_merge_are_allowed),
    T(merged_mappings_purge_as_one),
    T(small_extents_share_a_mapping),
    T(what_is_left_is_for_smaller_ones),
    T(alloc_leaves_room_for_a_leaf),
    T(a_leaf_is_there_for_good),
    T(alloc_at_the_end_of_the_address_space),
    T(a_block_goes_with_its_mapping),
    T(a_block_has_whole_pages),
    T(blocks_are_not_without_number),
    T(a_block_that_stays_mapped_is_used_again),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
