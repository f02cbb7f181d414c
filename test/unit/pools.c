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

/* Slabs of pools, on an arena: which pool is handed out, and what a free one's
   pages come to. */

#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fixture.h"
#include "jemalloc_advice.h"
#include "limits.h"
#include "smaps.h"

/* Bytes: a pool, or those that share a page of the kernel's */
#define UNIT (arena.pools.per_page * POOL)

/* Units of a slab */
#define N (CAML_SLAB_SIZE / UNIT)

static char* get_from(unsigned shard) {
  char* p = caml_arena_get_pool(&arena, shard);
  assert_non_null(p);
  for (unsigned i = 1; i < arena.pools.per_page; i++)
    assert_ptr_equal(caml_arena_get_pool(&arena, shard), p + i * POOL);
  return p;
}

static char* get(void) {
  char* p = get_from(0);
  memset(p, 1, UNIT);
  return p;
}

static void put(char* p) {
  for (unsigned i = 0; i < arena.pools.per_page; i++)
    caml_arena_put_pool(&arena, p + i * POOL);
}

static void assert_free(size_t dirty, size_t muzzy, size_t retained) {
  struct caml_free_pages some = caml_pools_free(&arena.pools);
  assert_int_equal(some.dirty, dirty * UNIT);
  assert_int_equal(some.muzzy, muzzy * UNIT);
  assert_int_equal(some.retained, retained * UNIT);
}

static void a_slab_is_one_extent(void** state) {
  char* p[N];
  (void)state;
  for (size_t i = 0; i < N; i++) {
    p[i] = get();
    assert_ptr_equal(p[i], p[0] + i * UNIT);
    assert_free(0, 0, N - 1 - i);
  }
  assert_int_equal((uintptr_t)p[0] % CAML_SLAB_SIZE, 0);
  assert_int_equal(je_sallocx(p[0], 0), CAML_SLAB_SIZE);
  for (size_t i = 0; i < N; i++) put(p[i]);
}

/* Dirty before muzzy before what has no pages */
static void a_free_pool_with_pages_is_first(void** state) {
  char* p[N - 1];
  (void)state;
  for (size_t i = 0; i < N - 1; i++) p[i] = get();
  put(p[3]);
  caml_pools_set_dirty_decay(&arena.pools, 0);
  caml_pools_set_dirty_decay(&arena.pools, 1000);
  put(p[6]);
  assert_free(1, 1, 1);
  assert_ptr_equal(get(), p[6]);
  assert_free(0, 1, 1);
  assert_ptr_equal(get(), p[3]);
  assert_free(0, 0, 1);
}

static void an_empty_slab_goes_back(void** state) {
  char* p[3 * N];
  (void)state;
  for (size_t i = 0; i < 3 * N; i++) p[i] = get();
  for (size_t i = 0; i < N; i++) put(p[i]);
  assert_free(N, 0, 0); /* the only one */
  for (size_t i = N; i < 2 * N; i++) put(p[i]);
  assert_free(N, 0, 0);
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, 0);
  assert_ptr_equal(get(), p[0]);
  /* and serves a large block */
  assert_ptr_equal(caml_arena_get(&arena, CAML_SLAB_SIZE), p[N]);
}

static void purge_takes_the_holes(void** state) {
  enum { SLABS = 64 };
  static char* p[SLABS * CAML_SLAB_POOLS];
  size_t before;
  (void)state;
  for (size_t i = 0; i < SLABS * N; i++) p[i] = get();
  for (size_t i = 0; i < SLABS * N; i++)
    if (i % N != 3) put(p[i]);
  before = smaps_rss();
  assert_true(caml_arena_purge(&arena));
  assert_in_range(before - smaps_rss(), SLABS * (N - 1) * UNIT - MIB,
                  SLABS * (N - 1) * UNIT + MIB);
  assert_free(0, 0, SLABS * (N - 1));
  /* two holes in each slab */
  assert_int_equal(arena.extents.decommit.calls, 2 * SLABS);
  for (size_t i = 0; i < SLABS; i++) assert_int_equal(p[i * N + 3][100], 1);
}

/* Before Linux 5.18 it takes no page that is locked. */
static void what_the_kernel_keeps_is_dirty(void** state) {
  char *p = get(), *q = get();
  (void)state;
  not_under_a_sanitizer();
  if (mlock(q, UNIT) != 0) {
    print_message("# 32 KiB cannot be locked: see ulimit -l\n");
    skip();
  }
  put(q);
  before_5_18 = true;
  assert_true(caml_arena_set_dirty_decay(&arena, 0)); /* lazily, if it could */
  assert_free(1, 0, N - 2);
  assert_true(caml_arena_purge(&arena));
  assert_free(1, 0, N - 2);
  before_5_18 = false;
  assert_int_equal(munlock(q, UNIT), 0);
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, N - 1);
  /* what was refused was MADV_FREE: as often as it takes to be asked again */
  while (caml_advice_is_refused(CAML_ADVICE_FREE))
    caml_advise(q, UNIT, CAML_ADVICE_FREE);
  put(p);
}

static void decay_has_its_times(void** state) {
  char* p[2];
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, 200));
  assert_true(caml_arena_set_muzzy_decay(&arena, 200));
  p[0] = get();
  p[1] = get();
  put(p[1]);
  assert_true(caml_arena_decay(&arena));
  assert_free(1, 0, N - 2);
  assert_true(caml_arena_decays(&arena));
  usleep(110000);
  caml_arena_decay(&arena);
  usleep(110000);
  caml_arena_decay(&arena);
  assert_free(0, 1, N - 2);
  usleep(110000);
  caml_arena_decay(&arena);
  usleep(110000);
  caml_arena_decay(&arena);
  usleep(110000);
  caml_arena_decay(&arena);
  assert_free(0, 0, N - 1);
  assert_false(caml_pools_decays(&arena.pools));
  put(p[0]);
}

static void put_one(void) {
  put(get());
}

static void puts_leave_decay_to_the_thread(void** state) {
  (void)state;
  caml_pools_set_dirty_decay(&arena.pools, LATE_TIME);
  caml_pools_set_muzzy_decay(&arena.pools, 0);
  assert_puts_look_late(&arena.pools.shards[0].dirty_since, put_one);
}

static void* lock_all(void* unused) {
  caml_pools_lock(&arena.pools);
  caml_pools_unlock(&arena.pools);
  return unused;
}

static void who_takes_all_shards_is_seen_to_wait(void** state) {
  (void)state;
  assert_seen_to_wait(&arena.pools.shards[5].lock, lock_all);
}

/* What is due while decay is held is due when it no longer is. */
static void decay_can_be_held(void** state) {
  char* p[2];
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, 200));
  p[0] = get();
  p[1] = get();
  put(p[1]);
  caml_arena_hold_decay(&arena);
  usleep(210000);
  caml_arena_decay(&arena);
  caml_arena_release_decay(&arena);
  caml_arena_decay(&arena);
  assert_free(1, 0, N - 2);
  usleep(110000);
  caml_arena_decay(&arena);
  assert_free(0, 1, N - 2);
  put(p[0]);
}

static void decay_may_be_never_or_at_once(void** state) {
  char *p, *q;
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, -1));
  p = get();
  q = get();
  put(q);
  caml_arena_decay(&arena);
  assert_false(caml_pools_decays(&arena.pools));
  assert_free(1, 0, N - 2);
  assert_true(caml_arena_set_muzzy_decay(&arena, 0));
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
  assert_free(0, 0, N - 1);
  q = get();
  put(q);
  assert_free(0, 0, N - 1);
  put(p);
}

/* Where a large block was, and its pages are still there */
static void a_slab_of_dirty_pages_is_dirty(void** state) {
  char* first = get();
  void* block = caml_arena_get(&arena, CAML_SLAB_SIZE);
  char* p[N];
  (void)state;
  assert_non_null(block);
  memset(block, 1, CAML_SLAB_SIZE);
  caml_arena_put(&arena, block, CAML_SLAB_SIZE);
  for (size_t i = 0; i < N; i++) p[i] = get(); /* the last of the next slab */
  assert_ptr_equal(p[N - 1], block);
  assert_free(N - 1, 0, 0);
  for (size_t i = 0; i < N; i++) put(p[i]);
  put(first);
}

/* A slab for each; more of another's free pools before more memory */
static void shards_share(void** state) {
  char *p[2 * N], *q, *r;
  (void)state;
  for (size_t i = 0; i < 2 * N; i++) p[i] = get();
  put(p[0]);
  q = get_from(3);
  assert_ptr_equal(q, p[0] + 2 * CAML_SLAB_SIZE);
  for (size_t i = 1; i < N; i++) get_from(3);
  put(p[N]);
  r = get_from(3);
  assert_ptr_equal(r, p[0]);
  assert_ptr_equal(get(), p[N]);
}

/* From where on a heap is large */
static void grow_large(void) {
  need_populate();
  for (size_t i = 0; i < 64 * N; i++) get();
}

/* A pool that has lost its pages has them at once, the others do not. */
static void a_large_heap_gets_the_pages_of_a_pool(void** state) {
  char* p[N];
  (void)state;
  grow_large();
  for (size_t i = 0; i < N; i++) p[i] = get();
  for (size_t i = 1; i < N; i++) put(p[i]);
  assert_true(caml_arena_purge(&arena));
  assert_int_equal(smaps_resident(p[0], CAML_SLAB_SIZE), UNIT);
  assert_ptr_equal(get_from(0), p[1]);
  assert_int_equal(smaps_resident(p[0], CAML_SLAB_SIZE), 2 * UNIT);
  assert_int_equal(p[0][UNIT - 1], 1);
}

/* Pools in use and free ones with pages, of a slab of whose pools the last two
   are put after the others were purged, and that jemalloc then purges */
static void committed_is_what_has_pages(void** state) {
  char* p[2 * N];
  size_t before, full = CAML_SLAB_SIZE;
  (void)state;
  p[0] = get();
  assert_int_equal(caml_extents_committed(&arena.extents), UNIT);
  put(p[0]);
  assert_true(caml_arena_purge(&arena));
  assert_int_equal(caml_extents_committed(&arena.extents), 0);
  grow_large();
  before = caml_extents_committed(&arena.extents);
  for (int i = 0; i < 3; i++) {
    for (size_t j = 0; j < 2 * N; j++) p[j] = get();
    assert_int_equal(caml_extents_committed(&arena.extents), before + 2 * full);
    for (size_t j = 2; j < 2 * N; j++) put(p[j]);
    assert_true(caml_arena_purge(&arena));
    assert_int_equal(caml_extents_committed(&arena.extents), before + 2 * UNIT);
    put(p[0]);
    put(p[1]);
    assert_true(caml_arena_purge(&arena));
    assert_int_equal(caml_extents_committed(&arena.extents), before);
  }
}

/* jemalloc takes the slab for dirty as a whole. */
static void a_large_heap_gets_the_pages_that_a_slab_lacks(void** state) {
  char* p[2 * N];
  size_t taken;
  (void)state;
  grow_large();
  for (size_t i = 0; i < 2 * N; i++) p[i] = get();
  put(p[N]); /* the slab to take from, so that the other goes back */
  for (size_t i = 1; i < N; i++) put(p[i]);
  assert_true(caml_arena_purge(&arena));
  put(p[0]);
  assert_free(0, 0, 1);
  assert_int_equal(smaps_resident(p[0], CAML_SLAB_SIZE), UNIT);
  assert_ptr_equal(get_from(0), p[N]);
  taken = arena.extents.commit.bytes;
  assert_ptr_equal(get_from(0), p[0]);
  assert_free(N - 1, 0, 0);
  assert_int_equal(smaps_resident(p[0], CAML_SLAB_SIZE), CAML_SLAB_SIZE);
  assert_int_equal(arena.extents.commit.bytes - taken, (N - 1) * UNIT);
}

static void a_small_heap_gets_pages_as_they_are_touched(void** state) {
  (void)state;
  assert_int_equal(smaps_resident(get_from(0), CAML_SLAB_SIZE), 0);
}

/* From where on a heap is growing */
static void grow(void) {
  for (size_t i = 0; i < 128 * N; i++) get();
  assert_free(0, 0, 0);
}

/* Two slabs at once, with their pages; which another shard leaves alone. */
static void a_growing_heap_has_slabs_ahead(void** state) {
  char *p, *q;
  size_t before;
  (void)state;
  need_populate();
  grow();
  before = smaps_rss();
  p = get();
  assert_free(2 * N - 1, 0, 0);
  assert_in_range(smaps_rss() - before, 2 * CAML_SLAB_SIZE - MIB / 2,
                  2 * CAML_SLAB_SIZE + MIB / 2);
  q = get_from(1);
  assert_true(q < p || q >= p + 2 * CAML_SLAB_SIZE);
  for (size_t i = 1; i < 2 * N; i++) assert_ptr_equal(get(), p + i * UNIT);
  assert_free(0, 0, N - 1);
}

/* Takes what is free; how many pools that were. */
static size_t take_free(void) {
  struct caml_free_pages some = caml_pools_free(&arena.pools);
  size_t n = (some.dirty + some.retained) / UNIT;
  for (size_t i = 0; i < n; i++) get();
  return n;
}

/* One for each 64 that it took, up to eight; fewer where jemalloc's mapping
   ends */
static void more_slabs_the_larger_it_is(void** state) {
  size_t slabs = 0, at_once = 0;
  (void)state;
  need_populate();
  while (slabs < 64 * 8) {
    get();
    at_once = (take_free() + 1) / N;
    assert_in_range(at_once, 1, slabs < 64 ? 1 : slabs / 64);
    slabs += at_once;
  }
  get();
  assert_in_range(take_free() + 1, 7 * N, 8 * N);
}

static void a_child_takes_pages_as_a_small_heap_does(void** state) {
  int status;
  pid_t pid;
  (void)state;
  need_populate();
  grow();
  caml_arena_prefork(&arena);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    caml_arena_postfork_child(&arena);
    _exit(smaps_resident(get_from(0), CAML_SLAB_SIZE) == 0
          && take_free() == N - 1 ? 0 : 1);
  }
  caml_arena_postfork_parent(&arena);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  get();
  assert_free(2 * N - 1, 0, 0);
}

/* They are free pages like others. */
static void slabs_ahead_are_purged(void** state) {
  size_t before;
  (void)state;
  need_populate();
  grow();
  get();
  before = smaps_rss();
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, N - 1);
  assert_in_range(before - smaps_rss(), CAML_SLAB_SIZE, 2 * CAML_SLAB_SIZE);
}

/* What has lost pages has no huge ones until it has them all again, and then
   but for what would be too many borders. */
static void slabs_ahead_are_huge_again(void** state) {
  static char* p[CAML_HUGE_PAGE_SIZE / POOL * 64];
  size_t huge_page = CAML_HUGE_PAGE_SIZE / UNIT, n = 64 * huge_page, plain;
  (void)state;
  assert_int_equal(teardown(state), 0);
  assert_null(caml_arena_create(&arena, CAML_THP_ALWAYS));
  grow();
  for (size_t i = 0; i < n; i++) p[i] = get();
  for (size_t i = 0; i < n; i++) if (i % huge_page != 0) put(p[i]);
  assert_true(caml_arena_purge(&arena));
  for (size_t i = 0; i < n; i++) if (i % huge_page == 0) put(p[i]);
  assert_true(caml_arena_purge(&arena));
  for (size_t i = 0; i < n; i++) p[i] = get();
  plain = 0;
  for (size_t i = 0; i < n; i++) plain += smaps_has_flag(p[i], "nh");
  assert_in_range(plain, 0, n / 3);
}

static void no_slabs_ahead_that_decay_at_once(void** state) {
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
  grow();
  for (size_t i = 0; i <= 4 * N; i++) get();
  assert_free(0, 0, N - 1);
}

/* A pool at the end of the address space is an extent of its own. */
static void pools_without_a_slab(void** state) {
  struct rlimit old, low;
  char *kept, *p, *last = NULL;
  size_t n = 0;
  (void)state;
  not_under_a_sanitizer();
  kept = get();
  assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
  low = old;
  low.rlim_cur = smaps_size() + 8 * MIB;
  assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
  while ((p = caml_arena_get_pool(&arena, 0)) != NULL) {
    assert_int_equal((uintptr_t)p % POOL, 0);
    *(char**)p = last;
    last = p;
    n++;
  }
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  assert_true(n * POOL >= 8 * MIB);
  while ((p = last) != NULL) {
    last = *(char**)p;
    caml_arena_put_pool(&arena, p);
  }
  put(kept);
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, 0);
}

/* It goes when all of its pools are free, and comes with the first. */
static void a_page_is_of_all_its_pools(void** state) {
  char *first, *p;
  size_t committed;
  (void)state;
  if (arena.pools.per_page == 1) arena.pools.per_page = 2; /* as if */
  first = get();
  p = get();
  caml_arena_put_pool(&arena, p);
  assert_free(0, 0, N - 2);
  assert_false(caml_pools_decays(&arena.pools));
  assert_true(caml_arena_purge(&arena));
  assert_int_equal(p[UNIT - 1], 1);
  assert_ptr_equal(caml_arena_get_pool(&arena, 0), p);
  put(p);
  assert_free(1, 0, N - 2);
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, N - 1);
  committed = arena.extents.commit.bytes;
  for (unsigned i = 0; i < arena.pools.per_page; i++)
    assert_ptr_equal(caml_arena_get_pool(&arena, 0), p + i * POOL);
  assert_int_equal(arena.extents.commit.bytes - committed, UNIT);
  assert_free(0, 0, N - 2);
  assert_true(caml_arena_set_muzzy_decay(&arena, 0));
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
  put(p);
  assert_free(0, 0, N - 1);
  put(first);
}

#define MEDIUM CAML_MEDIUM_POOL_SIZE

static char* get_medium(void) {
  char* p = caml_arena_get_medium_pool(&arena, 0);
  assert_non_null(p);
  assert_int_equal((uintptr_t)p % MEDIUM, 0);
  memset(p, 1, MEDIUM);
  return p;
}

/* They have slabs of their own, which are to jemalloc what others are. */
static void a_slab_has_pools_of_one_kind(void** state) {
  enum { N_MEDIUM = CAML_SLAB_SIZE / MEDIUM };
  char *p[N_MEDIUM], *small = get();
  (void)state;
  for (int i = 0; i < N_MEDIUM; i++) {
    p[i] = get_medium();
    assert_ptr_equal(p[i], p[0] + i * MEDIUM);
  }
  assert_int_equal(je_sallocx(p[0], 0), CAML_SLAB_SIZE);
  assert_true(small < p[0] || small >= p[0] + CAML_SLAB_SIZE);
  caml_arena_put_pool(&arena, p[2]);
  assert_free(MEDIUM / UNIT, 0, N - 1);
  assert_ptr_equal(get(), small + UNIT);
  assert_ptr_equal(get_medium(), p[2]);
  /* an empty one of each kind is kept for the next */
  for (int i = 0; i < N_MEDIUM; i++) caml_arena_put_pool(&arena, p[i]);
  put(small);
  put(small + UNIT);
  assert_free(N + 2, 0, N - 2);
  assert_ptr_equal(get_medium(), p[0]);
  assert_ptr_equal(get(), small);
}

static void a_free_medium_pool_decays_whole(void** state) {
  char *p = get_medium(), *q = get_medium();
  size_t before, size = MEDIUM;
  (void)state;
  not_under_a_sanitizer();
  caml_arena_put_pool(&arena, q);
  before = smaps_rss();
  assert_true(caml_arena_purge(&arena));
  assert_in_range(before - smaps_rss(), size, size + MIB);
  assert_free(0, 0, N - MEDIUM / UNIT);
  assert_ptr_equal(get_medium(), q);
  assert_int_equal(p[MEDIUM - 1], 1);
  caml_arena_put_pool(&arena, p);
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
  caml_arena_put_pool(&arena, q);
  assert_free(0, size / UNIT, N - size / UNIT);
}

static void* use(void* shard) {
  char* p[100];
  for (int round = 0; round < 200; round++) {
    for (size_t i = 0; i < 100; i++) {
      p[i] = i % 10 == 0
        ? caml_arena_get_medium_pool(&arena, (unsigned)(uintptr_t)shard)
        : caml_arena_get_pool(&arena, (unsigned)(uintptr_t)shard);
      if (p[i] == NULL) return "no memory";
      memset(p[i], (int)i, 100);
    }
    for (size_t i = 0; i < 100; i++) {
      if (p[i][99] != (char)i) return "overwritten";
      caml_arena_put_pool(&arena, p[i]);
    }
    if (round % 20 == 0) caml_arena_purge(&arena);
    if (round % 20 == 10) caml_arena_decay(&arena);
  }
  return NULL;
}

static bool child_uses_pools(void) {
  return use(NULL) == NULL;
}

static void threads_and_forks(void** state) {
  pthread_t threads[4];
  void* failed;
  (void)state;
  for (uintptr_t i = 0; i < 4; i++)
    assert_int_equal(
      pthread_create(&threads[i], NULL, use, (void*)(i / 2)), 0);
  fork_often(20, child_uses_pools);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    T(a_slab_is_one_extent),
    T(a_free_pool_with_pages_is_first),
    T(an_empty_slab_goes_back),
    T(purge_takes_the_holes),
    T(what_the_kernel_keeps_is_dirty),
    T(decay_has_its_times),
    T(puts_leave_decay_to_the_thread),
    T(who_takes_all_shards_is_seen_to_wait),
    T(decay_can_be_held),
    T(decay_may_be_never_or_at_once),
    T(a_slab_of_dirty_pages_is_dirty),
    T(shards_share),
    T(a_large_heap_gets_the_pages_of_a_pool),
    T(committed_is_what_has_pages),
    T(a_large_heap_gets_the_pages_that_a_slab_lacks),
    T(a_small_heap_gets_pages_as_they_are_touched),
    T(a_growing_heap_has_slabs_ahead),
    T(more_slabs_the_larger_it_is),
    T(a_child_takes_pages_as_a_small_heap_does),
    T(slabs_ahead_are_purged),
    T(slabs_ahead_are_huge_again),
    T(no_slabs_ahead_that_decay_at_once),
    T(pools_without_a_slab),
    T(a_page_is_of_all_its_pools),
    T(a_slab_has_pools_of_one_kind),
    T(a_free_medium_pool_decays_whole),
    T(threads_and_forks),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("pools", tests, NULL, NULL);
}
