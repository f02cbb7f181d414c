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

/* Pools in slabs: 16 of 32 KiB, one jemalloc extent of 512 KiB.

   jemalloc keeps 128 bytes for each extent, for ever, and takes 300
   nanoseconds to get and put one; a slab has some bits for each pool instead.
   A slab with no pool in use goes back to jemalloc.  The free pools of the
   others decay here, as jemalloc's extents do, and by the same times; which is
   why the functions below belong to those of jemalloc_arena.h that have the
   same names.

   Where the kernel's pages are larger than pools, a page goes when all of its
   pools are free, and comes with the first. */

#ifndef CAML_JEMALLOC_POOLS_H
#define CAML_JEMALLOC_POOLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jemalloc_extents.h"

/* Threads on different shards do not wait for each other. */
#define CAML_POOL_SHARDS 8

/* Bytes: what threads on different shards write is not in one line of the
   cache, nor in the one beside it, which processors fetch with it.  Two
   threads did 1.89 to 2.00 times what one does, with 64 bytes 1.22 to 1.98:
   bench/programs/micro.c, seven slabs of each by turns. */
#define CAML_CACHE_LINES 128

/* Slabs by their address / CAML_SLAB_SIZE: leaves of 1 MiB for 4 GiB each, of
   48 bits of address */
#define CAML_SLABS_LEAF ((size_t)1 << 13)
#define CAML_SLABS_ROOT ((size_t)1 << 16)

struct caml_slab; /* see jemalloc_pools.c */

struct caml_pool_shard {
  _Alignas(CAML_CACHE_LINES)
  pthread_mutex_t lock;     /* taken before jemalloc's */
  atomic_int waiting;       /* threads, for the lock, to get or put a pool */
  struct caml_slab* partial; /* slabs that have free pools */
  struct caml_slab* walk;    /* of these, the next to be purged */
  bool by_force;            /* it is, whoever walks */
  size_t puts;
  atomic_uint fresh;        /* slabs taken without pages, as long as it grows */
  atomic_uint taken;        /* the same, whatever was taken with pages, up to
                               LARGE */
  uint64_t dirty_since, muzzy_since; /* when ages were last looked at, ms */
};

struct caml_pools {
  struct caml_extents* extents;
  int flags; /* of [mallocx], for a slab */
  unsigned per_page; /* pools that share a page of the kernel's: 1, or a power
                        of two */
  _Atomic ssize_t dirty_ms, muzzy_ms;
  atomic_int held; /* > 0: nothing decays */
  struct caml_pool_shard shards[CAML_POOL_SHARDS];
  struct caml_slab* _Atomic leaves[CAML_SLABS_ROOT];
};

/* Bytes in free pools of slabs that are in use, but for those that share a page
   with one in use */
struct caml_free_pools { size_t dirty, muzzy, retained; };

/* Makes [pools], which is zeroed, ready.  [flags] are [mallocx]'s. */
void caml_pools_init(struct caml_pools* pools, struct caml_extents* extents,
                     int flags);

/* A pool of a slab, aligned to its size; NULL if there is no memory for one.
   [shard]: any number, another for each domain.  From any thread. */
void* caml_pools_get(struct caml_pools* pools, unsigned shard);

/* False if [pool] is of no slab.  From any thread. */
bool caml_pools_put(struct caml_pools* pools, void* pool);

/* Until these are called nothing decays.  -1: never. */
void caml_pools_set_dirty_decay(struct caml_pools* pools, ssize_t ms);
void caml_pools_set_muzzy_decay(struct caml_pools* pools, ssize_t ms);

/* Purges what is due; the other, all, by force.  Both give back to jemalloc the
   slabs that have no pool in use. */
void caml_pools_decay(struct caml_pools* pools);
void caml_pools_purge(struct caml_pools* pools);

/* Between the two nothing decays, here; they nest. */
void caml_pools_hold_decay(struct caml_pools* pools);
void caml_pools_release_decay(struct caml_pools* pools);

/* The second with the locks, from [caml_pools_lock]. */
struct caml_free_pools caml_pools_free(struct caml_pools* pools);
struct caml_free_pools caml_pools_free_locked(struct caml_pools* pools);

/* Does something decay some time? */
bool caml_pools_decays(struct caml_pools* pools);

/* Between the first two no pool is got or put.  Around a fork too; the third
   instead of the second in the child. */
void caml_pools_lock(struct caml_pools* pools);
void caml_pools_unlock(struct caml_pools* pools);
void caml_pools_postfork_child(struct caml_pools* pools);

/* The arena has been destroyed, the slabs with it. */
void caml_pools_end(struct caml_pools* pools);

#endif /* CAML_JEMALLOC_POOLS_H */
