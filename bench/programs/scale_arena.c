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

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "jemalloc.h"
#include "jemalloc_thread.h"
#include "scale_arena.h"

#define MOST_STEPS ((size_t)1 << 20)
#define MOST_LOCKS 4096
#define MOST_OWN 64
#define CLOCKS 10001

struct caml_arena scale_arena;
struct caml_heap_in_use scale_in_use;

int __real_clock_gettime(clockid_t clock, struct timespec* t);
int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t* mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t* mutex);

/* Each mutex that was ever taken, and how often: a table by address */
struct lock {
  const void* address;
  uint64_t taken;
  char name[40];
};

static struct own { char* p; size_t size; } own[MOST_OWN];
static unsigned n_own;

/* In memory of its own: it changes while others look at memory. */
static struct {
  struct scale_steps done;
  bool on;
  uint64_t last, clock_cost, time;
  long switches;
  struct lock locks[MOST_LOCKS];
} *state;

void scale_need(bool ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "scale: %s\n", what);
  exit(1);
}

void* scale_own(size_t size) {
  void* p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  scale_need(p != MAP_FAILED && n_own < MOST_OWN, "no memory");
  own[n_own++] = (struct own){ p, size };
  return p;
}

bool scale_is_own(const void* p) {
  for (unsigned i = 0; i < n_own; i++)
    if ((const char*)p >= own[i].p && (const char*)p < own[i].p + own[i].size)
      return true;
  return false;
}

/* The clock */

uint64_t scale_now(void) {
  struct timespec t;
  __real_clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Takes as long as the real one. */
int __wrap_clock_gettime(clockid_t clock, struct timespec* t) {
  int result = __real_clock_gettime(clock, t);
  if (state != NULL && state->time != 0
      && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)) {
    t->tv_sec = (time_t)(state->time / 1000000000);
    t->tv_nsec = (long)(state->time % 1000000000);
  }
  return result;
}

void scale_set_time(uint64_t ns) {
  state->time = ns;
}

static int compare(const void* a, const void* b) {
  uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x > y) - (x < y);
}

static uint64_t clock_cost(void) {
  static uint64_t each[CLOCKS];
  for (int i = 0; i < CLOCKS; i++) {
    uint64_t began = scale_now();
    each[i] = scale_now() - began;
  }
  qsort(each, CLOCKS, sizeof(each[0]), compare);
  return each[CLOCKS / 2];
}

/* Mutexes */

static struct lock* find(const void* address) {
  size_t i = ((uintptr_t)address >> 3) * 0x9E3779B97F4A7C15u >> 52;
  while (state->locks[i % MOST_LOCKS].address != address
         && state->locks[i % MOST_LOCKS].address != NULL)
    i++;
  state->locks[i % MOST_LOCKS].address = address;
  return &state->locks[i % MOST_LOCKS];
}

static uint64_t since_last(void) {
  uint64_t now = scale_now(), after = now - state->last;
  state->last = now;
  return after > state->clock_cost ? after - state->clock_cost : 0;
}

static void note(const void* lock, bool taken) {
  struct scale_steps* done;
  if (state == NULL) return;
  if (taken) find(lock)->taken++;
  if (!state->on) return;
  done = &state->done;
  scale_need(done->n < MOST_STEPS, "too many steps");
  done->steps[done->n++] = (struct scale_step){ lock, taken, since_last() };
  state->last = scale_now(); /* without the time of this */
}

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  int result = __real_pthread_mutex_lock(mutex);
  note(mutex, true);
  return result;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) {
  int result = __real_pthread_mutex_trylock(mutex);
  if (result == 0) note(mutex, true);
  return result;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t* mutex) {
  note(mutex, false);
  return __real_pthread_mutex_unlock(mutex);
}

static long switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

void scale_begin(void) {
  state->done.n = 0;
  state->switches = switches();
  state->on = true;
  state->last = scale_now();
}

const struct scale_steps* scale_end(void) {
  struct scale_steps* done = &state->done;
  done->rest = since_last();
  state->on = false;
  if (switches() != state->switches) {
    for (size_t i = 0; i < done->n; i++) done->steps[i].after = 0;
    done->rest = 0;
  }
  return done;
}

/* Names */

static const char* const jemallocs[] = {
  "large", "extent_avail", "extents_dirty", "extents_muzzy",
  "extents_retained", "decay_dirty", "decay_muzzy", "base",
};
#define JEMALLOC "jemalloc: "
#define JEMALLOCS (sizeof(jemallocs) / sizeof(jemallocs[0]))

static uint64_t taken(const char* what) {
  char path[80];
  uint64_t n = 0;
  size_t size = sizeof(n);
  snprintf(path, sizeof(path), "stats.arenas.%u.%s.num_ops",
           scale_arena.index, what);
  return je_mallctl(path, &n, &size, NULL, 0) == 0 ? n : 0;
}

/* The lock that was taken so often, if it is one alone.  What reads statistics
   takes each lock too: the count may be one less. */
static void name(uint64_t n, const char* what) {
  struct lock* found = NULL;
  for (unsigned i = 0; i < MOST_LOCKS; i++) {
    struct lock* l = &state->locks[i];
    if (l->address == NULL || l->name[0] != 0 || n == 0) continue;
    if (l->taken != n && l->taken != n + 1) continue;
    if (found != NULL) return;
    found = l;
  }
  if (found != NULL)
    snprintf(found->name, sizeof(found->name), JEMALLOC "%s", what);
}

static bool is_named(const char* what) {
  for (unsigned i = 0; i < MOST_LOCKS; i++)
    if (strncmp(state->locks[i].name, JEMALLOC, sizeof(JEMALLOC) - 1) == 0
        && strcmp(state->locks[i].name + sizeof(JEMALLOC) - 1, what) == 0)
      return true;
  return false;
}

/* Those of bins lie side by side, so that one that has no name of its own,
   since others were taken as often, is found too. */
static void name_other_bins(void) {
  const char *first = NULL, *last = NULL;
  for (unsigned i = 0; i < MOST_LOCKS; i++) {
    const char* p = state->locks[i].address;
    if (strcmp(state->locks[i].name, "jemalloc: bins") != 0) continue;
    if (first == NULL || p < first) first = p;
    if (last == NULL || p > last) last = p;
  }
  for (unsigned i = 0; i < MOST_LOCKS && first != NULL; i++) {
    struct lock* l = &state->locks[i];
    const char* p = l->address;
    if (p >= first && p <= last && l->name[0] == 0)
      strcpy(l->name, "jemalloc: bins");
  }
}

static void name_jemallocs(void) {
  uint64_t epoch = 1;
  unsigned bins = 0;
  size_t size = sizeof(bins);
  char what[40];
  je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
  for (unsigned i = 0; i < JEMALLOCS; i++) {
    snprintf(what, sizeof(what), "mutexes.%s", jemallocs[i]);
    if (!is_named(jemallocs[i])) name(taken(what), jemallocs[i]);
  }
  je_mallctl("arenas.nbins", &bins, &size, NULL, 0);
  for (unsigned i = 0; i < bins; i++) {
    snprintf(what, sizeof(what), "bins.%u.mutex", i);
    name(taken(what), "bins");
  }
  name_other_bins();
}

static bool is_in(const void* p, const void* start, size_t size) {
  return (const char*)p >= (const char*)start
    && (const char*)p < (const char*)start + size;
}

const char* scale_lock_name(const void* lock) {
  struct caml_arena* a = &scale_arena;
  if (is_in(lock, a->pools.shards, sizeof(a->pools.shards)))
    return "shard of pools";
  if (is_in(lock, a->frames.shards, sizeof(a->frames.shards)))
    return "shard of frames";
  if (is_in(lock, &a->frames.lock, sizeof(a->frames.lock))) return "pieces";
  if (is_in(lock, &a->extents.lock, sizeof(a->extents.lock))) return "extents";
  if (is_in(lock, &a->extents.huge, sizeof(a->extents.huge))) return "huge";
  if (is_in(lock, &a->statistics, sizeof(a->statistics))) return "statistics";
  if (is_in(lock, &a->trim, sizeof(a->trim))) return "trim";
  if (find(lock)->name[0] == 0) name_jemallocs();
  return find(lock)->name[0] != 0 ? find(lock)->name
    : "jemalloc: growth, others"; /* that of growth is in no statistics */
}

/* What the runtime does */

static void add(_Atomic size_t* sum, size_t bytes) {
  atomic_fetch_add_explicit(sum, bytes, memory_order_relaxed);
}

size_t scale_bytes(size_t size) {
  if (size > SCALE_MEDIUM_POOL) return size;
  return size == 0 ? CAML_POOL_SIZE : CAML_MEDIUM_POOL_SIZE;
}

bool scale_is_of_frame(size_t size) {
  return size > 7 * (size_t)sysconf(_SC_PAGESIZE) / 2
    && size <= CAML_FRAME_BLOCK_MOST;
}

static void count(unsigned domain, size_t size, size_t bytes) {
  struct caml_in_use_shard* shard = caml_in_use_shard(&scale_in_use, domain);
  add(size <= SCALE_MEDIUM_POOL ? &shard->pools : &shard->large, bytes);
}

static void* get(unsigned domain, size_t size) {
  if (size == 0) return caml_arena_get_pool(&scale_arena, domain);
  if (size == SCALE_MEDIUM_POOL)
    return caml_arena_get_medium_pool(&scale_arena, domain);
  return caml_arena_get_cached(&scale_arena, domain, size);
}

void* scale_get(unsigned domain, size_t size) {
  void* block = get(domain, size);
  scale_need(block != NULL, "no memory");
  count(domain, size, scale_bytes(size));
  return block;
}

void scale_put(unsigned domain, void* block, size_t size) {
  count(domain, size, -scale_bytes(size));
  if (size <= SCALE_MEDIUM_POOL) caml_arena_put_pool(&scale_arena, block);
  else caml_arena_put_cached(&scale_arena, domain, block, size);
}

void scale_decay(void) {
  caml_arena_decay(&scale_arena);
  caml_arena_update_budget(&scale_arena);
  caml_arena_decays(&scale_arena);
}

void scale_create(void) {
  state = scale_own(sizeof(*state));
  state->done.steps = scale_own(MOST_STEPS * sizeof(struct scale_step));
  state->clock_cost = clock_cost();
  scale_need(caml_arena_create(&scale_arena, CAML_THP_SYSTEM) == NULL
             && caml_arena_set_dirty_decay(&scale_arena, 1000)
             && caml_arena_set_muzzy_decay(&scale_arena, 1000), "no arena");
}
