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

/* Limits of cgroups, read from a tree of files that the test makes. */

#define _GNU_SOURCE /* nftw, mkdtemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "jemalloc_container.h"
#include "tree.h"

#define NONE CAML_NO_LIMIT

static struct caml_container container;

static void find(void) {
  caml_container_find(root, &container);
  assert_true(container.levels <= CAML_CONTAINER_LEVELS);
}

static struct caml_container_limit tightest(void) {
  struct caml_container_limit limit = { .most = NONE, .used = 0 };
  caml_container_tightest(&container, &limit);
  return limit;
}

/* The mounts of a system with both versions */
#define MOUNTS                                                                \
  "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"                                     \
  "31 22 0:28 / /cg rw,relatime shared:9 - tmpfs tmpfs rw,mode=755\n"         \
  "35 31 0:32 / /cg/memory rw,relatime - cgroup cgroup rw,memory\n"           \
  "36 31 0:33 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"         \
  "41 31 0:38 / /cg/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n"

static void no_files_are_no_limit(void** state) {
  (void)state;
  find();
  assert_int_equal(container.levels, 0);
  assert_int_equal(tightest().most, NONE);
}

static void version_2(void** state) {
  (void)state;
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", "0::/a.slice/b.scope\n");
  file("cg/unified/a.slice/memory.max", "max\n");
  file("cg/unified/a.slice/b.scope/memory.max", "1000000\n");
  file("cg/unified/a.slice/b.scope/memory.high", "800000\n");
  file("cg/unified/a.slice/b.scope/memory.current", "600000\n");
  file("cg/unified/a.slice/b.scope/memory.stat",
       "anon 500000\nfile 90000\ninactive_file 60000\nactive_file 30000\n");
  find();
  assert_int_equal(container.levels, 3);
  assert_int_equal(tightest().most, 800000);
  assert_int_equal(tightest().kills_at, 1000000);
  assert_int_equal(tightest().used, 510000);
  file("cg/unified/a.slice/b.scope/memory.high", "max\n");
  assert_int_equal(tightest().most, 1000000);
}

static void version_1(void** state) {
  (void)state;
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/a/b\n0::/\n");
  file("cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("cg/memory/a/memory.limit_in_bytes", "2000000\n");
  file("cg/memory/a/memory.usage_in_bytes", "900000\n");
  file("cg/memory/a/memory.stat",
       "inactive_file 5\nactive_file 5\ntotal_inactive_file 100000\n"
       "total_active_file 200000\n");
  file("cg/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  find();
  assert_int_equal(tightest().most, 2000000);
  assert_int_equal(tightest().used, 600000);
}

/* The tightest is what is fullest, not what is least. */
static void of_several_the_fullest_counts(void** state) {
  (void)state;
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", "0::/a/b\n");
  file("cg/unified/a/memory.max", "2000000\n");
  file("cg/unified/a/memory.current", "1900000\n");
  file("cg/unified/a/b/memory.max", "1000000\n");
  file("cg/unified/a/b/memory.current", "100000\n");
  find();
  assert_int_equal(tightest().most, 2000000);
  file("cg/unified/a/memory.current", "100000\n");
  assert_int_equal(tightest().most, 1000000);
}

/* In a container the root of the mount is a cgroup, and the path may be below
   it, or relative to a namespace. */
static void through_namespaces(void** state) {
  (void)state;
  file("proc/self/mountinfo",
       "41 31 0:38 /docker/c1 /cg ro - cgroup2 cgroup ro\n");
  file("cg/memory.max", "5000\n");
  file("cg/x/memory.max", "4000\n");
  file("proc/self/cgroup", "0::/docker/c1\n");
  find();
  assert_int_equal(tightest().most, 5000);
  file("proc/self/cgroup", "0::/docker/c1/x\n");
  find();
  assert_int_equal(tightest().most, 4000);
  file("proc/self/cgroup", "0::/docker/c10\n");
  find();
  assert_int_equal(tightest().most, 5000);
  file("proc/self/mountinfo", "41 31 0:38 / /cg ro - cgroup2 cgroup ro\n");
  file("proc/self/cgroup", "0::/../x\n");
  find();
  assert_int_equal(tightest().most, 5000);
}

static void what_is_no_number_does_not_limit(void** state) {
  static const char* const texts[] = {
    "", "\n", "max", "-1\n", "12x\n", " 12\n", "99999999999999999999999\n",
    "\xff\xfe", "0x10\n"
  };
  (void)state;
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", "0::/\n");
  for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    file("cg/unified/memory.max", texts[i]);
    find();
    assert_int_equal(tightest().most, NONE);
  }
  file("cg/unified/memory.max", "0\n");
  assert_int_equal(tightest().most, 0);
}

static void a_deep_hierarchy_is_cut(void** state) {
  char path[300] = "0::";
  (void)state;
  for (int i = 0; i < 100; i++) strcat(path, "/a");
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", path);
  find();
  assert_int_equal(container.levels, CAML_CONTAINER_LEVELS);
}

/* May the process open files? */
static void let_open(bool may) {
  struct rlimit r;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
  r.rlim_cur = may ? r.rlim_max : 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

/* It is no other container because the process has no descriptor left. */
static void without_descriptors_it_is_what_it_was(void** state) {
  (void)state;
  file("proc/self/mountinfo", MOUNTS);
  file("proc/self/cgroup", "0::/a\n");
  file("cg/unified/a/memory.max", "1000000\n");
  file("cg/unified/a/memory.current", "600000\n");
  find();
  assert_int_equal(tightest().most, 1000000);
  let_open(false);
  find();
  assert_int_equal(container.levels, 2);
  assert_int_equal(tightest().most, 1000000);
  assert_int_equal(tightest().kills_at, 1000000);
  assert_int_equal(tightest().used, 600000);
  let_open(true);
  find();
  let_open(false);
  assert_int_equal(tightest().most, 1000000);
  let_open(true);
  assert_int_equal(unlink(in_root("cg/unified/a/memory.max")), 0);
  assert_int_equal(tightest().most, NONE);
  file("proc/self/cgroup", "0::/b\n");
  file("cg/unified/b/memory.max", "500000\n");
  find();
  let_open(false);
  assert_int_equal(tightest().most, NONE); /* nothing is known */
  let_open(true);
  assert_int_equal(tightest().most, 500000);
}

static uint32_t seed = 12345;

static uint32_t random_number(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  return seed ^= seed << 5;
}

/* [text] with some bytes changed, left out or doubled; returns its length */
static size_t spoil(const char* text, char* to) {
  size_t n = 0;
  for (const char* p = text; *p != '\0'; p++) {
    uint32_t r = random_number();
    to[n++] = *p;
    if (r % 40 == 0) to[n - 1] = (char)(r >> 8);
    else if (r % 40 == 1) n--;
    else if (r % 40 == 2) to[n++] = *p;
  }
  return n;
}

static void spoil_file(const char* name, const char* text) {
  char spoilt[2048];
  size_t length;
  assert_true(2 * strlen(text) < sizeof(spoilt));
  length = spoil(text, spoilt);
  write_file(name, spoilt, length);
}

/* Whatever is written there, nothing breaks, and what limits is a number. */
static void spoilt_files_do_not_break_it(void** state) {
  (void)state;
  for (int i = 0; i < 3000; i++) {
    struct caml_container_limit limit;
    spoil_file("proc/self/mountinfo", MOUNTS);
    spoil_file("proc/self/cgroup", "4:memory:/a/b\n0::/a/b\n");
    spoil_file("cg/memory/a/memory.limit_in_bytes", "2000000\n");
    spoil_file("cg/memory/a/memory.usage_in_bytes", "1000000\n");
    spoil_file("cg/unified/a/memory.max", "3000000\n");
    spoil_file("cg/unified/a/memory.current", "1000000\n");
    spoil_file("cg/unified/a/memory.stat", "inactive_file 1\nactive_file 2\n");
    find();
    limit = tightest();
    assert_true(limit.most == NONE || limit.most < (size_t)1 << 60);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(no_files_are_no_limit, make_tree,
                                    remove_tree),
    cmocka_unit_test_setup_teardown(version_2, make_tree, remove_tree),
    cmocka_unit_test_setup_teardown(version_1, make_tree, remove_tree),
    cmocka_unit_test_setup_teardown(of_several_the_fullest_counts, make_tree,
                                    remove_tree),
    cmocka_unit_test_setup_teardown(through_namespaces, make_tree, remove_tree),
    cmocka_unit_test_setup_teardown(what_is_no_number_does_not_limit, make_tree,
                                    remove_tree),
    cmocka_unit_test_setup_teardown(a_deep_hierarchy_is_cut, make_tree,
                                    remove_tree),
    cmocka_unit_test_setup_teardown(without_descriptors_it_is_what_it_was,
                                    make_tree, remove_tree),
    cmocka_unit_test_setup_teardown(spoilt_files_do_not_break_it, make_tree,
                                    remove_tree),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
