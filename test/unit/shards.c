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

/* What one domain writes that another has: nothing, where it finds a pool or a
   block in its own shard.  The arena is compared with what it was, line by line
   of the processor's cache, and mutexes are counted, jemalloc's too: without
   one it writes nothing of its arena's. */

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
#include "fixture.h"

#define KIB ((size_t)1 << 10)
#define LINE ((size_t)64)
#define SHARDS 64 /* as many domains have one each */
_Static_assert(CAML_POOL_SHARDS >= SHARDS && CAML_CACHE_SHARDS >= SHARDS,
               "a shard for each");

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const unsigned some_shards[] = { 0, 5, SHARDS - 1 };
#define N_SHARDS (sizeof(some_shards) / sizeof(some_shards[0]))

/* Mutexes */

static unsigned taken, held;  /* since [look], and now */
static unsigned of_shards;    /* taken since, of shards of pools */
static const void* last;      /* of those taken */
static unsigned filled_with;  /* mutexes held while pages were filled */
static unsigned fills;

int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t* mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t* mutex);
int __real_madvise(void* p, size_t size, int advice);

static void note_taken(const void* mutex) {
  taken++;
  held++;
  of_shards += (const char*)mutex >= (const char*)arena.pools.shards
    && (const char*)mutex < (const char*)(arena.pools.shards + SHARDS);
  last = mutex;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  int result = __real_pthread_mutex_lock(mutex);
  note_taken(mutex);
  return result;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) {
  int result = __real_pthread_mutex_trylock(mutex);
  if (result == 0) note_taken(mutex);
  return result;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t* mutex) {
  held--;
  return __real_pthread_mutex_unlock(mutex);
}

int __wrap_madvise(void* p, size_t size, int advice) {
  if (advice == MADV_POPULATE_WRITE) {
    fills++;
    filled_with += held;
  }
  return __real_madvise(p, size, advice);
}

/* Memory */

static struct caml_arena before;
#define LEAF (CAML_SLABS_LEAF * CAML_CACHE_LINES)
static char leaf_before[LEAF];

/* The table of slabs in which [pool] is */
static char* leaf_of(const void* pool) {
  size_t i = (uintptr_t)pool / CAML_SLAB_SIZE / CAML_SLABS_LEAF;
  return (char*)arena.pools.leaves[i];
}

static void look(const void* pool) {
  memcpy(&before, &arena, sizeof(arena));
  if (pool != NULL) memcpy(leaf_before, leaf_of(pool), LEAF);
  taken = of_shards = 0;
}

static bool is_in(size_t offset, const void* part, size_t size) {
  size_t start = (size_t)((const char*)part - (const char*)&arena);
  return offset >= start && offset < start + size;
}

/* Lines of the arena that have changed and are not of [shard] */
static unsigned changed_for_others(unsigned shard) {
  unsigned n = 0;
  for (size_t i = 0; i < sizeof(arena); i += LINE) {
    size_t size = sizeof(arena) - i < LINE ? sizeof(arena) - i : LINE;
    if (memcmp((char*)&arena + i, (char*)&before + i, size) == 0) continue;
    n += !is_in(i, &arena.pools.shards[shard], sizeof(arena.pools.shards[0]))
      && !is_in(i, &arena.frames.shards[shard],
                sizeof(arena.frames.shards[0]))
      && !is_in(i, &arena.cache.shards[shard], sizeof(arena.cache.shards[0]));
  }
  return n;
}

/* Of slabs, those that are not of [shard]: it is the first that a slab has. */
static unsigned slabs_changed_for_others(const void* pool, unsigned shard) {
  char* leaf = leaf_of(pool);
  unsigned n = 0;
  for (size_t i = 0; i < LEAF; i += CAML_CACHE_LINES)
    n += memcmp(leaf + i, leaf_before + i, CAML_CACHE_LINES) != 0
      && *(uint16_t*)(leaf + i) != shard;
  return n;
}

static char* get(unsigned shard, size_t size) {
  char* block = caml_arena_get_cached(&arena, shard, size);
  assert_non_null(block);
  block[0] = 1;
  return block;
}

static void put(unsigned shard, char* block, size_t size) {
  caml_arena_put_cached(&arena, shard, block, size);
}

static void* get_pool(unsigned shard) {
  void* pool = caml_arena_get_pool(&arena, shard);
  assert_non_null(pool);
  return pool;
}

/* Tests */

/* Lines are of one shard, if the arena lies at such a line. */
static void lines_have_one_shard(void** state) {
  (void)state;
  assert_int_equal((uintptr_t)&arena.pools.shards % CAML_CACHE_LINES, 0);
  assert_int_equal(sizeof(arena.pools.shards[0]) % CAML_CACHE_LINES, 0);
  assert_int_equal((uintptr_t)&arena.frames.shards % CAML_CACHE_LINES, 0);
  assert_int_equal(sizeof(arena.frames.shards[0]) % CAML_CACHE_LINES, 0);
  assert_int_equal((uintptr_t)&arena.cache.shards % CAML_CACHE_LINES, 0);
  assert_int_equal(sizeof(arena.cache.shards[0]) % CAML_CACHE_LINES, 0);
}

static void assert_took_only(const struct caml_ranked_mutex* lock) {
  assert_int_equal(taken, 1);
  assert_ptr_equal(last, &lock->mutex);
}

static void assert_own_lock_only(unsigned shard) {
  assert_took_only(&arena.pools.shards[shard].lock.mutex);
}

/* One that has its pages: else they are counted. */
static void a_pool_of_the_own_shard_is_nobody_elses(void** state) {
  (void)state;
  for (unsigned s = 0; s < SHARDS; s++) get_pool(s);
  for (size_t i = 0; i < N_SHARDS; i++) {
    unsigned shard = some_shards[i];
    void *first = get_pool(shard), *pool = get_pool(shard);
    caml_arena_put_pool(&arena, pool);
    look(first);
    pool = get_pool(shard);
    assert_own_lock_only(shard);
    assert_int_equal(changed_for_others(shard), 0);
    assert_int_equal(slabs_changed_for_others(pool, shard), 0);
    look(first);
    caml_arena_put_pool(&arena, pool);
    assert_own_lock_only(shard);
    assert_int_equal(changed_for_others(shard), 0);
    assert_int_equal(slabs_changed_for_others(first, shard), 0);
  }
}

static void a_block_that_is_kept_is_nobody_elses(void** state) {
  static const size_t sizes[] = { 5 * KIB, 10 * KIB, 14 * KIB };
  (void)state;
  for (int i = 0; i < 4; i++) /* of a large heap more is kept */
    assert_non_null(caml_arena_get(&arena, 2048 * MIB));
  for (unsigned s = 0; s < SHARDS; s++) put(s, get(s, 5 * KIB), 5 * KIB);
  for (size_t i = 0; i < N_SHARDS; i++)
    for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
      unsigned shard = some_shards[i];
      char *block, *found;
      put(shard, get(shard, sizes[j]), sizes[j]);
      block = get(shard, sizes[j]);
      look(NULL);
      put(shard, block, sizes[j]);
      assert_int_equal(taken, 0);
      assert_int_equal(changed_for_others(shard), 0);
      look(NULL);
      found = get(shard, sizes[j]);
      assert_ptr_equal(found, block);
      assert_int_equal(taken, 0);
      assert_int_equal(changed_for_others(shard), 0);
      put(shard, found, sizes[j]);
    }
}

/* Of pages that are there: else they are counted. */
static void a_block_in_a_frame_of_the_own_is_nobody_elses(void** state) {
  static const size_t sizes[] = { 16 * KIB, 100 * KIB, 1000 * KIB };
  (void)state;
  for (unsigned s = 0; s < SHARDS; s++) get(s, 20 * KIB);
  for (size_t i = 0; i < N_SHARDS; i++)
    for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
      unsigned shard = some_shards[i];
      char *block = get(shard, sizes[j]), *found;
      look(NULL);
      put(shard, block, sizes[j]);
      assert_took_only(&arena.frames.shards[shard].lock.mutex);
      assert_int_equal(changed_for_others(shard), 0);
      look(NULL);
      found = get(shard, sizes[j]);
      assert_ptr_equal(found, block);
      assert_took_only(&arena.frames.shards[shard].lock.mutex);
      assert_int_equal(changed_for_others(shard), 0);
    }
}

/* Of shards that have nothing to give */
static void a_new_slab_needs_no_other_shard(void** state) {
  void* pool;
  (void)state;
  for (unsigned s = 0; s < SHARDS; s++) pool = get_pool(s);
  while (arena.pools.shards[7].n_partial > 0) pool = get_pool(7);
  look(pool);
  pool = get_pool(7);
  for (unsigned s = 0; s < SHARDS; s++)
    if (s != 7)
      assert_memory_equal(&arena.pools.shards[s], &before.pools.shards[s],
                          sizeof(before.pools.shards[s]));
  assert_int_equal(of_shards, 2); /* the own one, before and behind */
  assert_int_equal(slabs_changed_for_others(pool, 7), 0);
}

/* Nor a larger block */
static void a_new_slab_leaves_others_their_blocks(void** state) {
  (void)state;
  for (int i = 0; i < 4; i++)
    assert_non_null(caml_arena_get(&arena, 2048 * MIB));
  for (unsigned s = 0; s < 3; s++) put(s, get(s, 14 * KIB), 14 * KIB);
  assert_int_equal(caml_cache_counts(&arena.cache).bytes, 3 * 14 * KIB);
  get_pool(1);
  assert_int_equal(arena.cache.shards[1].bytes, 0);
  assert_int_equal(caml_cache_counts(&arena.cache).bytes, 2 * 14 * KIB);
  get(2, 2 * MIB);
  assert_int_equal(arena.cache.shards[2].bytes, 0);
  assert_int_equal(caml_cache_counts(&arena.cache).bytes, 14 * KIB);
}

/* jemalloc's slabs get theirs as they are made. */
static void pages_come_when_no_mutex_is_held(void** state) {
  (void)state;
  need_populate();
  fills = filled_with = 0;
  for (int i = 0; i < 1000; i++)
    assert_non_null(caml_arena_get(&arena, 10 * KIB));
  assert_int_not_equal(fills, 0);
  assert_int_equal(filled_with, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    T(lines_have_one_shard),
    T(a_pool_of_the_own_shard_is_nobody_elses),
    T(a_block_that_is_kept_is_nobody_elses),
    T(a_block_in_a_frame_of_the_own_is_nobody_elses),
    T(a_new_slab_needs_no_other_shard),
    T(a_new_slab_leaves_others_their_blocks),
    T(pages_come_when_no_mutex_is_held),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests_name("shards", tests, NULL, NULL);
}
