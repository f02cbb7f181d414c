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

/* The arena, on the jemalloc that is merged into the variant. */

#define _GNU_SOURCE /* setenv */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fixture.h"
#include "limits.h"
#include "smaps.h"

#define PAGE (arena.extents.page) /* jemalloc's */
#define KERNEL_PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* As a pool, or the least that jemalloc has an extent for, where its pages are
   larger */
#define BLOCK (POOL >= 4 * PAGE ? POOL : 4 * PAGE)
#define BLOCKS(pools) ((pools) * POOL / BLOCK)

/* A heap of [n] pools, each page of them touched. */
static char** get_pools(size_t n) {
  char** pools = malloc(n * sizeof(char*));
  assert_non_null(pools);
  for (size_t i = 0; i < n; i++) {
    pools[i] = caml_arena_get(&arena, BLOCK);
    assert_non_null(pools[i]);
    memset(pools[i], (int)i, BLOCK);
  }
  return pools;
}

static void put_pools(char** pools, size_t n) {
  for (size_t i = 0; i < n; i++) caml_arena_put(&arena, pools[i], BLOCK);
  free(pools);
}

static size_t arena_stat(const char* name) {
  char path[64];
  uint64_t epoch = 1;
  size_t value, size = sizeof(value);
  assert_int_equal(
    je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)), 0);
  snprintf(path, sizeof(path), "stats.arenas.%u.%s", arena.index, name);
  assert_int_equal(je_mallctl(path, &value, &size, NULL, 0), 0);
  return value;
}

static void pools_are_pages_and_disjoint(void** state) {
  size_t n = BLOCKS(1000);
  char** pools = get_pools(n);
  (void)state;
  for (size_t i = 0; i < n; i++) {
    assert_int_equal((uintptr_t)pools[i] % PAGE, 0);
    assert_int_equal(pools[i][0], (char)i);
    assert_int_equal(pools[i][BLOCK - 1], (char)i);
  }
  put_pools(pools, n);
}

/* No padding: a pool costs its 32 KiB and no more. */
static void a_pool_is_32_kib(void** state) {
  size_t n = BLOCKS(256);
  char** pools = get_pools(n);
  (void)state;
  assert_int_equal(arena_stat("pactive") * PAGE, n * BLOCK);
  put_pools(pools, n);
}

static void large_blocks_of_every_size(void** state) {
  (void)state;
  for (size_t size = 1048; size < 64 * MIB; size += size / 3) {
    char* p = caml_arena_get(&arena, size);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    memset(p, 1, size);
    caml_arena_put(&arena, p, size);
  }
}

/* From 129 words to 4 GiB, less than a page more than was asked for */
static void large_blocks_waste_no_page(void** state) {
  (void)state;
  for (size_t size = 1040; size <= 4096 * MIB; size += size / 5 + 8) {
    char* p = caml_arena_get(&arena, size);
    assert_non_null(p);
    if (size < CAML_MAPPED_BLOCK)
      assert_in_range(je_sallocx(p, 0), size, size + PAGE - 1);
    else
      assert_in_range(arena.extents.in_blocks, size, size + PAGE - 1);
    caml_arena_put(&arena, p, size);
  }
  assert_int_equal(arena_stat("pactive"), 0);
}

/* Blocks of one size follow each other, a page more than a size class too. */
static void large_blocks_waste_no_address_space(void** state) {
  static const size_t sizes[] = { 36 << 10, MIB + 24, 9 * MIB + 24 };
  (void)state;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    size_t n = 128 * MIB / sizes[i];
    char** blocks = malloc(n * sizeof(char*));
    assert_non_null(blocks);
    assert_int_equal(teardown(state), 0);
    assert_int_equal(setup(state), 0);
    for (size_t k = 0; k < n; k++) {
      blocks[k] = caml_arena_get(&arena, sizes[i]);
      assert_non_null(blocks[k]);
    }
    assert_in_range(arena_stat("pdirty") * PAGE, 0,
                    sizes[i] > 2 * MIB ? sizes[i] : 2 * MIB);
    for (size_t k = 0; k < n; k++)
      caml_arena_put(&arena, blocks[k], sizes[i]);
    assert_int_equal(arena_stat("pactive"), 0);
    free(blocks);
  }
}

/* Takes a block of [size] bytes, writes its first, populates it: what is
   resident? */
static size_t populated(size_t size) {
  char* block = caml_arena_get(&arena, size);
  size_t resident;
  assert_non_null(block);
  block[0] = 'a';
  caml_arena_populate(&arena, block, size);
  resident = smaps_resident(block, size);
  assert_int_equal(block[0], 'a');
  caml_arena_put(&arena, block, size);
  return resident;
}

/* Whether it is an extent, one that was grown, or has a mapping of its own */
static void a_new_block_gets_its_pages(void** state) {
  size_t sizes[] = { 4 * PAGE, 9 * PAGE, MIB, CAML_MAPPED_BLOCK };
  (void)state;
  need_populate();
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    assert_in_range(populated(sizes[i]), sizes[i], sizes[i] + PAGE);
    assert_true(caml_arena_purge(&arena));
  }
}

/* jemalloc does not know which pages of what is dirty were touched, and nor do
   we. */
static void a_dirty_block_is_left_as_it_is(void** state) {
  char* block = caml_arena_get(&arena, MIB);
  (void)state;
  caml_arena_put(&arena, block, MIB);
  assert_in_range(populated(MIB), KERNEL_PAGE, 2 * KERNEL_PAGE);
}

static void* take(void* size) {
  return caml_arena_get(&arena, *(size_t*)size);
}

static void what_other_threads_take_does_not_count(void** state) {
  size_t size = 4 * MIB;
  pthread_t thread;
  char* block;
  void* other;
  (void)state;
  caml_arena_put(&arena, caml_arena_get(&arena, MIB), MIB);
  block = caml_arena_get(&arena, MIB);
  assert_int_equal(pthread_create(&thread, NULL, take, &size), 0);
  pthread_join(thread, &other);
  caml_arena_populate(&arena, block, MIB);
  assert_int_equal(smaps_resident(block, MIB), 0);
  caml_arena_put(&arena, block, MIB);
  caml_arena_put(&arena, other, size);
}

/* Of 5 KiB there are four in a slab.  A large block, of as many pages, may
   stay empty. */
static void a_slab_gets_its_pages(void** state) {
  char *small, *large;
  (void)state;
  need_populate();
  small = caml_arena_get(&arena, 5 << 10);
  large = caml_arena_get(&arena, 20 << 10);
  assert_non_null(small);
  assert_non_null(large);
  if (PAGE == 4096) assert_int_equal(smaps_resident(small, 20 << 10), 20 << 10);
  assert_int_equal(smaps_resident(large, 20 << 10), 0);
  caml_arena_put(&arena, small, 5 << 10);
  caml_arena_put(&arena, large, 20 << 10);
}

/* How many bytes are resident from the first block of 5 KiB on, in a heap of
   [heap] bytes before that */
static size_t filled_ahead(size_t heap) {
  char *large = caml_arena_get(&arena, heap), *small;
  size_t resident;
  assert_non_null(large);
  small = caml_arena_get(&arena, 5 << 10);
  assert_non_null(small);
  resident = smaps_resident(small, MIB);
  caml_arena_put(&arena, small, 5 << 10);
  caml_arena_put(&arena, large, heap);
  return resident;
}

static void a_small_heap_fills_what_it_needs(void** state) {
  (void)state;
  need_populate();
  if (PAGE != 4096) skip(); /* the slabs are others */
  assert_int_equal(filled_ahead(MIB), 20 << 10);
}

/* The next slabs there need no call. */
static void a_large_heap_fills_some_slabs_at_once(void** state) {
  (void)state;
  need_populate();
  if (PAGE != 4096) skip();
  assert_int_equal(filled_ahead(32 * MIB), 256 << 10);
}

static void pools_serve_large_blocks(void** state) {
  size_t n = BLOCKS(4096), size = 2 * MIB, mapped;
  size_t n_large = n * BLOCK * 3 / 4 / size;
  char** pools = get_pools(n);
  char* large[64];
  (void)state;
  assert_true(n_large <= 64);
  mapped = caml_extents_mapped(&arena.extents);
  put_pools(pools, n);
  for (size_t i = 0; i < n_large; i++) {
    large[i] = caml_arena_get(&arena, size);
    assert_non_null(large[i]);
  }
  assert_int_equal(caml_extents_mapped(&arena.extents), mapped);
  for (size_t i = 0; i < n_large; i++) caml_arena_put(&arena, large[i], size);
  pools = get_pools(n);
  assert_int_equal(caml_extents_mapped(&arena.extents), mapped);
  put_pools(pools, n);
}

static void purge_lowers_rss(void** state) {
  size_t n = BLOCKS(4096), before;
  char** pools = get_pools(n);
  (void)state;
  put_pools(pools, n);
  before = smaps_rss();
  assert_true(caml_arena_purge(&arena));
  assert_true(smaps_rss() + n * BLOCK < before + 4 * MIB);
  assert_int_equal(arena_stat("pdirty"), 0);
  assert_int_equal(arena_stat("pmuzzy"), 0);
}

/* Pages that decay has purged lazily go too. */
static void purge_takes_muzzy_pages(void** state) {
  size_t n = BLOCKS(1024);
  char** pools = get_pools(n);
  (void)state;
  put_pools(pools, n);
  assert_true(caml_arena_purge_lazily(&arena));
  assert_int_equal(arena_stat("pdirty"), 0);
  assert_in_range(arena_stat("pmuzzy") * PAGE, n * BLOCK - MIB,
                  n * BLOCK + MIB);
  assert_true(arena.extents.purge_lazy.bytes >= n * BLOCK - MIB);
  assert_true(caml_arena_purge(&arena));
  assert_int_equal(arena_stat("pmuzzy"), 0);
}

static void decay_is_as_set(void** state) {
  size_t n = BLOCKS(1024);
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, -1));
  put_pools(get_pools(n), n);
  assert_true(caml_arena_decay(&arena));
  assert_in_range(arena_stat("pdirty") * PAGE, n * BLOCK - MIB,
                  n * BLOCK + MIB);
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
  assert_int_equal(arena_stat("pdirty"), 0);
  assert_false(caml_arena_set_dirty_decay(&arena, -2));
}

static ssize_t decay_in_force(const char* name) {
  char path[64];
  ssize_t value;
  size_t size = sizeof(value);
  snprintf(path, sizeof(path), "arena.%u.%s", arena.index, name);
  assert_int_equal(je_mallctl(path, &value, &size, NULL, 0), 0);
  return value;
}

/* Longer than all the time that has passed, and in vain */
static void look_after_dear_purges(void) {
  usleep(60000);
  atomic_fetch_add(&arena.extents.purge_lazy.nanoseconds, 1000000000);
  atomic_fetch_add(&arena.extents.decommit.bytes, MIB);
  atomic_fetch_add(&arena.extents.commit.bytes, MIB);
  caml_arena_update_budget(&arena);
}

static void decay_takes_longer_where_it_is_dear(void** state) {
  (void)state;
  look_after_dear_purges();
  assert_int_equal(decay_in_force("dirty_decay_ms"), 2000);
  assert_int_equal(decay_in_force("muzzy_decay_ms"), 2000);
  assert_int_equal(arena.pools.dirty_ms, 2000);
  assert_true(caml_arena_purge_lazily(&arena));
  assert_int_equal(decay_in_force("dirty_decay_ms"), 2000);
  look_after_dear_purges();
  assert_int_equal(decay_in_force("dirty_decay_ms"), 4000);
  assert_true(caml_arena_set_dirty_decay(&arena, 10));
  assert_int_equal(decay_in_force("dirty_decay_ms"), 40);
  assert_true(caml_arena_set_dirty_decay(&arena, -1));
  assert_int_equal(decay_in_force("dirty_decay_ms"), -1);
}

/* A purge that was asked for counts for nothing. */
static void purges_asked_for_are_no_decay(void** state) {
  (void)state;
  assert_true(caml_arena_set_dirty_decay(&arena, -1));
  assert_true(caml_arena_set_muzzy_decay(&arena, -1));
  for (int i = 0; i < 3; i++) {
    put_pools(get_pools(BLOCKS(1024)), BLOCKS(1024));
    assert_true(i == 1 ? caml_arena_purge_lazily(&arena)
                : caml_arena_purge(&arena));
  }
  assert_true(arena.asked > 0);
  assert_int_equal(arena.asked,
                   atomic_load(&arena.extents.purge_lazy.nanoseconds)
                   + atomic_load(&arena.extents.decommit.nanoseconds));
}

static void purged_pools_are_zero_again(void** state) {
  size_t n = BLOCKS(64);
  char** pools = get_pools(n);
  (void)state;
  put_pools(pools, n);
  assert_true(caml_arena_purge(&arena));
  for (size_t i = 0; i < n; i++) {
    char* p = caml_arena_get(&arena, BLOCK);
    for (size_t j = 0; j < BLOCK; j++) assert_int_equal(p[j], 0);
  }
}

/* What the hooks counted is what jemalloc says. */
static void counters_add_up(void** state) {
  size_t n = BLOCKS(2048), known;
  char** pools = get_pools(n);
  (void)state;
  for (size_t i = 0; i < n; i += 2) caml_arena_put(&arena, pools[i], BLOCK);
  assert_true(caml_arena_purge(&arena));
  assert_int_equal(arena.extents.decommit.bytes, n / 2 * BLOCK);
  /* in use, free in whatever state, and jemalloc's own data */
  known = arena_stat("pactive") * PAGE + arena_stat("retained")
    + arena_stat("pdirty") * PAGE + arena_stat("pmuzzy") * PAGE;
  assert_in_range(caml_extents_mapped(&arena.extents), known,
                  known + 4 * MIB);
  assert_int_equal(arena.extents.decommit.failures, 0);
  assert_int_equal(arena.extents.alloc.failures, 0);
  for (size_t i = 1; i < n; i += 2) caml_arena_put(&arena, pools[i], BLOCK);
  free(pools);
}

/* 64 MiB, a pool of each slab last, so that what is purged is no huge page at
   once */
static void free_in_pieces(char** pools, size_t n) {
  for (size_t last = 0; last <= 1; last++) {
    for (size_t i = 0; i < n; i++)
      if ((i % CAML_SLAB_POOLS == 7) == last)
        caml_arena_put_pool(&arena, pools[i]);
    assert_true(caml_arena_purge(&arena));
  }
}

static char* get_slab_pool(void) {
  char* p = caml_arena_get_pool(&arena, 0);
  assert_non_null(p);
  memset(p, 1, POOL);
  return p;
}

static void free_huge_pages_go_where_they_are_charged(void** state) {
  enum { N = 2048 };
  static char* pools[N];
  size_t start = caml_extents_mapped(&arena.extents);
  rlim_t old;
  (void)state;
  for (int charged = 0; charged <= 1; charged++) {
    for (size_t i = 0; i < N; i++) pools[i] = get_slab_pool();
    assert_true(caml_extents_mapped(&arena.extents) >= start + N * POOL);
    old = set_limit(RLIMIT_AS, charged ? FAR : RLIM_INFINITY);
    free_in_pieces(pools, N);
    set_limit(RLIMIT_AS, old);
    if (charged)
      assert_in_range(caml_extents_mapped(&arena.extents), start,
                      start + 8 * MIB);
    else
      assert_true(caml_extents_mapped(&arena.extents) >= start + N * POOL);
  }
}

/* The last huge pages, as the last page has gone */
static void decay_ends_with_a_trim(void** state) {
  size_t start = caml_extents_mapped(&arena.extents);
  char* p = caml_arena_get(&arena, 32 * MIB);
  rlim_t old = set_limit(RLIMIT_DATA, FAR);
  (void)state;
  assert_true(caml_arena_set_muzzy_decay(&arena, 0));
  assert_true(caml_arena_set_dirty_decay(&arena, 100));
  memset(p, 1, 32 * MIB);
  caml_arena_put(&arena, p, 32 * MIB);
  for (int i = 0; i < 1000 && caml_arena_decays(&arena); i++) {
    usleep(10000);
    caml_arena_decay(&arena);
  }
  set_limit(RLIMIT_DATA, old);
  assert_in_range(caml_extents_mapped(&arena.extents), start,
                  start + 8 * MIB);
}

/* Blocks of [size] bytes, up to [sum] of them; returns what is mapped beyond
   that. */
static size_t mapped_for(struct caml_arena* a, size_t size, size_t sum) {
  size_t start = caml_extents_mapped(&a->extents), most = 0;
  for (size_t used = size; used <= sum; used += size) {
    size_t more;
    assert_non_null(size == POOL ? caml_arena_get_pool(a, 0)
                                 : caml_arena_get(a, size));
    more = caml_extents_mapped(&a->extents) - start - used;
    if (more > most) most = more;
  }
  return most;
}

/* As if memory were locked, all of which has pages then */
static void little_is_mapped_where_it_is_locked(void** state) {
  static const size_t sizes[] = { POOL, MIB, 30 * MIB + MIB / 2 };
  (void)state;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    static const struct caml_arena none;
    static struct caml_arena a;
    a = none;
    assert_null(caml_arena_create(&a, CAML_THP_SYSTEM));
    a.extents.limits.locked = true;
    assert_in_range(mapped_for(&a, sizes[i], 256 * MIB), 0, 256 * MIB / 10);
    assert_true(caml_arena_destroy(&a));
    assert_int_equal(caml_extents_mapped(&a.extents), 0);
  }
}

/* There is room for the block, in two mappings that nobody needs. */
static void what_fits_nowhere_gets_what_is_free(void** state) {
  char* p = caml_arena_get(&arena, 40 * MIB);
  char* q = caml_arena_get(&arena, 40 * MIB);
  rlim_t old;
  (void)state;
  not_under_a_sanitizer();
  assert_non_null(p);
  assert_non_null(q);
  old = set_limit(RLIMIT_AS, smaps_size() + 4 * MIB);
  assert_null(caml_arena_get(&arena, 60 * MIB));
  caml_arena_put(&arena, p, 40 * MIB);
  caml_arena_put(&arena, q, 40 * MIB);
  p = caml_arena_get(&arena, 60 * MIB);
  set_limit(RLIMIT_AS, old);
  assert_non_null(p);
  caml_arena_put(&arena, p, 60 * MIB);
}

static void destroy_unmaps_everything(void** state) {
  static struct caml_arena a; /* zeroed */
  char *pool, *large;
  (void)state;
  not_under_a_sanitizer();
  assert_null(caml_arena_create(&a, CAML_THP_SYSTEM));
  pool = caml_arena_get(&a, POOL);
  large = caml_arena_get(&a, 64 * MIB);
  assert_true(smaps_is_mapped(pool));
  assert_true(smaps_is_mapped(large));
  assert_true(caml_arena_destroy(&a));
  assert_false(smaps_is_mapped(pool));
  assert_false(smaps_is_mapped(large));
  assert_int_equal(caml_extents_mapped(&a.extents), 0);
}

static void out_of_memory_is_null(void** state) {
  struct rlimit old, low;
  char *p, *small;
  (void)state;
  not_under_a_sanitizer();
  small = caml_arena_get(&arena, POOL);
  assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
  low = old;
  low.rlim_cur = 512 * MIB;
  assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
  p = caml_arena_get(&arena, 1024 * MIB);
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  assert_null(p);
  assert_true(arena.extents.alloc.failures > 0);
  assert_null(caml_arena_get(&arena, PTRDIFF_MAX));
  /* and it goes on */
  p = caml_arena_get(&arena, 64 * MIB);
  assert_non_null(p);
  caml_arena_put(&arena, p, 64 * MIB);
  caml_arena_put(&arena, small, POOL);
}

/* Hooks that fail: jemalloc keeps the pages, nothing is lost. */

static bool refuse_purge(extent_hooks_t* h, void* p, size_t size, size_t off,
                         size_t length, unsigned ind) {
  (void)h; (void)p; (void)size; (void)off; (void)length; (void)ind;
  return true;
}

static bool refuse_split(extent_hooks_t* h, void* p, size_t size, size_t a,
                         size_t b, bool committed, unsigned ind) {
  (void)h; (void)p; (void)size; (void)a; (void)b; (void)committed; (void)ind;
  return true;
}

static bool refuse_merge(extent_hooks_t* h, void* a, size_t size_a, void* b,
                         size_t size_b, bool committed, unsigned ind) {
  (void)h; (void)a; (void)size_a; (void)b; (void)size_b; (void)committed;
  (void)ind;
  return true;
}

static void* refuse_alloc(extent_hooks_t* h, void* p, size_t size,
                          size_t alignment, bool* zero, bool* commit,
                          unsigned ind) {
  (void)h; (void)p; (void)size; (void)alignment; (void)zero; (void)commit;
  (void)ind;
  return NULL;
}

/* Uses the arena; what the hooks in force refuse must do no harm. */
static void use_arena(void) {
  size_t n = BLOCKS(512);
  char** pools = get_pools(n);
  for (size_t i = 0; i < n; i++) assert_int_equal(pools[i][1], (char)i);
  for (size_t i = 0; i < n; i += 2) caml_arena_put(&arena, pools[i], BLOCK);
  assert_true(caml_arena_purge(&arena));
  for (size_t i = 1; i < n; i += 2) {
    assert_int_equal(pools[i][BLOCK - 1], (char)i);
    caml_arena_put(&arena, pools[i], BLOCK);
  }
  free(pools);
  assert_true(caml_arena_purge(&arena));
}

static void failing_hooks_do_no_harm(void** state) {
  extent_hooks_t* hooks = &arena.extents.hooks;
  extent_hooks_t good = *hooks;
  (void)state;
  hooks->purge_lazy = refuse_purge;
  use_arena();
  hooks->decommit = refuse_purge;
  use_arena();
  *hooks = good;
  hooks->merge = refuse_merge;
  use_arena();
  *hooks = good;
  hooks->split = refuse_split;
  caml_arena_purge(&arena);
  *hooks = good;
  use_arena();
}

static void alloc_may_fail_and_come_back(void** state) {
  extent_hooks_t* hooks = &arena.extents.hooks;
  extent_hooks_t good = *hooks;
  (void)state;
  hooks->alloc = refuse_alloc;
  assert_null(caml_arena_get(&arena, CAML_MAPPED_BLOCK - MIB));
  *hooks = good;
  use_arena();
}

static void* use_from_thread(void* unused) {
  for (int round = 0; round < 200; round++) {
    char* pools[16];
    for (size_t i = 0; i < 16; i++) {
      pools[i] = caml_arena_get(&arena, i % 2 ? POOL : POOL * (i + 1));
      if (pools[i] == NULL) return "no memory";
      pools[i][0] = (char)i;
    }
    for (size_t i = 0; i < 16; i++) {
      if (pools[i][0] != (char)i) return "overwritten";
      caml_arena_put(&arena, pools[i], i % 2 ? POOL : POOL * (i + 1));
    }
    if (round % 20 == 0 && !caml_arena_purge(&arena)) return "no purge";
  }
  return unused;
}

static void threads_share_the_arena(void** state) {
  pthread_t threads[4];
  void* failed;
  (void)state;
  for (int i = 0; i < 4; i++)
    assert_int_equal(
      pthread_create(&threads[i], NULL, use_from_thread, NULL), 0);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
}

/* While some trim, others get what they want. */
static void threads_share_what_is_charged(void** state) {
  rlim_t old = set_limit(RLIMIT_AS, FAR);
  threads_share_the_arena(state);
  set_limit(RLIMIT_AS, old);
}

/* Children forked while other threads are inside the arena can use it. */
static void a_forked_child_uses_the_arena(void** state) {
  pthread_t threads[2];
  void* failed;
  (void)state;
  for (int i = 0; i < 2; i++)
    assert_int_equal(
      pthread_create(&threads[i], NULL, use_from_thread, NULL), 0);
  for (int i = 0; i < 50; i++) {
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      alarm(60);
      _exit(use_from_thread(NULL) == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
  }
  for (int i = 0; i < 2; i++) {
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
}

/* malloc is libc's: what it returns is none of this jemalloc's. */
static void malloc_is_not_ours(void** state) {
  char* p = malloc(100);
  size_t before = arena_stat("pactive");
  char* q = malloc(64 * MIB);
  (void)state;
  assert_non_null(p);
  assert_non_null(q);
  assert_int_equal(arena_stat("pactive"), before);
  free(q);
  free(p);
}

static void environment_is_ignored(void** state) {
  bool abort_conf;
  size_t size = sizeof(abort_conf);
  int status;
  (void)state;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    /* an unknown option with abort_conf stops a jemalloc that listens */
    setenv("MALLOC_CONF", "abort_conf:true,nonsense:1", 1);
    setenv("CAML_JE_MALLOC_CONF", "abort_conf:true,nonsense:1", 1);
    setenv("RUNTIME_JEMALLOC_CHILD", "1", 1);
    execl("/proc/self/exe", "arena", (char*)NULL);
    _exit(127);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_int_equal(
    je_mallctl("opt.abort_conf", &abort_conf, &size, NULL, 0), 0);
  assert_false(abort_conf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    T(pools_are_pages_and_disjoint),
    T(a_pool_is_32_kib),
    T(large_blocks_of_every_size),
    T(large_blocks_waste_no_page),
    T(large_blocks_waste_no_address_space),
    T(a_new_block_gets_its_pages),
    T(a_dirty_block_is_left_as_it_is),
    T(what_other_threads_take_does_not_count),
    T(a_slab_gets_its_pages),
    T(a_small_heap_fills_what_it_needs),
    T(a_large_heap_fills_some_slabs_at_once),
    T(pools_serve_large_blocks),
    T(purge_lowers_rss),
    T(purge_takes_muzzy_pages),
    T(decay_is_as_set),
    T(decay_takes_longer_where_it_is_dear),
    T(purges_asked_for_are_no_decay),
    T(purged_pools_are_zero_again),
    T(counters_add_up),
    T(free_huge_pages_go_where_they_are_charged),
    T(decay_ends_with_a_trim),
    T(little_is_mapped_where_it_is_locked),
    T(what_fits_nowhere_gets_what_is_free),
    T(destroy_unmaps_everything),
    T(out_of_memory_is_null),
    T(failing_hooks_do_no_harm),
    T(alloc_may_fail_and_come_back),
    T(threads_share_the_arena),
    T(threads_share_what_is_charged),
    T(a_forked_child_uses_the_arena),
    T(malloc_is_not_ours),
    T(environment_is_ignored),
  };
  /* the child of environment_is_ignored: started, so all is well */
  if (getenv("RUNTIME_JEMALLOC_CHILD") != NULL) return 0;
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
