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


#ifndef DEBUG
#define NDEBUG /* assertions in the debug runtime only, as in all of OCaml's */
#endif
#include <assert.h>
#include <stdint.h>
#include <unistd.h>
#include "heap_statistics.h"

/* Our own threads refresh under the arena's lock; others, by mallctl, do
   not. */
#define TRIES 10

/* What is read of one arena; [ok] until something could not be. */
struct reader {
  unsigned arena;
  bool ok;
};

/* The value of [name], of [size] bytes. */
static void get(struct reader* r, const char* name, void* value, size_t size) {
  char path[64];
  size_t got = size;
  int length =
    snprintf(path, sizeof(path), "stats.arenas.%u.%s", r->arena, name);
  assert(length > 0 && (size_t)length < sizeof(path));
  (void)length;
  if (je_mallctl(path, value, &got, NULL, 0) != 0) r->ok = false;
}

static size_t get_size(struct reader* r, const char* name) {
  size_t value = 0;
  get(r, name, &value, sizeof(value));
  return value;
}

static size_t get_uint64(struct reader* r, const char* name) {
  uint64_t value = 0;
  get(r, name, &value, sizeof(value));
  return (size_t)value;
}

static size_t page_size(struct reader* r) {
  size_t page = 0, size = sizeof(page);
  if (je_mallctl("arenas.page", &page, &size, NULL, 0) != 0) r->ok = false;
  return page;
}

/* The sum of [name] over the classes of extents, which end where jemalloc
   knows no more. */
static size_t get_extents(struct reader* r, const char* name) {
  char path[64];
  size_t mib[6], length = 6, sum = 0, value, size = sizeof(value);
  snprintf(path, sizeof(path), "stats.arenas.%u.extents.0.%s", r->arena, name);
  if (je_mallctlnametomib(path, mib, &length) != 0) {
    r->ok = false;
    return 0;
  }
  for (mib[4] = 0; je_mallctlbymib(mib, length, &value, &size, NULL, 0) == 0;
       mib[4]++)
    sum += value;
  return sum;
}

static void read_jemalloc(struct reader* r, struct caml_heap_statistics* s) {
  size_t page = page_size(r);
  s->allocated =
    get_size(r, "small.allocated") + get_size(r, "large.allocated");
  s->active = get_size(r, "pactive") * page;
  s->dirty = get_size(r, "pdirty") * page;
  s->muzzy = get_size(r, "pmuzzy") * page;
  s->retained = get_size(r, "retained");
  s->metadata = get_size(r, "base") + get_size(r, "internal");
  s->mapped = get_size(r, "mapped");
  /* jemalloc leaves out what is the kernel's to take, and may still be there */
  s->resident = get_size(r, "resident") + s->muzzy;
  s->dirty_extents = get_extents(r, "ndirty");
  s->muzzy_extents = get_extents(r, "nmuzzy");
  s->retained_extents = get_extents(r, "nretained");
  s->dirty_purges = get_uint64(r, "dirty_npurge");
  s->dirty_purge_calls = get_uint64(r, "dirty_nmadvise");
  s->dirty_purged = get_uint64(r, "dirty_purged") * page;
  s->muzzy_purges = get_uint64(r, "muzzy_npurge");
  s->muzzy_purge_calls = get_uint64(r, "muzzy_nmadvise");
  s->muzzy_purged = get_uint64(r, "muzzy_purged") * page;
}

/* What is free in slabs, or in frames, which jemalloc takes for allocated */
static void add_free(const struct caml_free_pages* some,
                     struct caml_heap_statistics* s) {
  size_t sum = some->dirty + some->muzzy + some->retained;
  s->allocated -= sum;
  s->active -= sum;
  s->dirty += some->dirty;
  s->muzzy += some->muzzy;
  s->retained += some->retained;
  s->mapped -= some->retained;
  s->resident -= some->retained;
}

/* What is cached, which jemalloc takes for allocated */
static void add_cached(const struct caml_cache* cache,
                       struct caml_heap_statistics* s) {
  struct caml_cache_counts counts = caml_cache_counts(cache);
  s->allocated -= counts.bytes;
  s->active -= counts.bytes;
  s->dirty += counts.bytes;
  s->cached = counts.bytes;
  s->cache_hits = counts.hits;
  s->cache_misses = counts.misses;
}

#define READ_HOOK(name, help)                                                 \
  s->name##_calls = atomic_load(&extents->name.calls);                        \
  s->name##_bytes = atomic_load(&extents->name.bytes);                        \
  s->name##_failures = atomic_load(&extents->name.failures);                  \
  s->name##_nanoseconds = atomic_load(&extents->name.nanoseconds);

static void read_hooks(const struct caml_extents* extents,
                       struct caml_heap_statistics* s) {
  CAML_EXTENT_HOOKS(READ_HOOK)
  s->address_space = caml_extents_mapped(extents);
  /* a block with a mapping of its own is in no arena */
  s->allocated += extents->in_blocks;
  s->active += extents->in_blocks;
  s->mapped += extents->in_blocks;
  s->resident += extents->in_blocks;
}

#define READ_AUTOMATIC(name, unit, help)                                      \
  s->name = atomic_load(&automatic->name);

/* jemalloc's number of the moment that its statistics are of; with [refresh],
   of a new one. */
static uint64_t epoch(struct reader* r, bool refresh) {
  uint64_t epoch = 1;
  size_t size = sizeof(epoch);
  if (je_mallctl("epoch", &epoch, &size, refresh ? &epoch : NULL,
                 refresh ? size : 0) != 0)
    r->ok = false;
  return epoch;
}

/* While the locks of the pools and of the frames are held, so that nothing is
   got or put there */
static uint64_t count_pools(struct reader* r, const struct caml_heap_counted* h,
                            struct caml_heap_statistics* s,
                            struct caml_free_pages* pools,
                            struct caml_free_pages* runs) {
  struct caml_in_use_sum sum;
  uint64_t moment;
  caml_pools_lock(&h->arena->pools);
  caml_frames_lock(&h->arena->frames);
  moment = epoch(r, true);
  sum = caml_in_use_sum(h->in_use);
  s->pools = sum.pools;
  s->large_blocks = sum.large;
  s->shared = atomic_load(&h->in_use->shared);
  *pools = caml_pools_free_locked(&h->arena->pools);
  *runs = caml_frames_free_locked(&h->arena->frames);
  caml_frames_unlock(&h->arena->frames);
  caml_pools_unlock(&h->arena->pools);
  return moment;
}

/* A block that came or went while jemalloc added up may be missing in its
   sum. */
static void add_missing(struct caml_heap_statistics* s) {
  size_t in_use = s->pools + s->large_blocks + s->shared;
  size_t missing = s->allocated < in_use ? in_use - s->allocated : 0;
  s->allocated += missing;
  if (s->active < s->allocated) s->active = s->allocated;
}

static bool read_once(struct reader* r, const struct caml_heap_counted* h,
                      struct caml_heap_statistics* s) {
  const struct caml_heap_automatic* automatic = h->automatic;
  struct caml_free_pages pools, runs;
  uint64_t moment = count_pools(r, h, s, &pools, &runs);
  read_jemalloc(r, s);
  add_free(&pools, s);
  add_free(&runs, s);
  read_hooks(&h->arena->extents, s);
  add_cached(&h->arena->cache, s);
  add_missing(s);
  s->decay_stretch = atomic_load(&h->arena->budget.stretch);
  s->heap_limit = h->heap_limit;
  s->memory_limit = h->memory_limit;
  s->refused_threads = h->refused_threads;
  CAML_HEAP_AUTOMATIC(READ_AUTOMATIC)
  return epoch(r, false) == moment;
}

bool caml_heap_statistics_read(const struct caml_heap_counted* heap,
                               struct caml_heap_statistics* s) {
  struct reader r = { .arena = heap->arena->index, .ok = true };
  caml_arena_statistics_lock(heap->arena);
  for (int i = 0; i < TRIES && !read_once(&r, heap, s); i++) {}
  caml_arena_statistics_unlock(heap->arena);
  return r.ok;
}

#define PRINT_ROW(name, unit, help)                                           \
  fprintf(out, "%-20s %15zu %-2s  %s\n", #name, s->name, unit, help);

#define PRINT_HOOK_ROW(name, help)                                            \
  fprintf(out, "%-20s %12zu %15zu %8zu %9.1f  %s\n", #name, s->name##_calls,  \
          s->name##_bytes, s->name##_failures,                                \
          (double)s->name##_nanoseconds / 1e6, help);

static void print_table(FILE* out, const struct caml_heap_statistics* s) {
  fprintf(out, "Major heap of process %ld\n", (long)getpid());
  CAML_HEAP_STATISTICS(PRINT_ROW)
  fprintf(out, "%-20s %12s %15s %8s %9s\n",
          "extent hook", "calls", "bytes", "failures", "ms");
  CAML_EXTENT_HOOKS(PRINT_HOOK_ROW)
}

#define PRINT_MEMBER(name, unit, help)                                        \
  fprintf(out, ", \"%s\": %zu", #name, s->name);

#define PRINT_HOOK_MEMBERS(name, help)                                        \
  fprintf(out, ", \"%s_calls\": %zu, \"%s_bytes\": %zu, \"%s_failures\": %zu" \
          ", \"%s_nanoseconds\": %zu", #name, s->name##_calls,                \
          #name, s->name##_bytes, #name, s->name##_failures,                  \
          #name, s->name##_nanoseconds);

static void print_json(FILE* out, const struct caml_heap_statistics* s) {
  fprintf(out, "{\"pid\": %ld", (long)getpid());
  CAML_HEAP_STATISTICS(PRINT_MEMBER)
  CAML_EXTENT_HOOKS(PRINT_HOOK_MEMBERS)
  fprintf(out, "}\n");
}

void caml_heap_statistics_print(FILE* out,
                                const struct caml_heap_statistics* statistics,
                                enum caml_heap_stats form) {
  switch (form) {
    case CAML_HEAP_STATS_TABLE: print_table(out, statistics); break;
    case CAML_HEAP_STATS_JSON: print_json(out, statistics); break;
    case CAML_HEAP_STATS_OFF: break;
  }
}
