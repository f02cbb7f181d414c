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

/* micro: how long it takes to put back and get a pool, and large blocks of some
   sizes, one after the other, from a heap of some, with all that the runtime
   counts; by one thread, and how much more two do at once.  And what a page
   takes: in a virtual machine the hypervisor may have a part in it.  Prints
   JSON, nanoseconds. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "heap_in_use.h"
#include "jemalloc_arena.h"

#define HELD 1000     /* blocks of a thread */
#define OPS 200000    /* of which each is timed */
#define MANY 1000000  /* that are timed together */
#define KIB ((size_t)1 << 10)
#define PAGES ((size_t)65536)

static struct caml_arena arena;
static struct caml_heap_in_use in_use;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Blocks, as heap_source_jemalloc.c gets and puts them: pools, or of [least] to
   [most] bytes */
struct kind {
  const char* name;
  size_t least, most;
};

static const struct kind kinds[] = {
  { "pool", 0, 0 },
  { "5_to_13_KiB", 5 * KIB, 13 * KIB },
  { "16_to_64_KiB", 16 * KIB, 64 * KIB },
  { "100_KiB", 100 * KIB, 100 * KIB },
  { "20_to_300_KiB", 20 * KIB, 300 * KIB },
};

static void add(_Atomic size_t* sum, size_t bytes) {
  atomic_fetch_add_explicit(sum, bytes, memory_order_relaxed);
}

static void* get(unsigned thread, size_t size) {
  struct caml_in_use_shard* shard = caml_in_use_shard(&in_use, thread);
  void* block;
  if (size == 0) {
    block = caml_arena_get_pool(&arena, thread);
    add(&shard->pools, CAML_POOL_SIZE);
  } else {
    block = caml_arena_get_cached(&arena, thread, size);
    add(&shard->large, size);
  }
  return block;
}

static void put(unsigned thread, void* block, size_t size) {
  struct caml_in_use_shard* shard = caml_in_use_shard(&in_use, thread);
  if (size == 0) {
    add(&shard->pools, -CAML_POOL_SIZE);
    caml_arena_put_pool(&arena, block);
  } else {
    add(&shard->large, -size);
    caml_arena_put_cached(&arena, thread, block, size);
  }
}

struct work {
  const struct kind* kind;
  unsigned thread;
  uint32_t* each;           /* ns of each operation; NULL: as fast as it goes */
  pthread_barrier_t* ready; /* NULL, or where all wait for each other when
                               they have their blocks */
  uint64_t began, ended;
};

static void* must(void* block) {
  if (block == NULL) {
    fputs("micro: no memory\n", stderr);
    exit(1);
  }
  return block;
}

static uint32_t next(uint32_t* random) {
  *random = *random * 1664525 + 1013904223; /* Numerical Recipes' */
  return *random >> 8;
}

static size_t pick(const struct kind* kind, uint32_t* random) {
  return kind->least + next(random) % (kind->most - kind->least + 1);
}

static void* run(void* data) {
  struct work* w = data;
  void* held[HELD];
  size_t sizes[HELD];
  uint32_t random = 42 + w->thread;
  int ops = w->each == NULL ? MANY : OPS;
  for (int i = 0; i < HELD; i++) {
    sizes[i] = pick(w->kind, &random);
    held[i] = must(get(w->thread, sizes[i]));
  }
  if (w->ready != NULL) pthread_barrier_wait(w->ready);
  w->began = now();
  for (int i = 0; i < ops; i++) {
    uint64_t began = w->each == NULL ? 0 : now();
    unsigned one = next(&random) % HELD;
    put(w->thread, held[one], sizes[one]);
    sizes[one] = pick(w->kind, &random);
    held[one] = must(get(w->thread, sizes[one]));
    if (w->each != NULL) w->each[i] = (uint32_t)(now() - began);
  }
  w->ended = now();
  for (int i = 0; i < HELD; i++) put(w->thread, held[i], sizes[i]);
  return NULL;
}

static int compare(const void* a, const void* b) {
  uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

/* What looking at the clock twice takes */
static uint32_t clock_cost(void) {
  static uint32_t each[OPS];
  for (int i = 0; i < OPS; i++) {
    uint64_t began = now();
    each[i] = (uint32_t)(now() - began);
  }
  qsort(each, OPS, sizeof(each[0]), compare);
  return each[OPS / 2];
}

static void latency(const struct kind* kind) {
  const char* name = kind->name;
  static uint32_t each[OPS];
  struct work w = { .kind = kind, .each = each };
  uint32_t clock = clock_cost();
  run(&w);
  qsort(each, OPS, sizeof(each[0]), compare);
  printf("\"%s_median\": %d, \"%s_99\": %d, \"%s_99.9\": %d, ",
         name, (int)(each[OPS / 2] - clock), name,
         (int)(each[OPS / 100 * 99] - clock), name,
         (int)(each[OPS / 1000 * 999] - clock));
}

/* Operations a second, of all threads, from when all have their blocks */
static double throughput(const struct kind* kind, unsigned threads) {
  pthread_t thread[2];
  pthread_barrier_t ready;
  struct work w[2];
  double sum = 0;
  pthread_barrier_init(&ready, NULL, threads);
  for (unsigned i = 0; i < threads; i++) {
    w[i] = (struct work){ .kind = kind, .thread = i, .ready = &ready };
    pthread_create(&thread[i], NULL, run, &w[i]);
  }
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(thread[i], NULL);
    sum += MANY * 1e9 / (double)(w[i].ended - w[i].began);
  }
  pthread_barrier_destroy(&ready);
  return sum;
}

/* How many in a hundred were found in the cache since [before] */
static double found(const struct caml_cache_counts* before) {
  struct caml_cache_counts now = caml_cache_counts(&arena.cache);
  size_t hits = now.hits - before->hits, misses = now.misses - before->misses;
  return hits + misses == 0 ? 0 : 100. * (double)hits / (double)(hits + misses);
}

static void both(const struct kind* kind) {
  struct caml_cache_counts before;
  double one;
  throughput(kind, 2); /* memory that is touched for the first time is slow */
  latency(kind);
  before = caml_cache_counts(&arena.cache);
  one = throughput(kind, 1);
  printf("\"%s_together\": %.0f, \"%s_found\": %.0f, ", kind->name, 1e9 / one,
         kind->name, found(&before));
  printf("\"%s_two_threads\": %.2f, ", kind->name, throughput(kind, 2) / one);
}

static double touch(char* p, size_t page) {
  uint64_t began = now();
  for (size_t i = 0; i < PAGES; i++) p[i * page] = 1;
  return (double)(now() - began) / PAGES;
}

/* A page that is touched without being there; one that is made by a system call for
   many, as jemalloc_extents.c does; and that one, when it is touched then */
static void pages(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PAGES * page;
  char* p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t began;
  if (p == MAP_FAILED) must(NULL);
  madvise(p, size, MADV_NOHUGEPAGE);
  touch(p, page);
  madvise(p, size, MADV_DONTNEED);
  printf("\"page_touched\": %.0f, ", touch(p, page));
  madvise(p, size, MADV_DONTNEED);
  began = now();
  caml_extents_fill(p, size);
  printf("\"page_populated\": %.0f, ", (double)(now() - began) / PAGES);
  printf("\"page_touched_then\": %.0f", touch(p, page));
  munmap(p, size);
}

int main(void) {
  if (caml_arena_create(&arena, CAML_THP_SYSTEM) != NULL
      || !caml_arena_set_dirty_decay(&arena, 1000)
      || !caml_arena_set_muzzy_decay(&arena, 1000))
    return 1;
  putchar('{');
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) both(&kinds[i]);
  pages();
  puts("}");
  return 0;
}
