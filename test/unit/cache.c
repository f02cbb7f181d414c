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

/* The cache of freed blocks, on an arena: who finds what, and when it goes back
   to jemalloc. */

#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fixture.h"
#include "limits.h"

#define KIB ((size_t)1 << 10)
#define CACHE (&arena.cache)

/* In a heap of 64 MiB, of which nothing is touched, a shard may keep 1 MiB. */
static int setup_heap(void** state) {
  if (setup(state) != 0) return -1;
  for (int i = 0; i < 2; i++)
    if (caml_arena_get(&arena, 32 * MIB) == NULL) return -1;
  return 0;
}

#define H(f) cmocka_unit_test_setup_teardown(f, setup_heap, teardown)

static char* get_from(unsigned shard, size_t size) {
  char* p = caml_arena_get_cached(&arena, shard, size);
  assert_non_null(p);
  p[0] = p[size - 1] = 1;
  return p;
}

static char* get(size_t size) {
  return get_from(0, size);
}

static void put(char* p, size_t size) {
  caml_arena_put_cached(&arena, 0, p, size);
}

static size_t kept(void) {
  return caml_cache_counts(CACHE).bytes;
}

static void the_shard_finds_what_was_put(void** state) {
  static const size_t sizes[] =
    { 5 * KIB, 7 * KIB, 8 * KIB, 12 * KIB, 14 * KIB };
  struct caml_cache_counts counts;
  (void)state;
  for (int i = 0; i < 5; i++) {
    char* p = get(sizes[i] - 24);
    put(p, sizes[i] - 24);
    assert_int_equal(kept(), sizes[i]);
    assert_ptr_not_equal(get_from(1, sizes[i] - 24), p);
    assert_ptr_equal(get(sizes[i] - 24), p);
    assert_int_equal(kept(), 0);
  }
  counts = caml_cache_counts(CACHE);
  assert_int_equal(counts.hits, 5);
  assert_int_equal(counts.misses, 10);
}

static void the_last_comes_first(void** state) {
  char *p = get(12 * KIB), *q = get(12 * KIB);
  (void)state;
  put(p, 12 * KIB);
  put(q, 12 * KIB);
  assert_ptr_equal(get(12 * KIB), q);
  assert_ptr_equal(get(12 * KIB), p);
}

/* And keeps the pages that it has. */
static void a_block_up_to_a_quarter_larger_serves(void** state) {
  char* p = get(10 * KIB);
  (void)state;
  put(p, 10 * KIB);
  assert_ptr_equal(get(8 * KIB), p);
  put(p, 8 * KIB);
  assert_int_equal(kept(), 10 * KIB);
  assert_ptr_not_equal(get(7 * KIB), p);
  assert_ptr_equal(get(8 * KIB), p);
}

/* None serves.  Where more is kept than at first, one goes. */
static void another_goes_instead(void** state) {
  char *p = get(5 * KIB), *q = get(8 * KIB);
  (void)state;
  put(q, 8 * KIB);
  put(p, 5 * KIB);
  get(10 * KIB);
  assert_int_equal(kept(), 13 * KIB);
  CACHE->shards[0].bound.first = 0; /* as if the heap had shrunk */
  get(14 * KIB);
  assert_int_equal(kept(), 5 * KIB);
  get(14 * KIB);
  assert_int_equal(kept(), 0);
}

/* One of a size that is there twice goes before any that is there once. */
static void blocks_of_many_sizes_stay(void** state) {
  static const size_t sizes[] = { 8, 10, 14, 14 };
  char* p[4];
  (void)state;
  for (int i = 0; i < 4; i++) p[i] = get(sizes[i] * KIB);
  for (int i = 0; i < 4; i++) put(p[i], sizes[i] * KIB);
  CACHE->shards[0].bound.first = 0;
  get(5 * KIB); /* one of the two goes */
  assert_int_equal(kept(), (8 + 10 + 14) * KIB);
  assert_ptr_equal(get(8 * KIB), p[0]);
  assert_ptr_equal(get(10 * KIB), p[1]);
  assert_ptr_equal(get(14 * KIB), p[2]);
}

/* Where there is no room, blocks of the sizes that come now drive out those of
   others, not all of them, and no more than they need. */
static void what_is_kept_follows_the_sizes(void** state) {
  enum { N = 73, M = 96 };
  char *p[N], *q[M];
  (void)state;
  for (int i = 0; i < N; i++) p[i] = get(14 * KIB);
  for (int i = 0; i < M; i++) q[i] = get(8 * KIB);
  for (int i = 0; i < N; i++) put(p[i], 14 * KIB);
  assert_int_equal(kept(), N * 14 * KIB);
  for (int i = 0; i < M; i++) {
    put(q[i], 8 * KIB);
    assert_in_range(kept(), N * 14 * KIB - 14 * KIB, MIB + 64 * KIB);
  }
  for (int i = 0; i < 8; i++) get(8 * KIB);
  assert_int_equal(caml_cache_counts(CACHE).hits, 8);
  for (int i = 0; i < 2; i++) get(14 * KIB);
  assert_int_equal(caml_cache_counts(CACHE).hits, 10);
}

static void what_is_kept_is_dirty_and_not_in_use(void** state) {
  char* p = get(14 * KIB);
  size_t before = caml_arena_dirty(&arena);
  (void)state;
  put(p, 14 * KIB);
  assert_int_equal(caml_arena_dirty(&arena) - before, 14 * KIB);
  assert_true(caml_cache_decays(CACHE));
  assert_true(caml_arena_decays(&arena));
}

static void it_goes_when_nobody_asks_for_it(void** state) {
  uint64_t now = 1000000;
  char *p[4];
  (void)state;
  caml_cache_decay(CACHE, now);
  for (int i = 0; i < 4; i++) p[i] = get(12 * KIB);
  for (int i = 0; i < 4; i++) put(p[i], 12 * KIB);
  caml_cache_decay(CACHE, now += 500);
  assert_int_equal(kept(), 4 * 12 * KIB);
  put(get(12 * KIB), 12 * KIB);
  caml_cache_decay(CACHE, now += 499);
  assert_int_equal(kept(), 4 * 12 * KIB);
  caml_cache_decay(CACHE, now += 1);
  assert_int_equal(kept(), 12 * KIB);
  assert_ptr_equal(get(12 * KIB), p[3]);
}

/* [act] is called on two blocks that are kept, all that is in a slab: their
   pages go. */
static void takes_it(void (*act)(void)) {
  size_t page = arena.extents.page;
  char *p = get(14 * KIB), *q = get(14 * KIB);
  memset(p, 1, 14 * KIB);
  put(p, 14 * KIB);
  put(q, 14 * KIB);
  assert_int_equal(kept(), 28 * KIB);
  p = (char*)(((uintptr_t)p + page - 1) & -page);
  assert_int_equal(smaps_resident(p, 8 * KIB), 8 * KIB);
  act();
  assert_int_equal(kept(), 0);
  assert_int_equal(smaps_resident(p, 8 * KIB), 0);
}

static void purge(void) {
  assert_true(caml_arena_purge(&arena));
}

static void set_decay_0(void) {
  assert_true(caml_arena_set_dirty_decay(&arena, 0));
}

static void a_purge_takes_it(void** state) {
  (void)state;
  takes_it(purge);
}

static void a_decay_of_0_takes_it_and_keeps_nothing(void** state) {
  (void)state;
  assert_true(caml_arena_set_muzzy_decay(&arena, 0));
  takes_it(set_decay_0);
  put(get(12 * KIB), 12 * KIB);
  assert_int_equal(kept(), 0);
}

static void a_lazy_purge_takes_it(void** state) {
  (void)state;
  put(get(12 * KIB), 12 * KIB);
  assert_true(caml_arena_purge_lazily(&arena));
  assert_int_equal(kept(), 0);
  put(get(12 * KIB), 12 * KIB);
  assert_int_equal(kept(), 12 * KIB);
}

static void a_slab_takes_it_first(void** state) {
  (void)state;
  put(get(14 * KIB), 14 * KIB);
  assert_non_null(caml_arena_get_pool(&arena, 0));
  assert_int_equal(kept(), 0);
}

static void a_larger_block_takes_it_first(void** state) {
  (void)state;
  put(get(14 * KIB), 14 * KIB);
  get(2 * MIB);
  assert_int_equal(kept(), 0);
}

/* [N] side by side, which make room for one of their size together */
static void what_is_kept_goes_before_memory_runs_out(void** state) {
  enum { N = 64 };
  char* p[N];
  pid_t child;
  int status;
  (void)state;
  for (int i = 0; i < N; i++) p[i] = get(14 * KIB);
  child = fork();
  if (child == 0) {
    size_t size = MIB;
    set_limit(RLIMIT_AS, MIB); /* less than there is */
    while (size >= 64 * KIB) /* all that there is */
      if (caml_arena_get(&arena, size) == NULL) size /= 2;
    for (int i = 0; i < N; i++) put(p[i], 14 * KIB);
    if (kept() != N * 14 * KIB) _exit(2);
    _exit(caml_arena_get_cached(&arena, 0, 256 * KIB) != NULL ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void other_sizes_are_not_kept(void** state) {
  (void)state;
  put(get(3 * KIB), 3 * KIB);
  put(get(15 * KIB), 15 * KIB);
  put(get(MIB + KIB), MIB + KIB);
  assert_int_equal(kept(), 0);
}

static void a_heap_of_nothing_keeps_nothing(void** state) {
  (void)state;
  put(get(14 * KIB), 14 * KIB);
  assert_int_equal(kept(), 0);
}

/* A 64th of it would be less than a block. */
static void a_small_heap_keeps_some(void** state) {
  char* p;
  (void)state;
  get(768 * KIB);
  p = get(14 * KIB);
  put(p, 14 * KIB);
  assert_ptr_equal(get(14 * KIB), p);
}

static void what_is_found_makes_room_for_more(void** state) {
  enum { N = 300, ROUNDS = 8 };
  char* p[N];
  (void)state;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++) p[i] = get(14 * KIB);
    for (int i = 0; i < N; i++) put(p[i], 14 * KIB);
    if (round == 0) assert_in_range(kept(), MIB - 14 * KIB, MIB + 128 * KIB);
  }
  assert_int_equal(kept(), N * 14 * KIB);
}

static void while_closed_blocks_are_jemallocs(void** state) {
  char* p = get(12 * KIB);
  (void)state;
  put(p, 12 * KIB);
  caml_cache_close(CACHE);
  assert_ptr_not_equal(get(12 * KIB), p);
  caml_cache_open(CACHE);
  assert_ptr_equal(get(12 * KIB), p);
}

/* Threads, of which two share a shard.  Each block has its owner's number in
   all of its words that are looked at. */

static atomic_bool stop;

static void fill(char* p, size_t size, uintptr_t mark) {
  for (size_t i = 0; i < size / KIB; i++) ((uintptr_t*)(p + i * KIB))[1] = mark;
}

static bool is_filled(char* p, size_t size, uintptr_t mark) {
  for (size_t i = 0; i < size / KIB; i++)
    if (((uintptr_t*)(p + i * KIB))[1] != mark) return false;
  return true;
}

static void* churn(void* data) {
  enum { HELD = 32 };
  unsigned thread = (unsigned)(uintptr_t)data, random = thread;
  char* p[HELD] = { NULL };
  size_t size[HELD];
  bool sound = true;
  for (unsigned n = 0; !atomic_load(&stop); n++) {
    unsigned i = (random = random * 1664525 + 1013904223) >> 8 & (HELD - 1);
    if (p[i] != NULL) {
      sound = sound && is_filled(p[i], size[i], thread + i);
      caml_arena_put_cached(&arena, thread / 2, p[i], size[i]);
    }
    size[i] = 5 * KIB + (random >> 16) % (96 * KIB);
    p[i] = caml_arena_get_cached(&arena, thread / 2, size[i]);
    if (p[i] == NULL) return NULL;
    fill(p[i], size[i], thread + i);
  }
  for (int i = 0; i < HELD; i++)
    if (p[i] != NULL)
      caml_arena_put_cached(&arena, thread / 2, p[i], size[i]);
  return sound ? data : NULL;
}

enum { THREADS = 4 };
static pthread_t threads[THREADS];

static void start(void) {
  atomic_store(&stop, false);
  for (uintptr_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, churn,
                                    (void*)(i * 1000 + 1)), 0);
}

static void end(void) {
  atomic_store(&stop, true);
  for (uintptr_t i = 0; i < THREADS; i++) {
    void* result;
    pthread_join(threads[i], &result);
    assert_ptr_equal(result, (void*)(i * 1000 + 1));
  }
}

static void no_block_has_two_owners(void** state) {
  uint64_t now = 1000000;
  (void)state;
  start();
  for (int i = 0; i < 300; i++) {
    caml_cache_decay(CACHE, now += 500);
    usleep(500);
    if (i % 10 == 0) caml_cache_empty(CACHE);
  }
  end();
  caml_cache_empty(CACHE);
  assert_int_equal(kept(), 0);
}

/* All shards, at once */
static bool child_finds_what_there_is(void) {
  bool ok = true;
  for (unsigned n = 0; n < 16; n++) {
    void* p = caml_cache_get(CACHE, n % 4, 12 * KIB);
    if (p != NULL) memset(p, 1, 12 * KIB);
    ok = ok && !atomic_load(&CACHE->shards[n % 4].entered);
  }
  caml_cache_empty(CACHE);
  return ok && kept() == 0;
}

/* While others are in the cache */
static void a_forked_child_finds_what_there_is(void** state) {
  (void)state;
  start();
  fork_often(50, child_finds_what_there_is);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    H(the_shard_finds_what_was_put),
    H(the_last_comes_first),
    H(a_block_up_to_a_quarter_larger_serves),
    H(another_goes_instead), H(blocks_of_many_sizes_stay),
    H(what_is_kept_follows_the_sizes),
    H(what_is_kept_is_dirty_and_not_in_use),
    H(it_goes_when_nobody_asks_for_it),
    H(a_purge_takes_it),
    H(a_decay_of_0_takes_it_and_keeps_nothing),
    H(a_lazy_purge_takes_it),
    H(a_slab_takes_it_first),
    H(a_larger_block_takes_it_first),
    H(what_is_kept_goes_before_memory_runs_out),
    H(other_sizes_are_not_kept),
    T(a_heap_of_nothing_keeps_nothing), T(a_small_heap_keeps_some),
    H(what_is_found_makes_room_for_more),
    H(while_closed_blocks_are_jemallocs),
    H(no_block_has_two_owners),
    H(a_forked_child_finds_what_there_is),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
