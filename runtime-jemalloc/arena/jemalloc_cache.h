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

/* A cache of freed blocks of 4 to 14 KiB in front of jemalloc, which takes two
   mutexes for each.  Since OCaml 5.2 such blocks lie in pools; larger ones lie
   in frames.

   Each domain has a shard, in which it finds what it has freed itself.  On a
   hit, nothing is written that another domain's shard has, or jemalloc.
   Domains whose numbers are CAML_CACHE_SHARDS apart share one.

   What is kept is free: it counts as dirty, and goes
     - when nobody has touched it for half of the decay time;
     - block by block, when others are asked for than there are and more is kept
       than at first, so that slabs of jemalloc's become free;
     - for a block of another size, when there is no room for that;
     - before jemalloc is asked by the shard's domain for a slab of pools, or
       for a larger block that is in no frame;
     - with every purge that is asked for, and before memory runs out.
   jemalloc_cache_policy.h decides how much is kept and what goes.

   A shard is entered by one thread at a time.  Who comes to get or put a block
   and finds another in it goes to jemalloc instead of waiting.  In a shard no
   function of another module is called, and no mutex is taken. */

#ifndef CAML_JEMALLOC_CACHE_H
#define CAML_JEMALLOC_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jemalloc_cache_policy.h"
#include "jemalloc_extents.h"
#include "jemalloc_mutex.h"

#define CAML_CACHE_SHARDS 64

/* A block in the cache: its first words are the cache's. */
struct caml_cached;

struct caml_cache_stack {
  struct caml_cached* top;
  struct caml_cache_level level;
};

struct caml_cache_shard {
  _Alignas(CAML_CACHE_LINES)
  atomic_bool entered;  /* by a thread, whose is what follows */
  unsigned puts;
  struct caml_cache_bound bound;
  _Atomic size_t bytes; /* kept; may be read from outside, as the next two */
  _Atomic size_t hits, misses;
  uint64_t looked;      /* ms, when ages were last looked at */
  uint64_t some[(CAML_CACHE_CLASSES + 63) / 64]; /* a bit for each class that
                                                    has blocks */
  struct caml_cache_stack stacks[CAML_CACHE_CLASSES];
};

struct caml_cache {
  const struct caml_extents* extents;
  int flags; /* of [mallocx] */
  _Atomic ssize_t decay_ms;
  atomic_int closed;     /* > 0: nobody enters a shard */
  _Atomic unsigned used; /* shards from here on were never entered */
  struct caml_cache_shard shards[CAML_CACHE_SHARDS];
};

/* Makes [cache], which is zeroed, ready.  [flags] are [mallocx]'s.  Until
   [caml_cache_set_decay] is called it keeps what it has for ever. */
void caml_cache_init(struct caml_cache* cache,
                     const struct caml_extents* extents, int flags);

/* A block of [size] bytes or somewhat more, or NULL.  [shard] is any
   number, a different one for each domain.  From any thread. */
void* caml_cache_get(struct caml_cache* cache, unsigned shard, size_t size);

/* Keeps a block of jemalloc's.  False: it is not of a size that is cached, the
   shard is full, or there is to be no cache.  From any thread. */
bool caml_cache_put(struct caml_cache* cache, unsigned shard, void* block,
                    size_t size);

/* How long free pages stay dirty, ms; -1: for ever; 0: nothing is kept. */
void caml_cache_set_decay(struct caml_cache* cache, ssize_t ms);

/* Gives back to jemalloc what has not been touched for half of that time, at
   [now], ms of the monotonic clock; or everything.  The second returns whether
   there was anything.  From any thread. */
void caml_cache_decay(struct caml_cache* cache, uint64_t now);
bool caml_cache_empty(struct caml_cache* cache);

/* Everything that is in one shard.  [shard] is as for [caml_cache_get]. */
void caml_cache_empty_shard(struct caml_cache* cache, unsigned shard);

/* Bytes that are kept, blocks that were found, and others.  Not exact while
   other threads are in a shard. */
struct caml_cache_counts { size_t bytes, hits, misses; };
struct caml_cache_counts caml_cache_counts(const struct caml_cache* cache);

/* Will decay give something back some time? */
bool caml_cache_decays(const struct caml_cache* cache);

/* Between the two nobody is in a shard, and who would enter one goes to
   jemalloc.  Also around a fork; in the child the third instead of the
   second. */
void caml_cache_close(struct caml_cache* cache);
void caml_cache_open(struct caml_cache* cache);
void caml_cache_postfork_child(struct caml_cache* cache);

/* The arena has been destroyed, the blocks with it. */
void caml_cache_end(struct caml_cache* cache);

#endif /* CAML_JEMALLOC_CACHE_H */
