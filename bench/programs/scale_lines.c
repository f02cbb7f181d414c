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

/* scale_lines: what a get and a put of each kind take on a heap that others use
   too: locks, how long each is held, and lines of the processor's cache that
   are written and are not the domain's own.  All memory that the process may
   write is compared with what it was before, line by line: this thread's stack
   and data, blocks and what measures are left out.  So a line on which the same
   was written as was there is missed, except that of a lock, which is counted
   with what changed.  Prints JSON. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "scale_arena.h"

#define LINE 64
#define TIMED 1000
#define LOOKED 50
#define HELD 600 /* blocks of each shard that stay */
#define KIB ((size_t)1 << 10)
#define MOST_RANGES 512

struct range { char *p, *copy; size_t size; };

/* In memory of its own */
static struct {
  struct range ranges[MOST_RANGES];
  unsigned n;
  size_t ours, jemallocs; /* lines */
  struct { const void* lock; uint64_t taken, held, since; } locks[64];
  unsigned n_locks;
  char* copies;
} *state;
#define COPIES ((size_t)256 << 20)

/* Blocks lie in these parts of 2 MiB, by address. */
static uint64_t* parts;
#define PARTS ((size_t)1 << 27)

static void note_block(const void* block, size_t size) {
  uintptr_t first = (uintptr_t)block / CAML_HUGE_PAGE_SIZE;
  uintptr_t last = ((uintptr_t)block + size) / CAML_HUGE_PAGE_SIZE;
  for (uintptr_t i = first; i <= last; i++)
    parts[i % PARTS / 64] |= (uint64_t)1 << i % 64;
}

static bool is_block(const void* p) {
  uintptr_t i = (uintptr_t)p / CAML_HUGE_PAGE_SIZE;
  return parts[i % PARTS / 64] >> i % 64 & 1;
}

/* What frames note down of those of the first shard */
static const void* own_frames[1024];
static unsigned n_own_frames;

static const void* frame_at(const void* block) {
  uintptr_t n = (uintptr_t)block / CAML_FRAME_SIZE;
  caml_frame_entry* leaf = scale_arena.frames.leaves[n / CAML_FRAMES_LEAF];
  return leaf == NULL ? NULL : leaf[n % CAML_FRAMES_LEAF];
}

static unsigned find_own_frame(const void* frame) {
  unsigned i = 0;
  while (i < n_own_frames && own_frames[i] != frame) i++;
  return i;
}

static void note_frame(unsigned shard, const void* block) {
  const void* frame = frame_at(block);
  unsigned i = find_own_frame(frame);
  if (frame == NULL) return;
  scale_need(i < 1024, "too many frames");
  if (shard == 0 && i == n_own_frames) own_frames[n_own_frames++] = frame;
  if (shard != 0 && i < n_own_frames)
    own_frames[i] = own_frames[--n_own_frames];
}

static void note(unsigned shard, const void* block, size_t size) {
  note_block(block, scale_bytes(size));
  if (scale_is_of_frame(size)) note_frame(shard, block);
}

static void* get(unsigned shard, size_t size) {
  void* block = scale_get(shard, size);
  note(shard, block, size);
  *(volatile char*)block = 1;
  return block;
}

/* What is looked at */

static bool is_looked_at(const char* start, const char* end) {
  const char* self = (const char*)pthread_self();
  const char* here = __builtin_frame_address(0);
  return !(self >= start && self < end) && !(here >= start && here < end)
    && !scale_is_own(start);
}

static void add_range(char* start, char* end) {
  while (start < end) {
    char* stop = (char*)(((uintptr_t)start / CAML_HUGE_PAGE_SIZE + 1)
                         * CAML_HUGE_PAGE_SIZE);
    if (stop > end) stop = end;
    if (!is_block(start)) {
      scale_need(state->n < MOST_RANGES, "too many mappings");
      state->ranges[state->n++] = (struct range){ start, NULL,
                                                  (size_t)(stop - start) };
    }
    start = stop;
  }
}

static void find_ranges(void) {
  FILE* f = fopen("/proc/self/maps", "r");
  char line[512], access[8], name[512];
  unsigned long start, end;
  size_t copied = 0;
  scale_need(f != NULL, "/proc/self/maps");
  state->n = 0;
  while (fgets(line, sizeof(line), f) != NULL) {
    name[0] = 0;
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %511s", &start, &end, access,
               name) < 3 || access[1] != 'w' || strcmp(name, "[heap]") == 0)
      continue;
    if (is_looked_at((char*)start, (char*)end))
      add_range((char*)start, (char*)end);
  }
  fclose(f);
  for (unsigned i = 0; i < state->n; i++) {
    state->ranges[i].copy = state->copies + copied;
    copied += state->ranges[i].size;
    scale_need(copied <= COPIES, "too much memory to look at");
  }
}

static void copy_all(void) {
  for (unsigned i = 0; i < state->n; i++)
    memcpy(state->ranges[i].copy, state->ranges[i].p, state->ranges[i].size);
}

/* Whose a line is */

static bool is_in(const void* p, const void* start, size_t size) {
  return (const char*)p >= (const char*)start
    && (const char*)p < (const char*)start + size;
}

/* The slab whose description lies at [p]: its first word is its shard. */
static const uint16_t* slab_at(const void* p) {
  size_t leaf = CAML_SLABS_LEAF * CAML_CACHE_LINES;
  for (size_t i = 0; i < CAML_SLABS_ROOT; i++) {
    const char* start = (const char*)scale_arena.pools.leaves[i];
    if (start != NULL && is_in(p, start, leaf))
      return (const uint16_t*)((uintptr_t)p & -(uintptr_t)CAML_CACHE_LINES);
  }
  return NULL;
}

/* Both are of a page of their own. */
static bool is_of_own_frames(const void* p) {
  const void* page = (const void*)((uintptr_t)p & -(uintptr_t)(4 * KIB));
  return page == scale_arena.frames.shards[0].by_length
    || find_own_frame(page) < n_own_frames;
}

static bool is_own(const void* p) {
  const struct caml_arena* a = &scale_arena;
  const uint16_t* slab = slab_at(p);
  return is_in(p, &a->cache.shards[0], sizeof(a->cache.shards[0]))
    || is_in(p, &a->pools.shards[0], sizeof(a->pools.shards[0]))
    || is_in(p, &a->frames.shards[0], sizeof(a->frames.shards[0]))
    || is_of_own_frames(p)
    || is_in(p, &scale_in_use.shards[0], sizeof(scale_in_use.shards[0]))
    || (slab != NULL && *slab == 0);
}

static bool is_of_frames(const void* p) {
  const struct caml_frames* f = &scale_arena.frames;
  for (size_t i = 0; i < CAML_FRAMES_ROOT; i++) {
    const char* leaf = (const char*)f->leaves[i];
    if (leaf != NULL
        && is_in(p, leaf, CAML_FRAMES_LEAF * sizeof(caml_frame_entry)))
      return true;
  }
  for (unsigned i = 0; i < CAML_POOL_SHARDS; i++)
    if (f->shards[i].by_length != NULL
        && is_in(p, f->shards[i].by_length, 4 * KIB))
      return true;
  return false;
}

static void count_line(const void* p) {
  if (is_own(p)) return;
  if (is_in(p, &scale_arena, sizeof(scale_arena))
      || is_in(p, &scale_in_use, sizeof(scale_in_use)) || slab_at(p) != NULL
      || is_of_frames(p))
    state->ours++;
  else
    state->jemallocs++;
}

static bool is_changed(const void* p) {
  for (unsigned i = 0; i < state->n; i++) {
    const struct range* r = &state->ranges[i];
    size_t at = (size_t)((const char*)p - r->p) / LINE * LINE;
    if (is_in(p, r->p, r->size))
      return memcmp(r->p + at, r->copy + at, LINE) != 0;
  }
  return false;
}

static void count_changes(const struct range* r) {
  size_t page = 4 * KIB;
  for (size_t at = 0; at < r->size; at += page) {
    if (memcmp(r->p + at, r->copy + at, page) == 0) continue;
    for (size_t i = at; i < at + page; i += LINE)
      if (memcmp(r->p + i, r->copy + i, LINE) != 0) count_line(r->p + i);
  }
}

/* The lines of locks that are as they were */
static void count_locks(const struct scale_steps* done) {
  for (size_t i = 0; i < done->n; i++) {
    uintptr_t line = (uintptr_t)done->steps[i].lock / LINE;
    bool again = !done->steps[i].taken;
    for (size_t j = 0; j < i && !again; j++)
      again = (uintptr_t)done->steps[j].lock / LINE == line;
    if (!again && !is_changed(done->steps[i].lock))
      count_line(done->steps[i].lock);
  }
}

/* Times */

static void add_times(const struct scale_steps* done) {
  uint64_t now = 0;
  for (size_t i = 0; i < done->n; i++) {
    const struct scale_step* s = &done->steps[i];
    unsigned l = 0;
    now += s->after;
    while (l < state->n_locks && state->locks[l].lock != s->lock) l++;
    scale_need(l < 64, "too many locks");
    if (l == state->n_locks) {
      state->n_locks++;
      state->locks[l].lock = s->lock;
    }
    if (s->taken) {
      state->locks[l].taken++;
      state->locks[l].since = now;
    } else {
      state->locks[l].held += now - state->locks[l].since;
    }
  }
}

/* What is done: [before], a get or a put that is looked at, [after]. */
struct kind {
  const char* name;
  size_t size;
  bool put; /* is looked at */
  void (*before)(void);
  unsigned shard; /* whose block is put */
};

static void* spare[4096];
static unsigned n_spare;
static size_t spare_size;

static void nothing(void) {}

static void put_spare(void) {
  while (n_spare > 0) scale_put(0, spare[--n_spare], spare_size);
}

static void take_spare(size_t size) {
  scale_need(n_spare < 4096, "too many blocks");
  spare_size = size;
  spare[n_spare++] = get(0, size);
}

/* There is no free pool in the own shard. */
static void exhaust(void) {
  put_spare();
  while (scale_arena.pools.shards[0].partial != NULL)
    take_spare(0);
}

/* Nor in another's */
static void* all[4096];
static unsigned n_all;
static void exhaust_all(void) {
  while (n_all > 0) scale_put(1, all[--n_all], 0);
  do all[n_all++] = get(1, 0);
  while (scale_arena.pools.shards[1].partial != NULL);
  exhaust();
}

/* Another shard has free pools in slabs that it does not take from. */
static void leave_others(void) {
  while (n_all > 0) scale_put(1, all[--n_all], 0);
  for (n_all = 0; n_all < 4 * CAML_SLAB_POOLS; n_all++) all[n_all] = get(1, 0);
  for (unsigned i = 0; i < 4 * CAML_SLAB_POOLS; i += 8) {
    scale_put(1, all[i], 0);
    all[i] = NULL;
  }
  unsigned n = 0;
  for (unsigned i = 0; i < n_all; i++) if (all[i] != NULL) all[n++] = all[i];
  n_all = n;
  exhaust();
}

/* The own frames have no run that is long enough. */
static void exhaust_frames(void) {
  const struct caml_page_bits* lengths = &scale_arena.frames.shards[0].lengths;
  put_spare();
  while (caml_page_bits_find(lengths, 100 * KIB / (4 * KIB) - 1, 0)
         < CAML_FRAME_PAGES)
    take_spare(100 * KIB);
}

static void empty_cache(void) {
  caml_cache_empty(&scale_arena.cache);
}

static bool closed;
static void close_cache(void) {
  if (!closed) caml_cache_close(&scale_arena.cache);
  closed = true;
}

static const struct kind kinds[] = {
  { "pool, own shard", 0, false, nothing, 0 },
  { "pool, own shard", 0, true, nothing, 0 },
  { "pool, another's shard", 0, false, leave_others, 0 },
  { "pool, another's shard", 0, true, nothing, 1 },
  { "pool, new slab", 0, false, exhaust_all, 0 },
  { "10 KiB, found", 10 * KIB, false, nothing, 0 },
  { "10 KiB, kept", 10 * KIB, true, nothing, 0 },
  { "10 KiB, not found", 10 * KIB, false, empty_cache, 0 },
  { "10 KiB, not kept", 10 * KIB, true, close_cache, 0 },
  { "100 KiB, own shard", 100 * KIB, false, nothing, 0 },
  { "100 KiB, own shard", 100 * KIB, true, nothing, 0 },
  { "100 KiB, another's shard", 100 * KIB, true, nothing, 1 },
  { "100 KiB, new frame", 100 * KIB, false, exhaust_frames, 0 },
  { "4 MiB", 4096 * KIB, false, nothing, 0 },
  { "4 MiB", 4096 * KIB, true, nothing, 0 },
};

/* Once: what is found is put before, and what is got is put behind. */
static void* prepare(const struct kind* k) {
  void* block = NULL;
  if (k->put) {
    block = get(k->shard, k->size);
  } else if (k->before == nothing) {
    scale_put(0, get(0, k->size), k->size);
  }
  k->before();
  return block;
}

static const struct scale_steps* once(const struct kind* k, void** block,
                                      bool look) {
  const struct scale_steps* done;
  if (look) {
    find_ranges();
    copy_all();
  }
  scale_begin();
  if (k->put) scale_put(0, *block, k->size);
  else *block = scale_get(0, k->size);
  done = scale_end();
  return done;
}

static void clean_up(const struct kind* k, void* block) {
  if (k->put) return;
  note(0, block, k->size);
  scale_put(0, block, k->size);
}

static void print(const struct kind* k, uint64_t work) {
  printf("{\"call\": \"%s\", \"name\": \"%s\", \"ours\": %.2f, "
         "\"jemallocs\": %.2f, \"work\": %.0f, \"locks\": [",
         k->put ? "put" : "get", k->name, (double)state->ours / LOOKED,
         (double)state->jemallocs / LOOKED, (double)work / TIMED);
  for (unsigned i = 0; i < state->n_locks; i++)
    printf("%s{\"name\": \"%s\", \"taken\": %.2f, \"held\": %.0f}",
           i > 0 ? ", " : "", scale_lock_name(state->locks[i].lock),
           (double)state->locks[i].taken / TIMED,
           (double)state->locks[i].held / (double)state->locks[i].taken);
  puts("]}");
}

static void measure(const struct kind* k) {
  uint64_t work = 0;
  state->n_locks = 0;
  memset(state->locks, 0, sizeof(state->locks));
  state->ours = state->jemallocs = 0;
  for (int i = 0; i < TIMED + LOOKED; i++) {
    void* block = prepare(k);
    const struct scale_steps* done = once(k, &block, i >= TIMED);
    if (i < TIMED) {
      add_times(done);
      for (size_t s = 0; s < done->n; s++) work += done->steps[s].after;
      work += done->rest;
    } else {
      for (unsigned r = 0; r < state->n; r++) count_changes(&state->ranges[r]);
      count_locks(done);
    }
    clean_up(k, block);
  }
  print(k, work);
  if (closed) caml_cache_open(&scale_arena.cache);
  closed = false;
}

/* Of two shards, blocks and pools of all sizes; every third is put. */
static void live_in(void) {
  static void* held[2][HELD];
  for (unsigned i = 0; i < HELD; i++)
    for (unsigned s = 0; s < 2; s++)
      held[s][i] = get(s, i % 2 == 0 ? 0 : (5 + i * 37 % 300) * KIB);
  for (unsigned i = 0; i < HELD; i += 3)
    for (unsigned s = 0; s < 2; s++)
      scale_put(s, held[s][i], i % 2 == 0 ? 0 : (5 + i * 37 % 300) * KIB);
}

/* How long a line takes from one processor to another: two threads pass a word
   to and fro.  The best of several tries: others use the processors too. */
#define TURNS 1000
static _Alignas(CAML_CACHE_LINES) atomic_uint turn;

static void pass(unsigned mine) {
  for (unsigned i = 0; i < TURNS; i++) {
    while (atomic_load(&turn) != 2 * i + mine) {}
    atomic_store(&turn, 2 * i + mine + 1);
  }
}

static void* pass_back(void* unused) {
  (void)unused;
  pass(1);
  return NULL;
}

static uint64_t transfer(void) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 200; i++) {
    pthread_t other;
    uint64_t began;
    atomic_store(&turn, 0);
    scale_need(pthread_create(&other, NULL, pass_back, NULL) == 0, "no thread");
    began = scale_now();
    pass(0);
    pthread_join(other, NULL);
    began = (scale_now() - began) / (2 * TURNS);
    if (began < best) best = began;
  }
  return best;
}

int main(void) {
  scale_create();
  state = scale_own(sizeof(*state));
  state->copies = scale_own(COPIES);
  parts = scale_own(PARTS / 8);
  printf("{\"transfer\": %llu}\n", (unsigned long long)transfer());
  live_in();
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    measure(&kinds[i]);
  return 0;
}
