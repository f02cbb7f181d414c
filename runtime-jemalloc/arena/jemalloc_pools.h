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

/* Slabs of pools.  A slab is 16 pools of 32 KiB, one jemalloc extent of 512
   KiB; or 4 medium pools, each in the place of 4 others.  Slabs of the two
   kinds are the same to jemalloc.

   For each extent jemalloc keeps 128 bytes, for ever, and it takes 300
   nanoseconds to get and put one.  A slab has a few bits for each pool
   instead.

   A slab with no pool in use goes back to jemalloc.  The free pools of the
   other slabs decay here, as jemalloc's extents do, and by the same times.  So
   each function below is called by the one of jemalloc_arena.h with the same
   name.

   Where the kernel's pages are larger than pools, a page goes when all of its
   pools are free, and comes with the first that is taken. */

#ifndef CAML_JEMALLOC_POOLS_H
#define CAML_JEMALLOC_POOLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jemalloc_cache.h"
#include "jemalloc_extents.h"
#include "jemalloc_shard.h"

/* A table of slabs by their address / CAML_SLAB_SIZE, for 48 bits of address.
   Its leaves are 1 MiB, for 4 GiB each. */
#define CAML_SLABS_LEAF ((size_t)1 << 13)
#define CAML_SLABS_ROOT ((size_t)1 << 16)

struct caml_slab; /* see jemalloc_pools.c */

struct caml_pool_shard {
  _Alignas(CAML_CACHE_LINES)
  struct caml_shard_lock lock; /* of what follows */
  struct caml_slab *partial, *last; /* slabs that have free pools, those of
                                       medium pools at the end; the last */
  atomic_uint n_partial, n_medium;  /* how many, of each kind; others look
                                       without the lock */
  struct caml_slab* walk;    /* of these, the next to be purged */
  bool by_force;            /* the walk purges by force */
  size_t puts;              /* of pools */
  atomic_uint fresh;        /* slabs taken without pages: see LARGE and AHEAD */
  atomic_uint taken;        /* slabs taken without pages, up to LARGE */
  uint64_t dirty_since, muzzy_since; /* when ages were last looked at, ms */
};

struct caml_pools {
  struct caml_extents* extents;
  struct caml_cache* cache;
  int flags; /* of [mallocx], for a slab */
  unsigned per_page; /* pools that share a page of the kernel's: 1, or a power
                        of two */
  _Atomic ssize_t dirty_ms, muzzy_ms;
  const atomic_int* held; /* > 0: nothing decays */
  _Atomic unsigned used; /* shards from here on never had a slab */
  struct caml_pool_shard shards[CAML_POOL_SHARDS];
  struct caml_slab* _Atomic leaves[CAML_SLABS_ROOT];
};

/* Makes [pools], which is zeroed, ready.  Before a slab is taken the
   same shard of [cache] is emptied.  While [*held] > 0 nothing decays in slabs.
   [flags] are [mallocx]'s. */
void caml_pools_init(struct caml_pools* pools, struct caml_extents* extents,
                     struct caml_cache* cache, const atomic_int* held,
                     int flags);

/* [n] pools in one, aligned to that size: 1 or CAML_MEDIUM_POOLS.  NULL if
   there is no memory for a slab.  [shard] is any number, a different one for
   each domain.  From any thread. */
void* caml_pools_get(struct caml_pools* pools, unsigned shard, unsigned n);

/* Takes a pool back.  False if it is of no slab.  From any thread. */
bool caml_pools_put(struct caml_pools* pools, void* pool);

/* How long free pools stay dirty, then muzzy, ms; -1: for ever.  Until these
   are called nothing decays. */
void caml_pools_set_dirty_decay(struct caml_pools* pools, ssize_t ms);
void caml_pools_set_muzzy_decay(struct caml_pools* pools, ssize_t ms);

/* The first purges what is due, the second all, by force.  Both give the slabs
   that have no pool in use back to jemalloc. */
void caml_pools_decay(struct caml_pools* pools);
void caml_pools_purge(struct caml_pools* pools);

/* What is free in slabs that are in use.  A free pool that shares a page with
   one in use is not counted.  The second is called with all locks, between
   [caml_pools_lock] and [caml_pools_unlock]. */
struct caml_free_pages caml_pools_free(struct caml_pools* pools);
struct caml_free_pages caml_pools_free_locked(struct caml_pools* pools);

/* Are there free pools that decay will purge some time? */
bool caml_pools_decays(struct caml_pools* pools);

/* Between the first two no pool is got or put.  They are also called around a
   fork; in the child the third instead of the second. */
void caml_pools_lock(struct caml_pools* pools);
void caml_pools_unlock(struct caml_pools* pools);
void caml_pools_postfork_child(struct caml_pools* pools);

/* The arena has been destroyed, the slabs with it. */
void caml_pools_end(struct caml_pools* pools);

#endif /* CAML_JEMALLOC_POOLS_H */
