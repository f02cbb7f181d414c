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

/* Frames, on an arena: which run a block gets, what becomes of free pages, and
   what is counted. */

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
#define FRAME CAML_FRAME_SIZE
#define N 8 /* blocks of a frame, in most tests */
#define PART (FRAME / N)
#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* The bits of a frame, beside one byte for each */

static struct caml_page_bits bits;
static unsigned char bytes[CAML_FRAME_PAGES];

static unsigned random_below(unsigned n) {
  static uint32_t x = 42;
  x = x * 1664525 + 1013904223;
  return (x >> 8) % n;
}

static unsigned find_byte(unsigned from, unsigned char value) {
  while (from < CAML_FRAME_PAGES && bytes[from] != value) from++;
  return from;
}

static void look_at_bits(unsigned first, unsigned n) {
  unsigned count = 0, before = 0, length;
  for (unsigned i = first; i < first + n; i++) count += bytes[i];
  while (before < first && bytes[first - before - 1] == 0) before++;
  assert_int_equal(caml_page_bits_count(&bits, first, n), count);
  assert_int_equal(caml_page_bits_find(&bits, first, 0), find_byte(first, 1));
  assert_int_equal(caml_page_bits_find(&bits, first, ~(uint64_t)0),
                   find_byte(first, 0));
  assert_int_equal(caml_page_bits_before(&bits, first), before);
  assert_int_equal(caml_page_bits_run(&bits, first, &length),
                   find_byte(first, 1));
  assert_int_equal(length, find_byte(find_byte(first, 1), 0)
                             - find_byte(first, 1));
}

static void bits_are_as_bytes(void** state) {
  (void)state;
  memset(&bits, 0, sizeof(bits));
  memset(bytes, 0, sizeof(bytes));
  look_at_bits(0, CAML_FRAME_PAGES);
  for (int i = 0; i < 20000; i++) {
    unsigned first = random_below(CAML_FRAME_PAGES);
    unsigned n = 1 + random_below(CAML_FRAME_PAGES - first);
    bool set = random_below(2) == 0;
    if (random_below(4) > 0 && n > 9) n = 9;
    if (set) caml_page_bits_set(&bits, first, n);
    else caml_page_bits_clear(&bits, first, n);
    memset(bytes + first, set, n);
    first = random_below(CAML_FRAME_PAGES);
    look_at_bits(first, 1 + random_below(CAML_FRAME_PAGES - first));
  }
  assert_int_equal(caml_page_bits_find(&bits, CAML_FRAME_PAGES, 0),
                   CAML_FRAME_PAGES);
}

/* Blocks */

static char* get_from(unsigned shard, size_t size) {
  char* block = caml_frames_get(&arena.frames, shard, size);
  assert_non_null(block);
  memset(block, 1, size);
  return block;
}

static char* get(size_t size) {
  return get_from(0, size);
}

static void put(char* block, size_t size) {
  assert_true(caml_frames_put(&arena.frames, block, size));
}

/* All parts of one frame, in their order */
static void get_frame(char** p) {
  for (int i = 0; i < N; i++) p[i] = get(PART);
  for (int i = 0; i < N; i++) assert_ptr_equal(p[i], p[0] + (size_t)i * PART);
  assert_int_equal((uintptr_t)p[0] % FRAME, 0);
}

static void assert_free(size_t dirty, size_t muzzy, size_t retained) {
  struct caml_free_pages some = caml_frames_free(&arena.frames);
  assert_int_equal(some.dirty, dirty);
  assert_int_equal(some.muzzy, muzzy);
  assert_int_equal(some.retained, retained);
}

static size_t committed(void) {
  return caml_extents_committed(&arena.extents);
}

static void blocks_have_their_sizes(void** state) {
  size_t page = PAGE, least = page / 2 * 7 + 1;
  char* block;
  (void)state;
  assert_null(caml_frames_get(&arena.frames, 0, least - 1));
  assert_null(caml_frames_get(&arena.frames, 0, MIB + 1));
  for (size_t size = least; size <= MIB; size += 3 * KIB + 1) {
    size_t free;
    block = get(size);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_in_range((uintptr_t)block % page + size, size,
                    (size + page - 1) & -page);
    free = caml_frames_free(&arena.frames).retained
      + caml_frames_free(&arena.frames).dirty;
    assert_int_equal((FRAME - free % FRAME) % FRAME,
                     (size + page - 1) & -page);
    put(block, size);
  }
}

static void what_is_no_frames_is_not_taken(void** state) {
  char* block = caml_arena_get(&arena, 100 * KIB);
  (void)state;
  assert_false(caml_frames_put(&arena.frames, block, 100 * KIB));
  caml_arena_put(&arena, block, 100 * KIB);
}

/* A block that needs no more pages for that begins at another line than those
   before and behind it. */
static void blocks_begin_at_different_lines(void** state) {
  enum { MANY = 64 };
  size_t page = PAGE, size = 6 * page + 24;
  bool used[MANY * 16] = { false };
  int lines = 0;
  char* p[MANY];
  (void)state;
  for (int i = 0; i < MANY; i++) {
    p[i] = caml_arena_get_cached(&arena, 0, size);
    assert_int_equal((uintptr_t)p[i] % 64, 0);
    assert_in_range((uintptr_t)p[i] % page + size, size, 7 * page);
    used[(uintptr_t)p[i] % page / 64 % (MANY * 16)] = true;
  }
  for (int i = 0; i < MANY * 16; i++) lines += used[i];
  assert_in_range(lines, MANY / 2, MANY);
  for (int i = 0; i < MANY; i++) caml_arena_put_cached(&arena, 0, p[i], size);
  p[0] = caml_arena_get_cached(&arena, 0, 6 * page); /* no room for it */
  assert_int_equal((uintptr_t)p[0] % page, 0);
  caml_arena_put_cached(&arena, 0, p[0], 6 * page);
}

static void the_shortest_run_that_is_long_enough_serves(void** state) {
  char* p[N];
  (void)state;
  get_frame(p);
  put(p[1], PART);
  put(p[2], PART);
  put(p[4], PART);
  put(p[6], PART);
  put(p[7], PART);
  assert_ptr_equal(get(PART), p[4]);
  assert_ptr_equal(get(2 * PART), p[6]); /* put last, so that it is warm */
  assert_ptr_equal(get(2 * PART), p[1]);
}

static void neighbours_become_one_run(void** state) {
  static const int orders[][3] = { { 2, 3, 4 }, { 4, 3, 2 }, { 2, 4, 3 } };
  (void)state;
  for (int i = 0; i < 3; i++) {
    char *p[N], *q;
    get_frame(p);
    for (int j = 0; j < 3; j++) put(p[orders[i][j]], PART);
    assert_true(caml_page_bits_count(&arena.frames.shards[0].lengths,
                                     (unsigned)(3 * PART / PAGE) - 1, 1));
    q = get(2 * PART);
    assert_ptr_equal(q, p[2]);
    assert_ptr_equal(get(PART), p[4]);
    put(q, 2 * PART);
    put(p[4], PART);
    for (int j = 0; j < N; j++) if (j < 2 || j > 4) put(p[j], PART);
    assert_int_equal(caml_frames_free(&arena.frames).dirty, FRAME);
  }
}

/* Two of 704 KiB leave a third of a frame free: the next ones lie elsewhere,
   but where others have taken that. */
static void the_ends_of_frames_are_not_left_free(void** state) {
  size_t size = 704 * KIB, end = FRAME - 2 * size;
  char* p = get(size);
  (void)state;
  assert_int_equal((uintptr_t)get(size) / FRAME, (uintptr_t)p / FRAME);
  assert_null(caml_frames_get(&arena.frames, 0, size));
  assert_non_null(caml_arena_get_cached(&arena, 0, size));
  assert_int_equal((uintptr_t)get(end) / FRAME, (uintptr_t)p / FRAME);
  assert_int_equal((uintptr_t)get(size) % FRAME, 0);
}

/* What is left of a run may be too short for any block: it is part of a longer
   one as soon as its neighbour is free. */
static void short_rests_are_not_lost(void** state) {
  size_t page = PAGE;
  char *p = get(FRAME / 2), *q, *r;
  (void)state;
  q = get(FRAME / 2 - 2 * page);
  r = get(5 * page); /* from another frame */
  assert_true(r < p || r >= p + FRAME);
  put(q, FRAME / 2 - 2 * page);
  assert_ptr_equal(get(FRAME / 2), q);
}

/* A free run whose pages are there comes before one as long without them. */
static void pages_that_are_there_come_first(void** state) {
  char* p[N];
  (void)state;
  get_frame(p);
  put(p[2], PART);
  assert_true(caml_arena_purge(&arena));
  put(p[5], PART);
  assert_ptr_equal(get(PART), p[5]);
  assert_ptr_equal(get(PART), p[2]);
}

/* One stays for the next block. */
static void an_empty_frame_goes_back(void** state) {
  char *p[N], *q[N];
  (void)state;
  get_frame(p);
  get_frame(q);
  for (int i = 0; i < N; i++) put(p[i], PART);
  assert_free(FRAME, 0, 0);
  for (int i = 0; i < N; i++) put(q[i], PART);
  assert_free(FRAME, 0, 0);
  assert_true(caml_frames_release(&arena.frames));
  assert_false(caml_frames_release(&arena.frames));
  assert_free(0, 0, 0);
}

static void purge_takes_the_holes(void** state) {
  char* p[N];
  (void)state;
  get_frame(p);
  for (int i = 0; i < N; i += 2) put(p[i], PART);
  assert_free(FRAME / 2, 0, 0);
  assert_int_equal(smaps_resident(p[0], FRAME), FRAME);
  assert_true(caml_arena_purge(&arena));
  assert_free(0, 0, FRAME / 2);
  assert_int_equal(smaps_resident(p[0], FRAME), FRAME / 2);
  for (int i = 1; i < N; i += 2) assert_int_equal(p[i][PART - 1], 1);
}

/* To the byte, also of a frame that goes back with pages missing and comes
   again, with jemalloc's purge in between or not */
static void committed_is_what_has_pages(void** state) {
  char* p[N];
  (void)state;
  for (int i = 0; i < 4; i++) {
    p[0] = get(PART);
    assert_int_equal(committed(), i % 2 == 0 ? PART : FRAME);
    put(p[0], PART);
    get_frame(p);
    assert_int_equal(committed(), FRAME);
    for (int j = 2; j < N; j++) put(p[j], PART);
    assert_true(caml_arena_purge(&arena));
    assert_int_equal(committed(), 2 * PART);
    put(p[0], PART);
    put(p[1], PART);
    assert_true(caml_frames_release(&arena.frames));
    assert_int_equal(committed(), FRAME); /* jemalloc takes it for dirty */
    if (i % 2 == 0) continue;
    assert_true(caml_arena_purge(&arena));
    assert_int_equal(committed(), 0);
  }
}

/* Decays until nothing is dirty, and nothing muzzy */
static void wait_for_decay(void) {
  for (int i = 0; i < 1000 && caml_frames_decays(&arena.frames); i++) {
    usleep(10000);
    caml_frames_decay(&arena.frames);
  }
  assert_false(caml_frames_decays(&arena.frames));
}

static void decay_takes_what_nobody_asks_for(void** state) {
  char* p[N];
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, 40);
  caml_frames_set_muzzy_decay(&arena.frames, 0);
  get_frame(p);
  for (int i = 0; i < N; i += 2) put(p[i], PART);
  wait_for_decay();
  assert_free(0, 0, FRAME / 2);
  assert_int_equal(smaps_resident(p[0], FRAME), FRAME / 2);
}

static void dirty_pages_become_muzzy_first(void** state) {
  char* p[N];
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, 40);
  caml_frames_set_muzzy_decay(&arena.frames, -1);
  get_frame(p);
  put(p[3], PART);
  wait_for_decay();
  assert_free(0, PART, 0);
  assert_ptr_equal(get(PART), p[3]);
  put(p[3], PART);
  wait_for_decay();
  caml_frames_set_muzzy_decay(&arena.frames, 40);
  wait_for_decay();
  assert_free(0, 0, PART);
}

static void put_one(void) {
  put(get(PART), PART);
}

static void puts_leave_decay_to_the_thread(void** state) {
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, LATE_TIME);
  caml_frames_set_muzzy_decay(&arena.frames, 0);
  assert_puts_look_late(&arena.frames.shards[0].dirty_since, put_one);
}

static void* lock_all(void* unused) {
  caml_frames_lock(&arena.frames);
  caml_frames_unlock(&arena.frames);
  return unused;
}

static void who_takes_all_shards_is_seen_to_wait(void** state) {
  (void)state;
  assert_seen_to_wait(&arena.frames.shards[5].lock, lock_all);
}

static pthread_barrier_t barrier;

static void* hold_decay(void* data) {
  (void)data;
  caml_arena_hold_decay(&arena);
  pthread_barrier_wait(&barrier); /* it holds */
  pthread_barrier_wait(&barrier); /* the test is over */
  caml_arena_release_decay(&arena);
  return NULL;
}

static bool is_held_once(void) {
  return atomic_load(&arena.held) == 1;
}

/* A thread that holds decay may fork; what others hold ends with them. */
static void a_child_holds_what_its_thread_held(void** state) {
  pthread_t other;
  (void)state;
  pthread_barrier_init(&barrier, NULL, 2);
  assert_int_equal(pthread_create(&other, NULL, hold_decay, NULL), 0);
  pthread_barrier_wait(&barrier);
  caml_arena_hold_decay(&arena);
  assert_int_equal(atomic_load(&arena.held), 2);
  fork_often(3, is_held_once);
  caml_arena_release_decay(&arena);
  assert_true(is_held_once());
  pthread_barrier_wait(&barrier);
  pthread_join(other, NULL);
  assert_int_equal(atomic_load(&arena.held), 0);
  pthread_barrier_destroy(&barrier);
}

static void decay_can_be_held(void** state) {
  char* p[N];
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, 20);
  get_frame(p);
  put(p[3], PART);
  caml_arena_hold_decay(&arena);
  for (int i = 0; i < 20; i++) {
    usleep(5000);
    caml_frames_decay(&arena.frames);
  }
  assert_free(PART, 0, 0);
  caml_arena_release_decay(&arena);
  usleep(50000);
  caml_frames_decay(&arena.frames);
  usleep(50000);
  caml_frames_decay(&arena.frames);
  assert_int_equal(caml_frames_free(&arena.frames).dirty, 0);
}

static void decay_may_be_never_or_at_once(void** state) {
  char* p[N];
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, -1);
  get_frame(p);
  put(p[0], PART);
  assert_false(caml_frames_decays(&arena.frames));
  caml_frames_decay(&arena.frames);
  assert_free(PART, 0, 0);
  caml_frames_set_muzzy_decay(&arena.frames, 0);
  caml_frames_set_dirty_decay(&arena.frames, 0);
  assert_free(0, 0, PART);
  put(p[1], PART);
  assert_free(0, 0, 2 * PART);
}

static void shards_have_frames_of_their_own(void** state) {
  char *p = get_from(0, PART), *q = get_from(1, PART);
  (void)state;
  assert_int_not_equal((uintptr_t)p / FRAME, (uintptr_t)q / FRAME);
  put(p, PART);
  assert_ptr_not_equal(get_from(1, PART), p);
  assert_ptr_equal(get_from(0, PART), p);
}

/* But where there is no memory for another frame, they share. */
static void without_memory_shards_share(void** state) {
  pid_t child;
  int status;
  (void)state;
  not_under_a_sanitizer();
  get_from(0, PART);
  child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    size_t size = 64 * MIB;
    set_limit(RLIMIT_AS, MIB); /* less than there is */
    while (size >= 64 * KIB) /* all that there is */
      if (caml_arena_get(&arena, size) == NULL) size /= 2;
    for (int i = 1; i < N; i++)
      if (caml_frames_get(&arena.frames, 1, PART) == NULL) _exit(1);
    _exit(caml_frames_get(&arena.frames, 1, PART) == NULL ? 0 : 2);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

/* The pages of a block that will be filled, and in a large heap those for more
   of its size behind it, by one system call */
static void a_large_heap_gets_pages_ahead(void** state) {
  char *p, *q;
  (void)state;
  need_populate();
  p = caml_arena_get_cached(&arena, 0, PART);
  caml_arena_populate(&arena, p, PART);
  assert_int_equal(smaps_resident(p, FRAME), PART);
  assert_non_null(caml_arena_get(&arena, 32 * MIB));
  caml_arena_filled_ahead(&arena);
  p = caml_arena_get_cached(&arena, 1, PART);
  assert_free(0, 0, 2 * (FRAME - PART));
  caml_arena_populate(&arena, p, PART);
  assert_int_equal(smaps_resident(p, FRAME), FRAME);
  assert_free(FRAME - PART, 0, FRAME - PART);
  assert_true(caml_arena_filled_ahead(&arena));
  assert_false(caml_arena_filled_ahead(&arena));
  assert_int_equal(committed(), 32 * MIB + PART + FRAME);
  assert_ptr_equal(caml_arena_get_cached(&arena, 1, PART), p + PART);
  assert_int_equal(caml_extents_got(), 0);
  q = caml_arena_get_cached(&arena, 2, 5 * PAGE);
  caml_arena_populate(&arena, q, 5 * PAGE);
  assert_int_equal(smaps_resident(q, FRAME), FRAME / (5 * PAGE) * 5 * PAGE);
}

/* Nor is anything counted that did not come. */
static void without_memory_none_come_ahead(void** state) {
  char* p;
  (void)state;
  need_populate();
  assert_non_null(caml_arena_get(&arena, 32 * MIB));
  p = caml_arena_get_cached(&arena, 1, PART);
  no_memory_for_pages = true;
  caml_arena_populate(&arena, p, PART);
  no_memory_for_pages = false;
  assert_free(0, 0, FRAME - PART);
  assert_int_equal(committed(), 32 * MIB + PART);
  assert_int_equal(smaps_resident(p, FRAME), 0);
}

static bool child_grows(void) {
  char* p = caml_arena_get_cached(&arena, 1, PART);
  caml_arena_populate(&arena, p, PART);
  return smaps_resident(p, FRAME) == PART;
}

static void a_child_of_a_large_heap_gets_none(void** state) {
  (void)state;
  need_populate();
  assert_non_null(caml_arena_get(&arena, 32 * MIB));
  fork_often(1, child_grows);
}

/* Threads: each block is written by who has it, and put by another. */

enum { HELD = 64, THREADS = 4 };
static char* _Atomic held[HELD]; /* the first word is the size */
static atomic_bool stop;

static void* exchange(void* data) {
  unsigned shard = (unsigned)(uintptr_t)data, random = shard + 1;
  for (unsigned n = 0; !atomic_load(&stop); n++) {
    unsigned i = (random = random * 1664525 + 1013904223) >> 8 & (HELD - 1);
    size_t size = PAGE / 2 * 7 + 1 + (random >> 16) % (300 * KIB);
    char *block = caml_frames_get(&arena.frames, shard, size), *other;
    if (block == NULL) continue; /* too much would stay free */
    *(size_t*)block = size;
    block[size - 1] = (char)size;
    other = atomic_exchange(&held[i], block);
    if (other == NULL) continue;
    size = *(size_t*)other;
    if (other[size - 1] != (char)size) return "two have one block";
    if (!caml_frames_put(&arena.frames, other, size)) return "no block";
  }
  return NULL;
}

static pthread_t threads[THREADS];

static void start(void) {
  memset(held, 0, sizeof(held));
  atomic_store(&stop, false);
  for (uintptr_t i = 0; i < THREADS; i++)
    assert_int_equal(
      pthread_create(&threads[i], NULL, exchange, (void*)(i / 2)), 0);
}

static void end(void) {
  atomic_store(&stop, true);
  for (int i = 0; i < THREADS; i++) {
    void* failure;
    pthread_join(threads[i], &failure);
    assert_null(failure);
  }
}

static void no_block_has_two_owners(void** state) {
  (void)state;
  caml_frames_set_dirty_decay(&arena.frames, 10);
  start();
  for (int i = 0; i < 100; i++) {
    caml_frames_decay(&arena.frames);
    usleep(2000);
    if (i % 10 == 0) caml_frames_purge(&arena.frames);
    caml_frames_free(&arena.frames);
  }
  end();
  for (int i = 0; i < HELD; i++)
    if (held[i] != NULL) put(held[i], *(size_t*)held[i]);
  caml_frames_release(&arena.frames);
  assert_free(0, 0, 0);
}

static bool child_uses_frames(void) {
  for (unsigned n = 0; n < 100; n++) {
    char* block = caml_frames_get(&arena.frames, n % 4, PART);
    if (block == NULL || !caml_frames_put(&arena.frames, block, PART))
      return false;
  }
  caml_frames_purge(&arena.frames);
  return true;
}

static void a_forked_child_uses_frames(void** state) {
  (void)state;
  start();
  fork_often(50, child_uses_frames);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bits_are_as_bytes),
    T(blocks_have_their_sizes),
    T(what_is_no_frames_is_not_taken),
    T(blocks_begin_at_different_lines),
    T(the_shortest_run_that_is_long_enough_serves),
    T(neighbours_become_one_run),
    T(the_ends_of_frames_are_not_left_free),
    T(short_rests_are_not_lost),
    T(pages_that_are_there_come_first),
    T(an_empty_frame_goes_back),
    T(purge_takes_the_holes),
    T(committed_is_what_has_pages),
    T(decay_takes_what_nobody_asks_for),
    T(dirty_pages_become_muzzy_first),
    T(puts_leave_decay_to_the_thread),
    T(who_takes_all_shards_is_seen_to_wait),
    T(a_child_holds_what_its_thread_held),
    T(decay_can_be_held),
    T(decay_may_be_never_or_at_once),
    T(shards_have_frames_of_their_own),
    T(without_memory_shards_share),
    T(a_large_heap_gets_pages_ahead),
    T(without_memory_none_come_ahead),
    T(a_child_of_a_large_heap_gets_none),
    T(no_block_has_two_owners),
    T(a_forked_child_uses_frames),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
