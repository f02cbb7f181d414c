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

#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_pools.h"

/* A bit for each pool */
typedef uint16_t pool_bits;
_Static_assert(CAML_SLAB_POOLS == 8 * sizeof(pool_bits), "a bit for each pool");

/* The state of a pool is one of
     - used;
     - dirty: free, with its pages;
     - muzzy: free, and the kernel may take its pages;
     - without pages: none of the above.
   Free pools in one page are all in the same state, and dirty if another pool
   in it is in use.  Old are those that were already dirty, or muzzy, when ages
   were last looked at; due are those that are to lose their pages now. */
struct caml_slab {
  _Alignas(CAML_CACHE_LINES) uint16_t shard; /* see CAML_CACHE_LINES */
  uint16_t at_once; /* so many pools are taken and put: 1, CAML_MEDIUM_POOLS */
  pool_bits used, dirty, muzzy, old_dirty, old_muzzy, due;
  pool_bits missing; /* without pages when the slab was last put back */
  char* start; /* NULL: there is no slab */
  struct caml_slab *next, *previous; /* among those with free pools */
};
_Static_assert(sizeof(struct caml_slab) == CAML_CACHE_LINES,
               "lines for each slab");

#define FULL UINT16_MAX
#define LEAF_SIZE (CAML_SLABS_LEAF * sizeof(struct caml_slab))

/* A heap that is growing gets several slabs at once, and their pages by one
   system call: one for each LARGE slabs (32 MiB) that it took without pages,
   up to AHEAD (4 MiB).  Each slab that it takes with pages counts as AHEAD
   slabs less: those that it got ahead in vain are such.

   A heap that ever took LARGE slabs without pages gets the pages of each slab,
   or pool, by one system call, whether it is growing or not: one that grows
   anew after it has shrunk takes some slabs with pages and some without. */
#define LARGE 64
#define AHEAD 8

/* There is one. */
static unsigned first_bit(unsigned bits) {
  assert(bits != 0);
  return (unsigned)__builtin_ctz(bits);
}

static size_t size_of(unsigned bits) {
  return (size_t)__builtin_popcount(bits) * CAML_POOL_SIZE;
}

/* [n] in a row, at a multiple of that, with the [i]th */
static pool_bits row_of(unsigned n, unsigned i) {
  assert(caml_is_power_of_two(n) && i < CAML_SLAB_POOLS);
  return (pool_bits)(((1u << n) - 1) << (i & -n));
}

/* The pools in one page of the kernel's with the [i]th of a slab */
static pool_bits page_of(const struct caml_pools* pools, unsigned i) {
  return row_of(pools->per_page, i);
}

/* Of [bits], those that make up whole pages */
static pool_bits whole_pages(const struct caml_pools* pools, pool_bits bits) {
  pool_bits whole = bits;
  if (pools->per_page == 1) return bits;
  for (unsigned i = 0; i < CAML_SLAB_POOLS; i += pools->per_page)
    if (page_of(pools, i) & ~bits) whole &= ~page_of(pools, i);
  return whole;
}

/* The first of [bits], and those in a row with it.  There is one. */
static pool_bits first_row(unsigned bits) {
  return (pool_bits)(bits & ~(bits + (1u << first_bit(bits))));
}

/* Where the slab is kept in which [p] lies, if it lies in one.  NULL: it does
   not. */
static struct caml_slab* find_slab(struct caml_pools* pools, const void* p) {
  uintptr_t n = (uintptr_t)p / CAML_SLAB_SIZE;
  struct caml_slab* leaf;
  if (n / CAML_SLABS_LEAF >= CAML_SLABS_ROOT) return NULL;
  leaf = atomic_load(&pools->leaves[n / CAML_SLABS_LEAF]);
  return leaf == NULL ? NULL : &leaf[n % CAML_SLABS_LEAF];
}

/* As [find_slab], with a leaf made for it.  NULL if there is no memory for the
   leaf. */
static struct caml_slab* make_slab(struct caml_pools* pools, const void* p) {
  size_t i = (uintptr_t)p / CAML_SLAB_SIZE / CAML_SLABS_LEAF;
  struct caml_slab *leaf, *none = NULL;
  if (i >= CAML_SLABS_ROOT) return NULL;
  if (atomic_load(&pools->leaves[i]) == NULL) {
    leaf = mmap(NULL, LEAF_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (leaf == MAP_FAILED) return NULL;
    caml_huge_refuse(leaf, LEAF_SIZE);
    if (!atomic_compare_exchange_strong(&pools->leaves[i], &none, leaf))
      munmap(leaf, LEAF_SIZE); /* another shard was quicker */
  }
  return find_slab(pools, p);
}

/* How many slabs of pools, or of medium ones, have free pools */
static atomic_uint* n_partial(struct caml_pool_shard* shard, unsigned at_once) {
  return at_once == 1 ? &shard->n_partial : &shard->n_medium;
}

/* With the lock, whose holder alone changes it */
static void count_partial(struct caml_pool_shard* shard, unsigned at_once,
                          int more) {
  atomic_uint* count = n_partial(shard, at_once);
  unsigned n = atomic_load_explicit(count, memory_order_relaxed);
  caml_shard_assert_held(&shard->lock);
  assert(more > 0 || n > 0);
  atomic_store_explicit(count, n + (unsigned)more, memory_order_relaxed);
}

/* The first or, of medium pools, the last.  With the lock held, here and in the
   next. */
static void link_slab(struct caml_pool_shard* shard, struct caml_slab* slab) {
  bool first = slab->at_once == 1;
  caml_shard_assert_held(&shard->lock);
  assert(slab->start != NULL);
  slab->previous = first ? NULL : shard->last;
  slab->next = first ? shard->partial : NULL;
  if (slab->next != NULL) slab->next->previous = slab;
  else shard->last = slab;
  if (slab->previous != NULL) slab->previous->next = slab;
  else shard->partial = slab;
  count_partial(shard, slab->at_once, 1);
}

static void unlink_slab(struct caml_pool_shard* shard, struct caml_slab* slab) {
  caml_shard_assert_held(&shard->lock);
  assert(slab->previous != NULL || shard->partial == slab);
  assert(slab->next != NULL || shard->last == slab);
  if (slab->next != NULL) slab->next->previous = slab->previous;
  else shard->last = slab->previous;
  if (slab->previous != NULL) slab->previous->next = slab->next;
  else shard->partial = slab->next;
  if (shard->walk == slab) shard->walk = slab->next;
  count_partial(shard, slab->at_once, -1);
}

/* Of the slabs whose pools are taken so: the next to be taken from, which is
   the first, or with [after] the one that comes after it.  NULL: there is
   none. */
static struct caml_slab* next_to_take(struct caml_pool_shard* shard,
                                      unsigned at_once,
                                      struct caml_slab* after) {
  struct caml_slab* slab;
  caml_shard_assert_held(&shard->lock);
  if (at_once == 1) slab = after == NULL ? shard->partial : after->next;
  else slab = after == NULL ? shard->last : after->previous;
  return slab != NULL && slab->at_once == at_once ? slab : NULL;
}

static bool is_large(struct caml_pool_shard* shard) {
  return atomic_load(&shard->taken) == LARGE;
}

/* A slab that jemalloc has not purged since it was last put back, if it ever
   was, without the pages [missing].  It still lacks those of them that jemalloc
   has not used since. */
static void get_dirty_slab(struct caml_pools* pools,
                          struct caml_pool_shard* shard,
                          struct caml_slab* slab, pool_bits missing) {
  slab->dirty = FULL;
  if (missing == 0) return;
  caml_extents_count_commit(pools->extents, size_of(missing));
  caml_extents_lose_pages(pools->extents, size_of(missing));
  if (is_large(shard)) caml_extents_fill(slab->start, CAML_SLAB_SIZE);
}

/* A domain has one number, for its pools and for its blocks. */
_Static_assert(CAML_POOL_SHARDS == CAML_CACHE_SHARDS, "a shard of each");

/* A slab from jemalloc, which takes it for committed.  It has all of its pages,
   or none.  What the domain has freed goes back first, but not what others
   have: with each of them emptied by all, 64 domains would find nothing. */
static struct caml_slab* get_slab(struct caml_pools* pools, unsigned shard,
                                  unsigned at_once) {
  struct caml_slab* slab;
  pool_bits missing;
  char* p;
  caml_cache_empty_shard(pools->cache, shard);
  caml_extents_begin_get(CAML_GETTING_SLAB);
  p = je_mallocx(CAML_SLAB_SIZE, pools->flags);
  if (p == NULL) return NULL;
  slab = make_slab(pools, p);
  if (slab == NULL) {
    je_sdallocx(p, CAML_SLAB_SIZE, pools->flags);
    return NULL;
  }
  assert(slab->start == NULL && (uintptr_t)p % CAML_SLAB_SIZE == 0);
  missing = slab->missing;
  memset(slab, 0, sizeof(*slab));
  slab->start = p;
  slab->shard = (uint16_t)shard;
  slab->at_once = (uint16_t)at_once;
  if (caml_extents_got() > 0)
    caml_extents_recount(pools->extents, p, CAML_SLAB_SIZE, false);
  else
    get_dirty_slab(pools, &pools->shards[shard], slab, missing);
  return slab;
}

/* Are the states of the slab's pools as described above? */
static inline bool is_sound(const struct caml_slab* slab) {
  return slab->start != NULL && (slab->used & (slab->dirty | slab->muzzy)) == 0
    && (slab->dirty & slab->muzzy) == 0;
}

/* Gives a slab back to jemalloc, which takes all of it for committed: so it is
   counted as that. */
static void put_slab(struct caml_pools* pools, struct caml_slab* slab) {
  char* p = slab->start;
  assert(is_sound(slab) && slab->used == 0);
  slab->missing = FULL & ~(slab->dirty | slab->muzzy);
  for (pool_bits bits = slab->missing, row; bits != 0; bits &= ~row) {
    row = first_row(bits);
    caml_extents_recount(pools->extents, p + first_bit(row) * CAML_POOL_SIZE,
                         size_of(row), true);
  }
  slab->start = NULL;
  je_sdallocx(p, CAML_SLAB_SIZE, pools->flags);
}

/* Takes a free pool of [slab], or a medium one: the first that is dirty, else
   the first that is muzzy, else the first.  With the lock held. */
static void* take_pool(struct caml_pools* pools, struct caml_pool_shard* shard,
                       struct caml_slab* slab) {
  unsigned i = first_bit(slab->dirty ? slab->dirty
                         : slab->muzzy ? slab->muzzy : FULL & ~slab->used);
  pool_bits row = row_of(slab->at_once, i);
  pool_bits page = (page_of(pools, i) | row) & ~slab->used;
  void* pool = slab->start + first_bit(row) * CAML_POOL_SIZE;
  caml_shard_assert_held(&shard->lock);
  assert(is_sound(slab) && !(slab->used & row));
  if (!((slab->dirty | slab->muzzy) & row)) {
    caml_extents_commit(pools->extents,
                        slab->start + first_bit(page) * CAML_POOL_SIZE,
                        size_of(page));
    if (is_large(shard)) caml_extents_fill(pool, size_of(row));
  }
  slab->used |= row;
  slab->dirty = (pool_bits)((slab->dirty | page) & ~row);
  slab->muzzy &= ~page;
  slab->old_dirty &= ~page;
  slab->old_muzzy &= ~page;
  slab->due &= ~page;
  if (slab->used == FULL) unlink_slab(shard, slab);
  return pool;
}

/* Which slabs of a shard to take a pool from.  OTHER_SLABS are all but those
   that the shard takes from itself: the first, and those with no pool in use,
   which come next. */
enum pools_of { ALL_SLABS, OTHER_SLABS };

/* Looks without the lock: who would find nothing writes nothing. */
static bool may_have(struct caml_pool_shard* shard, unsigned at_once,
                     enum pools_of which) {
  unsigned n = atomic_load_explicit(n_partial(shard, at_once),
                                    memory_order_relaxed);
  return n > (which == OTHER_SLABS ? 1 : 0);
}

/* A free pool of the shard's, or NULL */
static void* get_from(struct caml_pools* pools, struct caml_pool_shard* shard,
                      unsigned at_once, enum pools_of which) {
  struct caml_slab* slab;
  void* pool = NULL;
  caml_shard_lock(&shard->lock);
  slab = next_to_take(shard, at_once, NULL);
  if (slab != NULL && which == OTHER_SLABS)
    do slab = next_to_take(shard, at_once, slab);
    while (slab != NULL && slab->used == 0);
  if (slab != NULL) pool = take_pool(pools, shard, slab);
  caml_shard_unlock(&shard->lock);
  return pool;
}

static void* get_from_others(struct caml_pools* pools, unsigned own,
                             unsigned at_once, enum pools_of which) {
  unsigned used = atomic_load(&pools->used);
  void* pool = NULL;
  for (unsigned i = 1; i <= used && pool == NULL; i++) {
    unsigned other = (own + i) % used;
    if (other != own && may_have(&pools->shards[other], at_once, which))
      pool = get_from(pools, &pools->shards[other], at_once, which);
  }
  return pool;
}

/* Raised once for each shard */
static void note_used(struct caml_pools* pools, unsigned shard) {
  unsigned used = atomic_load(&pools->used);
  while (used <= shard
         && !atomic_compare_exchange_weak(&pools->used, &used, shard + 1)) {}
}

static unsigned at_most(unsigned n, unsigned most) {
  return n < most ? n : most;
}

/* [n] slabs without pages were taken, or one with pages */
static void count_taken(struct caml_pool_shard* shard, unsigned n, bool pages) {
  unsigned fresh = atomic_load(&shard->fresh);
  unsigned taken = atomic_load(&shard->taken);
  assert(n > 0 && taken <= LARGE && fresh <= AHEAD * LARGE);
  if (pages) {
    atomic_store(&shard->fresh, fresh - at_most(fresh, AHEAD));
  } else {
    atomic_store(&shard->fresh, at_most(fresh + n, AHEAD * LARGE));
    atomic_store(&shard->taken, at_most(taken + n, LARGE));
  }
}

/* How many slabs are to get their pages now, if the next has none */
static unsigned to_populate(struct caml_pools* pools,
                            struct caml_pool_shard* shard) {
  unsigned ahead = atomic_load(&shard->fresh) / LARGE;
  if (atomic_load(&pools->dirty_ms) == 0) return 0;
  return ahead > 0 ? ahead : is_large(shard) ? 1 : 0;
}

/* Does [next] lie right behind [slab], and has it no pages? */
static bool lies_behind(const struct caml_slab* slab,
                        const struct caml_slab* next) {
  return next->start == slab->start + CAML_SLAB_SIZE && next->dirty == 0;
}

/* Gives pages to [n] slabs side by side, none of which has any. */
static void populate(struct caml_pools* pools, struct caml_slab** slabs,
                     unsigned n) {
  size_t size = n * CAML_SLAB_SIZE;
  assert(n > 0 && n <= AHEAD);
  if (!caml_extents_populate(pools->extents, slabs[0]->start, size)) return;
  for (unsigned i = 0; i < n; i++) slabs[i]->dirty = FULL;
  caml_extents_note_ahead(pools->extents);
}

/* Gets a slab, or several if the heap is growing.  Returns how many; 0 without
   memory. */
static unsigned get_slabs(struct caml_pools* pools, unsigned shard,
                          unsigned at_once, struct caml_slab** slabs) {
  unsigned n = 1, side_by_side = 1, wanted;
  slabs[0] = get_slab(pools, shard, at_once);
  if (slabs[0] == NULL) return 0;
  wanted = slabs[0]->dirty == 0 ? to_populate(pools, &pools->shards[shard]) : 0;
  while (n < wanted && side_by_side == n
         && (slabs[n] = get_slab(pools, shard, at_once)) != NULL) {
    if (lies_behind(slabs[n - 1], slabs[n])) side_by_side++;
    n++;
  }
  count_taken(&pools->shards[shard], n, slabs[0]->dirty != 0);
  if (wanted > 0) populate(pools, slabs, side_by_side);
  if (n > side_by_side && slabs[n - 1]->dirty == 0)
    populate(pools, slabs + n - 1, 1); /* it lies elsewhere */
  assert(n <= AHEAD);
  return n;
}

static void* get_from_new_slab(struct caml_pools* pools, unsigned i,
                               unsigned at_once) {
  struct caml_pool_shard* shard = &pools->shards[i];
  struct caml_slab* slabs[AHEAD];
  unsigned n = get_slabs(pools, i, at_once, slabs);
  void* pool;
  if (n == 0) return NULL;
  note_used(pools, i);
  caml_shard_lock(&shard->lock);
  while (n > 0) link_slab(shard, slabs[--n]);
  pool = take_pool(pools, shard, slabs[0]);
  caml_shard_unlock(&shard->lock);
  return pool;
}

/* Other shards' free pools come before a new slab, but not those of the slab
   that a shard is taking from, while there is memory for another: two domains
   that take from one slab wait for each other ever after, at each of its pools
   that they put. */
void* caml_pools_get(struct caml_pools* pools, unsigned shard, unsigned n) {
  unsigned own = shard % CAML_POOL_SHARDS;
  void* pool = get_from(pools, &pools->shards[own], n, ALL_SLABS);
  assert(n == 1 || n == CAML_MEDIUM_POOLS);
  if (pool == NULL) pool = get_from_others(pools, own, n, OTHER_SLABS);
  if (pool == NULL) pool = get_from_new_slab(pools, own, n);
  if (pool == NULL) pool = get_from_others(pools, own, n, ALL_SLABS);
  return pool;
}

/* Decay.  With the lock of the slab's shard held */

/* Purges free pools in a row, by force or lazily.  What the kernel does not
   take lazily goes by force; what it does not take by force stays dirty. */
static void purge_row(struct caml_pools* pools, struct caml_slab* slab,
                      pool_bits row, bool by_force) {
  char* p = slab->start + first_bit(row) * CAML_POOL_SIZE;
  size_t size = size_of(row);
  caml_shard_assert_held(&pools->shards[slab->shard].lock);
  assert(is_sound(slab) && !(row & slab->used));
  slab->dirty &= ~row;
  slab->muzzy &= ~row;
  if (!by_force && caml_extents_purge_lazily(pools->extents, p, size)) {
    slab->muzzy |= row;
  } else if (!caml_extents_decommit(pools->extents, p, size)) {
    caml_huge_commit(&pools->extents->huge, p, size);
    slab->dirty |= row;
  }
}

static void purge(struct caml_pools* pools, struct caml_slab* slab,
                  pool_bits bits, bool by_force) {
  assert(!(bits & slab->used));
  bits = whole_pages(pools, bits);
  while (bits != 0) {
    pool_bits row = first_row(bits);
    purge_row(pools, slab, row, by_force);
    bits &= ~row;
  }
}

/* Purges all that is due.  Between two slabs the lock may be given to others,
   of which one may begin a purge too: it begins with the first slab, so that
   one place in the list is enough, and goes on by force if that was asked
   for. */
static void purge_due(struct caml_pools* pools, struct caml_pool_shard* shard,
                      bool by_force) {
  caml_shard_assert_held(&shard->lock);
  if (shard->walk == NULL) shard->by_force = false;
  if (by_force || atomic_load(&pools->muzzy_ms) == 0) shard->by_force = true;
  shard->walk = shard->partial;
  while (shard->walk != NULL) {
    struct caml_slab* slab = shard->walk;
    pool_bits due = slab->due;
    shard->walk = slab->next;
    if (due == 0) continue;
    slab->due = 0;
    purge(pools, slab, due & slab->muzzy, true);
    purge(pools, slab, due & slab->dirty, shard->by_force);
    caml_shard_yield(&shard->lock);
  }
}

/* Gives the slabs with no pool in use back to jemalloc, to decay there.  With
   the lock held. */
static void release_slabs(struct caml_pools* pools,
                         struct caml_pool_shard* shard) {
  struct caml_slab* next;
  caml_shard_assert_held(&shard->lock);
  for (struct caml_slab* slab = shard->partial; slab != NULL; slab = next) {
    next = slab->next;
    if (slab->used == 0) {
      unlink_slab(shard, slab);
      put_slab(pools, slab);
    }
  }
}

/* Twice in the decay time purges what was free the last time, too, when it has
   been time to for [late] ms.  With the lock held. */
static void decay_shard(struct caml_pools* pools,
                        struct caml_pool_shard* shard, uint64_t now,
                        uint64_t late) {
  ssize_t dirty_ms = atomic_load(&pools->dirty_ms);
  ssize_t muzzy_ms = atomic_load(&pools->muzzy_ms);
  bool dirty = caml_shard_is_due(shard->dirty_since, dirty_ms, now, late);
  bool muzzy = caml_shard_is_due(shard->muzzy_since, muzzy_ms, now, late);
  caml_shard_assert_held(&shard->lock);
  if (atomic_load(pools->held) > 0) return;
  if (!dirty && !muzzy) return;
  if (dirty) shard->dirty_since = now;
  if (muzzy) shard->muzzy_since = now;
  release_slabs(pools, shard);
  for (struct caml_slab* slab = shard->partial; slab != NULL;
       slab = slab->next) {
    if (muzzy) {
      slab->due |= slab->muzzy & slab->old_muzzy;
      slab->old_muzzy = slab->muzzy;
    }
    if (dirty) {
      slab->due |= slab->dirty & slab->old_dirty;
      slab->old_dirty = slab->dirty;
    }
  }
  purge_due(pools, shard, false);
}

bool caml_pools_put(struct caml_pools* pools, void* pool) {
  struct caml_slab* slab = find_slab(pools, pool);
  struct caml_pool_shard* shard;
  unsigned i;
  pool_bits row;
  if (slab == NULL || slab->start == NULL) return false;
  assert(slab->shard < CAML_POOL_SHARDS);
  shard = &pools->shards[slab->shard];
  i = (unsigned)(((char*)pool - slab->start) / CAML_POOL_SIZE);
  row = row_of(slab->at_once, i);
  assert((uintptr_t)pool % (slab->at_once * CAML_POOL_SIZE) == 0);
  caml_shard_lock(&shard->lock);
  assert(is_sound(slab) && (slab->used & row) == row);
  if (slab->used == FULL) link_slab(shard, slab);
  slab->used &= ~row;
  slab->dirty |= row;
  if (atomic_load(&pools->dirty_ms) == 0)
    purge(pools, slab, (page_of(pools, i) | row) & slab->dirty, true);
  /* a slab with no pool in use stays for the next, if it is the only one */
  if (slab->used == 0 && may_have(shard, slab->at_once, OTHER_SLABS)) {
    unlink_slab(shard, slab);
    put_slab(pools, slab);
  }
  if (++shard->puts % CAML_SHARD_PUTS == 0)
    decay_shard(pools, shard, caml_shard_now(), CAML_SHARD_LATE);
  caml_shard_unlock(&shard->lock);
  return true;
}

/* What is done for all shards, one after the other, with the lock of each */
typedef void (*shard_action)(struct caml_pools* pools,
                             struct caml_pool_shard* shard, void* data);

static void for_each_shard(struct caml_pools* pools, shard_action action,
                           void* data) {
  for (int i = 0; i < CAML_POOL_SHARDS; i++) {
    caml_ranked_mutex_lock(&pools->shards[i].lock.mutex);
    action(pools, &pools->shards[i], data);
    caml_ranked_mutex_unlock(&pools->shards[i].lock.mutex);
  }
}

static void decay_now(struct caml_pools* pools, struct caml_pool_shard* shard,
                      void* now) {
  decay_shard(pools, shard, *(uint64_t*)now, 0);
}

void caml_pools_decay(struct caml_pools* pools) {
  uint64_t now = caml_shard_now();
  for_each_shard(pools, decay_now, &now);
}

static void purge_all(struct caml_pools* pools, struct caml_pool_shard* shard,
                      void* unused) {
  (void)unused;
  release_slabs(pools, shard);
  for (struct caml_slab* slab = shard->partial; slab != NULL; slab = slab->next)
    slab->due = slab->dirty | slab->muzzy;
  purge_due(pools, shard, true);
}

void caml_pools_purge(struct caml_pools* pools) {
  for_each_shard(pools, purge_all, NULL);
}

static void purge_all_dirty(struct caml_pools* pools,
                            struct caml_pool_shard* shard, void* unused) {
  (void)unused;
  release_slabs(pools, shard);
  for (struct caml_slab* slab = shard->partial; slab != NULL; slab = slab->next)
    slab->due |= slab->dirty;
  purge_due(pools, shard, false);
}

static void purge_all_muzzy(struct caml_pools* pools,
                            struct caml_pool_shard* shard, void* unused) {
  (void)unused;
  for (struct caml_slab* slab = shard->partial; slab != NULL; slab = slab->next)
    slab->due |= slab->muzzy;
  purge_due(pools, shard, false);
}

void caml_pools_set_dirty_decay(struct caml_pools* pools, ssize_t ms) {
  assert(ms >= -1);
  atomic_store(&pools->dirty_ms, ms);
  if (ms == 0) for_each_shard(pools, purge_all_dirty, NULL);
}

void caml_pools_set_muzzy_decay(struct caml_pools* pools, ssize_t ms) {
  assert(ms >= -1);
  atomic_store(&pools->muzzy_ms, ms);
  if (ms == 0) for_each_shard(pools, purge_all_muzzy, NULL);
}

/* What there is */

static void add_free(struct caml_pools* pools, struct caml_pool_shard* shard,
                     void* data) {
  struct caml_free_pages* sum = data;
  caml_shard_assert_held(&shard->lock);
  for (struct caml_slab* slab = shard->partial; slab != NULL;
       slab = slab->next) {
    sum->dirty += size_of(whole_pages(pools, slab->dirty));
    sum->muzzy += size_of(slab->muzzy);
    sum->retained += size_of(FULL & ~(slab->used | slab->dirty | slab->muzzy));
  }
}

struct caml_free_pages caml_pools_free(struct caml_pools* pools) {
  struct caml_free_pages sum = { 0, 0, 0 };
  for_each_shard(pools, add_free, &sum);
  return sum;
}

struct caml_free_pages caml_pools_free_locked(struct caml_pools* pools) {
  struct caml_free_pages sum = { 0, 0, 0 };
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    add_free(pools, &pools->shards[i], &sum);
  return sum;
}

bool caml_pools_decays(struct caml_pools* pools) {
  return caml_free_pages_decay(caml_pools_free(pools),
                               atomic_load(&pools->dirty_ms),
                               atomic_load(&pools->muzzy_ms));
}

/* Life */

void caml_pools_init(struct caml_pools* pools, struct caml_extents* extents,
                     struct caml_cache* cache, const atomic_int* held,
                     int flags) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  assert(page <= CAML_SLAB_SIZE && caml_is_power_of_two(page));
  assert(extents != NULL && pools->extents == NULL);
  pools->extents = extents;
  pools->cache = cache;
  pools->held = held;
  pools->flags = flags;
  pools->per_page =
    page <= CAML_POOL_SIZE ? 1 : (unsigned)(page / CAML_POOL_SIZE);
  pools->dirty_ms = pools->muzzy_ms = -1;
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_ranked_mutex_init(&pools->shards[i].lock.mutex,
                           (enum caml_rank)(CAML_RANK_SHARD + i));
}

/* As one that gets or puts: a purge lets it have the locks, for which all that
   get pools wait meanwhile. */
void caml_pools_lock(struct caml_pools* pools) {
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_shard_lock(&pools->shards[i].lock);
}

void caml_pools_unlock(struct caml_pools* pools) {
  for (int i = CAML_POOL_SHARDS - 1; i >= 0; i--)
    caml_ranked_mutex_unlock(&pools->shards[i].lock.mutex);
}

/* What the child takes is little at first, whatever its parent took. */
static void forget_growth(struct caml_pool_shard* shard) {
  atomic_store(&shard->fresh, 0);
  atomic_store(&shard->taken, 0);
}

void caml_pools_postfork_child(struct caml_pools* pools) {
  for (int i = 0; i < CAML_POOL_SHARDS; i++) {
    forget_growth(&pools->shards[i]);
    caml_shard_postfork_child(&pools->shards[i].lock);
  }
}

void caml_pools_end(struct caml_pools* pools) {
  for (size_t i = 0; i < CAML_SLABS_ROOT; i++) {
    if (pools->leaves[i] != NULL) munmap(pools->leaves[i], LEAF_SIZE);
    pools->leaves[i] = NULL;
  }
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_ranked_mutex_destroy(&pools->shards[i].lock.mutex);
  memset(pools->shards, 0, sizeof(pools->shards));
  atomic_store(&pools->used, 0);
  pools->extents = NULL;
}
