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

#define _GNU_SOURCE /* clock_gettime */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
#include "jemalloc.h"
#include "jemalloc_arena.h"
#include "jemalloc_assert.h"
#include "jemalloc_thread.h"

/* Bytes.  Of a gigabyte they are hardly missed.  At the end of each room there
   is less left than a block needs. */
#define ROOM ((size_t)32 << 20)

/* So many free parts of the address space are given back at once: they are
   sorted in less than 1,024 bytes.  From there on glibc's qsort allocates, and
   the first malloc of a thread maps 64 MiB. */
#define TRIM_PARTS 63

/* Bytes: the largest of jemalloc's size classes with slabs, where pages are
   4 KiB.  Where pages are larger, slabs are larger too, and get their pages as
   they are touched. */
#define SLAB_BLOCK_MOST ((size_t)14 << 10)

/* Calls mallctl "arena.<index>.<name>": reads into [old] and writes [new], each
   of [size] bytes or NULL. */
static int arena_ctl_both(const struct caml_arena* arena, const char* name,
                          void* old, void* new, size_t size) {
  char path[64];
  int len = snprintf(path, sizeof(path), "arena.%u.%s", arena->index, name);
  assert(len > 0 && (size_t)len < sizeof(path));
  (void)len;
  return je_mallctl(path, old, old == NULL ? NULL : &size, new,
                    new == NULL ? 0 : size);
}

static int arena_ctl(const struct caml_arena* arena, const char* name,
                     void* new_value, size_t new_size) {
  return arena_ctl_both(arena, name, NULL, new_value, new_size);
}

/* Sets the decay time in force, which follows from the one asked for and from
   the budget. */
static bool set_dirty_decay(struct caml_arena* arena, ssize_t ms) {
  if (arena_ctl(arena, "dirty_decay_ms", &ms, sizeof(ms)) != 0) return false;
  caml_cache_set_decay(&arena->cache, ms);
  caml_frames_set_dirty_decay(&arena->frames, ms);
  caml_pools_set_dirty_decay(&arena->pools, ms);
  return true;
}

static bool set_muzzy_decay(struct caml_arena* arena, ssize_t ms) {
  if (arena_ctl(arena, "muzzy_decay_ms", &ms, sizeof(ms)) != 0) return false;
  caml_frames_set_muzzy_decay(&arena->frames, ms);
  caml_pools_set_muzzy_decay(&arena->pools, ms);
  return true;
}

bool caml_arena_set_dirty_decay(struct caml_arena* arena, ssize_t ms) {
  arena->dirty_ms = ms;
  return set_dirty_decay(arena, caml_budget_decay(&arena->budget, ms));
}

bool caml_arena_set_muzzy_decay(struct caml_arena* arena, ssize_t ms) {
  arena->muzzy_ms = ms;
  return set_muzzy_decay(arena, caml_budget_decay(&arena->budget, ms));
}

/* Does a block of a few pages take these pages only?  As from jemalloc 5.3.1 */
static bool is_exact(size_t page) {
  return je_nallocx(9 * page, 0) == 9 * page;
}

/* Why there is no arena, in words, as far as is known.  jemalloc does not start
   where the kernel's pages are larger than those that it was built for. */
static const char* why_not(void) {
  static char why[256];
  size_t kernel = (size_t)sysconf(_SC_PAGESIZE);
#ifdef CAML_JEMALLOC_LG_PAGE
  size_t built = (size_t)1 << CAML_JEMALLOC_LG_PAGE;
  if (kernel <= built) return "no memory, or too many arenas";
  snprintf(why, sizeof(why),
           "jemalloc was built for pages of up to %zu KiB, this kernel's are "
           "of %zu KiB; link with a runtime that was built "
           "--with-lg-page=%d, in build-aux/configure-jemalloc",
           built >> 10, kernel >> 10, __builtin_ctzl(kernel));
#else /* a jemalloc that is installed does not say for which it was built */
  snprintf(why, sizeof(why),
           "no memory, too many arenas, or a jemalloc that was built for "
           "smaller pages than this kernel's, which are of %zu KiB",
           kernel >> 10);
#endif
  return why;
}

/* Limits jemalloc's steps, which are a fifth of the heap as a rule.  Where
   memory is locked, all of a step gets pages.  When memory is locked later,
   one step is still of the old size. */
static void limit_steps(struct caml_arena* arena) {
  size_t step = caml_extents_step(&arena->extents);
  arena_ctl(arena, "retain_grow_limit", &step, sizeof(step));
}

/* From how many bytes on is a free extent purged as soon as there is one?  As
   jemalloc is set; none if it does not say. */
static size_t get_oversize(const struct caml_arena* arena) {
  size_t oversize;
  return arena_ctl_both(arena, "oversize_threshold", &oversize, NULL,
                        sizeof(oversize)) == 0 ? oversize : SIZE_MAX;
}

const char* caml_arena_create(struct caml_arena* arena, enum caml_thp thp) {
  extent_hooks_t* hooks = caml_extents_init(&arena->extents, thp);
  size_t size = sizeof(arena->index);

  if (je_mallctl("arenas.create", &arena->index, &size,
                 &hooks, sizeof(hooks)) != 0)
    return why_not();
  caml_extents_started(&arena->extents);
  /* No thread cache: it would hide pools from decay, and [sdallocx] would
     put what one domain frees in reach of that domain only. */
  caml_ranked_mutex_init(&arena->statistics, CAML_RANK_STATISTICS);
  caml_ranked_mutex_init(&arena->trim, CAML_RANK_TRIM);
  caml_budget_init(&arena->budget, caml_heap_now());
  arena->dirty_ms = arena->muzzy_ms = -1;
  arena->asked = 0;
  arena->oversize = get_oversize(arena);
  arena->exact = is_exact(arena->extents.page);
  arena->flags = MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
  caml_pools_init(&arena->pools, &arena->extents, &arena->cache, &arena->held,
                  arena->flags | MALLOCX_ALIGN(CAML_SLAB_SIZE));
  caml_frames_init(&arena->frames, &arena->extents, &arena->held,
                   arena->flags | MALLOCX_ALIGN(CAML_FRAME_SIZE));
  caml_cache_init(&arena->cache, &arena->extents, arena->flags);
  if (caml_extents_clear_grown(&arena->extents)) limit_steps(arena);
  return NULL;
}

/* The largest of jemalloc's size classes up to [size] bytes, which are pages,
   four or more.  There are four classes to a doubling. */
static size_t size_class_below(size_t size) {
  size_t doubling = (size_t)1 << (8 * sizeof(size_t) - 1);
  assert(caml_is_pages(NULL, size));
  while (doubling > size) doubling >>= 1;
  return size & -(doubling / 4);
}

/* A block of a size between two size classes.  From fresh address space
   jemalloc takes the whole of the next class and leaves the rest free: up to a
   fifth, which no block of this size can use.  So a block of the class below
   is taken and grown in its place.  If something is in the way, another is
   tried.  It is not to be a mapping of its own, which nothing can be grown in:
   two of these, free again, would be what each block after them is tried in,
   while there is room elsewhere. */
static void* get_between_classes(struct caml_arena* arena, size_t size,
                                 size_t below, int more_tries) {
  void *block, *other;
  assert(below < size && more_tries >= 0);
  caml_extents_refuse(below);
  block = je_mallocx(below, arena->flags);
  caml_extents_refuse(0);
  if (block == NULL) return NULL;
  if (je_xallocx(block, size, 0, arena->flags) >= size) return block;
  other = more_tries > 0
    ? get_between_classes(arena, size, below, more_tries - 1) : NULL;
  je_sdallocx(block, below, arena->flags);
  return other;
}

/* See [get_oversize]. */
static void set_oversize(struct caml_arena* arena, size_t size) {
  arena_ctl(arena, "oversize_threshold", &size, sizeof(size));
}

/* Makes free dirty pages, from which jemalloc takes no more than each block
   needs.  Near the end of the address space its next step does not fit any
   more: without such pages it would map each block by itself, as large as its
   size class.  What is purged is unmapped where address space is charged, so
   that they are not to be purged at once; of two threads that make room, one
   may lose it. */
static void make_room(struct caml_arena* arena) {
  void* room = NULL;
  size_t size = caml_extents_step(&arena->extents);
  size = 2 * (size > ROOM ? size : ROOM);
  while (room == NULL && size > CAML_HUGE_PAGE_SIZE)
    room = je_mallocx(size /= 2, arena->flags);
  if (room == NULL) return;
  set_oversize(arena, SIZE_MAX);
  je_sdallocx(room, size, arena->flags);
  set_oversize(arena, arena->oversize);
}

/* Does jemalloc make a mapping for a block of [size] bytes?  It does for a
   large block where steps are small, and then there is nothing that the block
   could grow into. */
static bool maps_by_itself(struct caml_arena* arena, size_t size) {
  return atomic_load(&arena->extents.limits.locked)
    && size >= CAML_HUGE_PAGE_SIZE
    && size >= caml_extents_step(&arena->extents) / 2;
}

static size_t failures(struct caml_arena* arena) {
  return atomic_load(&arena->extents.alloc.failures);
}

/* Where jemalloc's next step fails, what it would map is refused, and there is
   nothing free to grow in: then room is made. */
static void* get_exact(struct caml_arena* arena, size_t size, size_t below) {
  size_t before = failures(arena);
  void* block = get_between_classes(arena, size, below, 1);
  if (block != NULL || failures(arena) == before) return block;
  make_room(arena);
  return get_between_classes(arena, size, below, 1);
}

/* [flags] are [mallocx]'s, here and in [get_after_trim]. */
static void* get_class(struct caml_arena* arena, size_t size, int flags) {
  size_t before = failures(arena);
  void* block = je_mallocx(size, flags);
  if (block != NULL && failures(arena) > before) make_room(arena);
  return block;
}

static void* get(struct caml_arena* arena, size_t size) {
  void* block = NULL;
  size_t page = arena->extents.page;
  if (size >= CAML_MAPPED_BLOCK)
    block = caml_extents_map_block(&arena->extents, size);
  else if (arena->exact && size > 4 * page && size <= PTRDIFF_MAX - page
      && !maps_by_itself(arena, size)) {
    size_t pages = (size + page - 1) & -page;
    size_t below = size_class_below(pages);
    if (below < pages) block = get_exact(arena, pages, below);
  }
  return block != NULL ? block : get_class(arena, size, arena->flags);
}

/* Tries again
     - when what is cached went back, if there was any;
     - after free address space went back, if it is charged for: it may have
       been in pieces that are too small for the block. */
static void* get_after_trim(struct caml_arena* arena, size_t size, int flags) {
  bool charged = caml_limits_charge(&arena->extents.limits);
  bool any = caml_cache_empty(&arena->cache);
  any |= caml_frames_release(&arena->frames);
  if (!any && !charged) return NULL;
  if (charged) caml_arena_purge(arena);
  return get_class(arena, size, flags);
}

void* caml_arena_get(struct caml_arena* arena, size_t size) {
  bool large = size > SLAB_BLOCK_MOST;
  void* block;
  assert(size > 0);
  caml_extents_begin_get(large ? CAML_GETTING_LARGE : CAML_GETTING_SMALL);
  block = get(arena, size);
  if (block == NULL) block = get_after_trim(arena, size, arena->flags);
  caml_extents_fill_got();
  if (caml_extents_clear_grown(&arena->extents)) limit_steps(arena);
  assert(size < 16 || (uintptr_t)block % 16 == 0);
  return block;
}

void caml_arena_put(struct caml_arena* arena, void* block, size_t size) {
  assert(block != NULL && size > 0);
  if (size >= CAML_MAPPED_BLOCK
      && caml_extents_unmap_block(&arena->extents, block))
    return;
  je_sdallocx(block, size, arena->flags);
}

void* caml_arena_get_cached(struct caml_arena* arena, unsigned shard,
                            size_t size) {
  void* block = caml_frames_get(&arena->frames, shard, size);
  assert(size > 0);
  if (caml_extents_clear_grown(&arena->extents)) limit_steps(arena);
  if (block != NULL) return block;
  block = caml_cache_get(&arena->cache, shard, size);
  if (block != NULL) caml_extents_begin_get(CAML_GETTING_LARGE); /* nothing */
  if (size > CAML_CACHE_BLOCK_MOST)
    caml_cache_empty_shard(&arena->cache, shard);
  return block != NULL ? block : caml_arena_get(arena, size);
}

/* A block that was found may be larger than what was asked for, so jemalloc
   looks up how large it is. */
void caml_arena_put_cached(struct caml_arena* arena, unsigned shard,
                           void* block, size_t size) {
  assert(block != NULL && size > 0);
  if (caml_frames_put(&arena->frames, block, size)) return;
  if (caml_cache_put(&arena->cache, shard, block, size)) return;
  if (size > CAML_CACHE_BLOCK_MOST) caml_arena_put(arena, block, size);
  else je_dallocx(block, arena->flags);
}

void caml_arena_populate(struct caml_arena* arena, void* p, size_t size) {
  assert(p != NULL && size > 0);
  if (caml_extents_got() >= size / 2) caml_frames_fill(&arena->frames, p, size);
}

bool caml_arena_filled_ahead(struct caml_arena* arena) {
  return caml_extents_clear_ahead(&arena->extents);
}

/* A pool where there is no memory for a slab */
static void* get_lone_pool(struct caml_arena* arena, size_t size) {
  int flags = arena->flags | MALLOCX_ALIGN(size);
  void* pool;
  caml_extents_begin_get(CAML_GETTING_LARGE);
  pool = je_mallocx(size, flags);
  return pool != NULL ? pool : get_after_trim(arena, size, flags);
}

static void* get_pool(struct caml_arena* arena, unsigned shard, unsigned n) {
  void* pool = caml_pools_get(&arena->pools, shard, n);
  if (caml_extents_clear_grown(&arena->extents)) limit_steps(arena);
  if (pool == NULL) pool = get_lone_pool(arena, n * CAML_POOL_SIZE);
  assert((uintptr_t)pool % (n * CAML_POOL_SIZE) == 0);
  return pool;
}

void* caml_arena_get_pool(struct caml_arena* arena, unsigned shard) {
  return get_pool(arena, shard, 1);
}

void* caml_arena_get_medium_pool(struct caml_arena* arena, unsigned shard) {
  return get_pool(arena, shard, CAML_MEDIUM_POOLS);
}

void caml_arena_put_pool(struct caml_arena* arena, void* pool) {
  assert(pool != NULL);
  if (!caml_pools_put(&arena->pools, pool)) je_dallocx(pool, arena->flags);
}

/* ns that purging has taken since the arena was made */
static size_t purging(const struct caml_arena* arena) {
  return atomic_load(&arena->extents.purge_lazy.nanoseconds)
    + atomic_load(&arena->extents.decommit.nanoseconds);
}

struct part { void* p; size_t size; };

/* Takes what jemalloc retains in whole huge pages, the largest first.  Returns
   how many parts. */
static unsigned take_parts(struct caml_arena* arena, struct part* parts) {
  int flags = arena->flags | MALLOCX_ALIGN(CAML_HUGE_PAGE_SIZE);
  size_t size = CAML_HUGE_PAGE_SIZE;
  unsigned n = 0;
  while (size <= caml_extents_mapped(&arena->extents) / 2) size *= 2;
  for (; size >= CAML_HUGE_PAGE_SIZE; size /= 2) {
    void* p;
    while (n < TRIM_PARTS && (p = je_mallocx(size, flags)) != NULL)
      parts[n++] = (struct part){ p, size };
  }
  return n;
}

static int by_address(const void* a, const void* b) {
  const char *p = ((const struct part*)a)->p, *q = ((const struct part*)b)->p;
  return (p > q) - (p < q);
}

/* Unmaps parts of what jemalloc retains, and returns whether there may be more.
   jemalloc never evicts what it retains.  So it is taken and put back, which
   makes it dirty, and purged: in the order in which it was put back, each part
   behind the one before, so that mappings stay few. */
static bool trim_once(struct caml_arena* arena) {
  size_t before = caml_extents_mapped(&arena->extents);
  struct part parts[TRIM_PARTS];
  unsigned n;
  caml_ranked_mutex_assert_held(&arena->trim);
  caml_extents_begin_trim(&arena->extents);
  n = take_parts(arena, parts);
  caml_extents_end_trim(&arena->extents);
  assert(n <= TRIM_PARTS);
  qsort(parts, n, sizeof(parts[0]), by_address);
  for (unsigned i = 0; i < n; i++)
    je_sdallocx(parts[i].p, parts[i].size, arena->flags);
  if (n > 0) arena_ctl(arena, "purge", NULL, 0);
  return n == TRIM_PARTS && caml_extents_mapped(&arena->extents) < before;
}

void caml_arena_trim(struct caml_arena* arena) {
  atomic_store(&arena->trimmed, atomic_load(&arena->extents.decommit.bytes));
  if (!caml_limits_charge(&arena->extents.limits)) return;
  caml_ranked_mutex_lock(&arena->trim);
  while (trim_once(arena)) ;
  caml_ranked_mutex_unlock(&arena->trim);
}

bool caml_arena_purge(struct caml_arena* arena) {
  size_t before = purging(arena);
  bool done;
  caml_cache_empty(&arena->cache);
  caml_frames_purge(&arena->frames);
  caml_pools_purge(&arena->pools);
  done = arena_ctl(arena, "purge", NULL, 0) == 0;
  caml_arena_trim(arena);
  atomic_fetch_add(&arena->asked, purging(arena) - before);
  return done;
}

bool caml_arena_purge_lazily(struct caml_arena* arena) {
  size_t before = purging(arena);
  bool done = set_dirty_decay(arena, 0); /* which empties the cache */
  done = caml_arena_set_dirty_decay(arena, arena->dirty_ms) && done;
  atomic_fetch_add(&arena->asked, purging(arena) - before);
  return done;
}

void caml_arena_update_budget(struct caml_arena* arena) {
  ssize_t dirty = arena->dirty_ms, muzzy = arena->muzzy_ms;
  ssize_t most = dirty > muzzy ? dirty : muzzy;
  size_t all = purging(arena), asked = atomic_load(&arena->asked);
  struct caml_budget_counts counts = {
    /* purges at the same time that were asked for count in each other's */
    .purging = asked < all ? all - asked : 0,
    .purged = atomic_load(&arena->extents.decommit.bytes),
    .taken = atomic_load(&arena->extents.commit.bytes)
  };
  if (!caml_budget_update(&arena->budget, caml_heap_now(), &counts, most))
    return;
  caml_arena_set_dirty_decay(arena, arena->dirty_ms);
  caml_arena_set_muzzy_decay(arena, arena->muzzy_ms);
}

/* How many unused pages there are in the state that [name] counts, pdirty or
   pmuzzy.  With the lock of the statistics held */
static size_t unused(const struct caml_arena* arena, const char* name) {
  char path[64];
  size_t n, size = sizeof(n);
  caml_ranked_mutex_assert_held(&arena->statistics);
  snprintf(path, sizeof(path), "stats.arenas.%u.%s", arena->index, name);
  return je_mallctl(path, &n, &size, NULL, 0) == 0 ? n : 0;
}

static void refresh(void) {
  uint64_t epoch = 1;
  je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

bool caml_arena_decays(struct caml_arena* arena) {
  bool some;
  if (caml_cache_decays(&arena->cache) || caml_frames_decays(&arena->frames)
      || caml_pools_decays(&arena->pools))
    return true;
  caml_arena_statistics_lock(arena);
  refresh();
  some = (arena->pools.dirty_ms >= 0 && unused(arena, "pdirty") > 0)
    || (arena->pools.muzzy_ms >= 0 && unused(arena, "pmuzzy") > 0);
  caml_arena_statistics_unlock(arena);
  return some;
}

/* In pages, of extents */
static size_t unused_now(struct caml_arena* arena, bool muzzy) {
  size_t pages;
  caml_arena_statistics_lock(arena);
  refresh();
  pages = unused(arena, "pdirty") + (muzzy ? unused(arena, "pmuzzy") : 0);
  caml_arena_statistics_unlock(arena);
  return pages;
}

size_t caml_arena_dirty(struct caml_arena* arena) {
  return unused_now(arena, false) * arena->extents.page
    + caml_pools_free(&arena->pools).dirty
    + caml_frames_free(&arena->frames).dirty
    + caml_cache_counts(&arena->cache).bytes;
}

size_t caml_arena_unused(struct caml_arena* arena) {
  struct caml_free_pages pools = caml_pools_free(&arena->pools);
  struct caml_free_pages runs = caml_frames_free(&arena->frames);
  return unused_now(arena, true) * arena->extents.page + pools.dirty
    + pools.muzzy + runs.dirty + runs.muzzy
    + caml_cache_counts(&arena->cache).bytes;
}

void caml_arena_statistics_lock(struct caml_arena* arena) {
  caml_ranked_mutex_lock(&arena->statistics);
}

void caml_arena_statistics_unlock(struct caml_arena* arena) {
  caml_ranked_mutex_unlock(&arena->statistics);
}

/* How often the thread holds decay.  A finaliser that runs meanwhile may
   fork. */
static _Thread_local int holds;

void caml_arena_prefork(struct caml_arena* arena) {
  caml_ranked_mutex_lock(&arena->trim);
  caml_arena_statistics_lock(arena);
  caml_pools_lock(&arena->pools);
  caml_frames_lock(&arena->frames);
  caml_cache_close(&arena->cache);
}

void caml_arena_postfork_parent(struct caml_arena* arena) {
  caml_cache_open(&arena->cache);
  caml_frames_unlock(&arena->frames);
  caml_pools_unlock(&arena->pools);
  caml_arena_statistics_unlock(arena);
  caml_ranked_mutex_unlock(&arena->trim);
}

void caml_arena_postfork_child(struct caml_arena* arena) {
  atomic_store(&arena->held, holds); /* Other threads are not here. */
  caml_cache_postfork_child(&arena->cache);
  caml_frames_postfork_child(&arena->frames);
  caml_pools_postfork_child(&arena->pools);
  caml_ranked_mutex_postfork_child(&arena->statistics);
  caml_ranked_mutex_postfork_child(&arena->trim);
  caml_extents_postfork_child(&arena->extents);
}

void caml_arena_hold_decay(struct caml_arena* arena) {
  holds++;
  atomic_fetch_add(&arena->held, 1);
}

void caml_arena_release_decay(struct caml_arena* arena) {
  int before = atomic_fetch_sub(&arena->held, 1);
  assert(before > 0 && holds > 0);
  (void)before;
  holds--;
}

/* Not before an eighth of the heap has lost its pages: a trim purges all that
   is dirty. */
static bool is_to_be_trimmed(struct caml_arena* arena) {
  size_t lost = atomic_load(&arena->extents.decommit.bytes)
    - atomic_load(&arena->trimmed);
  return lost >= CAML_HUGE_PAGE_SIZE
    && lost >= caml_extents_mapped(&arena->extents) / 8;
}

bool caml_arena_decay(struct caml_arena* arena) {
  bool done;
  if (atomic_load(&arena->held) > 0) return true;
  caml_cache_decay(&arena->cache, caml_heap_now() / NS_PER_MS);
  caml_frames_decay(&arena->frames);
  caml_pools_decay(&arena->pools);
  done = arena_ctl(arena, "decay", NULL, 0) == 0;
  if (is_to_be_trimmed(arena)) caml_arena_trim(arena);
  return done;
}

bool caml_arena_destroy(struct caml_arena* arena) {
  bool done;
  caml_extents_close(&arena->extents, true);
  done = arena_ctl(arena, "destroy", NULL, 0) == 0;
  if (done) {
    caml_cache_end(&arena->cache);
    caml_frames_end(&arena->frames);
    caml_pools_end(&arena->pools);
    caml_extents_end(&arena->extents);
    caml_ranked_mutex_destroy(&arena->statistics);
    caml_ranked_mutex_destroy(&arena->trim);
  } else {
    caml_extents_close(&arena->extents, false);
  }
  return done;
}

const char* caml_arena_jemalloc(void) {
  const char* version;
  size_t size = sizeof(version);
  bool known = je_mallctl("version", &version, &size, NULL, 0) == 0;
  return known ? version : "unknown";
}
