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

/* micro: how long it takes to put back and get a pool, and a large block, one after
   the other, from a heap of some; by one thread, and how much more two do at once.  And
   what a page takes: in a virtual machine the hypervisor may have a part in it.
   Prints JSON, nanoseconds. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "jemalloc_arena.h"

#define HELD 1000     /* blocks of a thread */
#define OPS 200000    /* of which each is timed */
#define MANY 1000000  /* that are timed together: threads begin one after the other */
#define LARGE ((size_t)100 << 10)
#define PAGES ((size_t)65536)

static struct caml_arena arena;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One kind of block, as the runtime asks for it */
struct kind {
  void* (*get)(unsigned thread);
  void (*put)(void* block);
};

static void* get_pool(unsigned thread) {
  return caml_arena_get_pool(&arena, thread);
}

static void put_pool(void* pool) {
  caml_arena_put_pool(&arena, pool);
}

static void* get_large(unsigned thread) {
  (void)thread;
  return caml_arena_get(&arena, LARGE);
}

static void put_large(void* block) {
  caml_arena_put(&arena, block, LARGE);
}

static const struct kind pools = { get_pool, put_pool };
static const struct kind large = { get_large, put_large };

struct work {
  const struct kind* kind;
  unsigned thread;
  uint32_t* each; /* ns of each operation; NULL: as fast as it goes */
};

static void* must(void* block) {
  if (block == NULL) {
    fputs("micro: no memory\n", stderr);
    exit(1);
  }
  return block;
}

static void* run(void* data) {
  struct work* w = data;
  void* held[HELD];
  uint32_t random = 42 + w->thread;
  int ops = w->each == NULL ? MANY : OPS;
  for (int i = 0; i < HELD; i++) held[i] = must(w->kind->get(w->thread));
  for (int i = 0; i < ops; i++) {
    uint64_t began = w->each == NULL ? 0 : now();
    void** one;
    random = random * 1664525 + 1013904223; /* Numerical Recipes' */
    one = &held[(random >> 8) % HELD];
    w->kind->put(*one);
    *one = must(w->kind->get(w->thread));
    if (w->each != NULL) w->each[i] = (uint32_t)(now() - began);
  }
  for (int i = 0; i < HELD; i++) w->kind->put(held[i]);
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

static void latency(const char* name, const struct kind* kind) {
  static uint32_t each[OPS];
  struct work w = { kind, 0, each };
  uint32_t clock = clock_cost();
  run(&w);
  qsort(each, OPS, sizeof(each[0]), compare);
  printf("\"%s_median\": %d, \"%s_99\": %d, \"%s_99.9\": %d, ",
         name, (int)(each[OPS / 2] - clock), name,
         (int)(each[OPS / 100 * 99] - clock), name,
         (int)(each[OPS / 1000 * 999] - clock));
}

/* Operations a second, of all threads */
static double throughput(const struct kind* kind, unsigned threads) {
  pthread_t thread[2];
  struct work w[2] = { { kind, 0, NULL }, { kind, 1, NULL } };
  uint64_t began = now();
  for (unsigned i = 0; i < threads; i++)
    pthread_create(&thread[i], NULL, run, &w[i]);
  for (unsigned i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  return (double)MANY * threads * 1e9 / (double)(now() - began);
}

static void both(const char* name, const struct kind* kind) {
  double one;
  throughput(kind, 2); /* memory that is touched for the first time is slow */
  latency(name, kind);
  one = throughput(kind, 1);
  printf("\"%s_two_threads\": %.2f", name, throughput(kind, 2) / one);
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
  both("pool", &pools);
  fputs(", ", stdout);
  both("large", &large);
  fputs(", ", stdout);
  pages();
  puts("}");
  return 0;
}
