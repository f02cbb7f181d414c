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

/* What the cache of freed blocks (jemalloc_cache.h) keeps, for how long, and
   which block serves: decisions, without a clock and without memory.

   A shard may keep little at first, and more by each block that was found in
   it, up to half of the heap: what a sweep frees at once is as much as that,
   and is about to be taken again.  It may keep less by each block that was kept
   in vain. */

#ifndef CAML_JEMALLOC_CACHE_POLICY_H
#define CAML_JEMALLOC_CACHE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jemalloc_assert.h"

/* Bytes of the blocks that are cached: those of jemalloc's slabs, where they
   are not much smaller than pages. */
#define CAML_CACHE_BLOCK_LEAST ((size_t)4 << 10)
#define CAML_CACHE_BLOCK_MOST ((size_t)14 << 10)

/* What all shards may keep together: at first a part of the heap, each up to so
   many bytes; in the end a larger part.  Were the bytes for all of them, a
   shard of 16 would begin with too little to find anything in, and stay so.  Of
   a small heap it is a larger part, up to so many bytes: a 64th is less than a
   block. */
#define CAML_CACHE_FIRST_PART 64
#define CAML_CACHE_SMALL_PART 8
#define CAML_CACHE_SMALL_MOST ((size_t)512 << 10)
#define CAML_CACHE_FIRST_MOST ((size_t)8 << 20)
#define CAML_CACHE_PART 2

/* Classes of blocks, by the KiB that they have */
#define CAML_CACHE_CLASSES ((unsigned)(CAML_CACHE_BLOCK_MOST >> 10) + 1)

/* The class of a block of [size] bytes, from CAML_CACHE_BLOCK_LEAST to
   CAML_CACHE_BLOCK_MOST.  All blocks of a class have the bytes of
   [caml_cache_class_size] at least. */
static inline unsigned caml_cache_class(size_t size) {
  assert(size >= CAML_CACHE_BLOCK_LEAST && size <= CAML_CACHE_BLOCK_MOST);
  return (unsigned)(size >> 10);
}

static inline size_t caml_cache_class_size(unsigned class) {
  assert(class < CAML_CACHE_CLASSES);
  return (size_t)class << 10;
}

/* The last class of which a block serves for one of [class]: up to a quarter
   larger, which is jemalloc's next class at least, so that sizes which vary
   find one: bench/programs/micro.c says how many do. */
static inline unsigned caml_cache_last_class(unsigned class) {
  size_t size = caml_cache_class_size(class), larger = size / 4;
  return caml_cache_class(size + larger < CAML_CACHE_BLOCK_MOST
                            ? size + larger : CAML_CACHE_BLOCK_MOST);
}

/* How many bytes a shard may keep: [first] and [earned], which are no more than
   [most] */
struct caml_cache_bound {
  size_t first, most, earned;
};

/* The heap is of [heap] bytes, and [shards] keep some. */
void caml_cache_bound_look(struct caml_cache_bound* bound, size_t heap,
                           unsigned shards);

/* A block of [size] bytes was found, or given back that had not been. */
void caml_cache_bound_found(struct caml_cache_bound* bound, size_t size);
void caml_cache_bound_vain(struct caml_cache_bound* bound, size_t size);

/* Is there room for [size] bytes beside [kept]? */
static inline bool caml_cache_has_room(const struct caml_cache_bound* bound,
                                       size_t kept, size_t size) {
  return kept + size <= bound->first + bound->earned;
}

/* Of [kept] bytes none serves: is one of these blocks to go, so that jemalloc
   has it?  What may be kept at first may be kept in vain. */
static inline bool caml_cache_is_too_much(const struct caml_cache_bound* bound,
                                          size_t kept) {
  return kept > bound->first;
}

/* How many blocks of a class there are, and how few there were since they were
   last looked at.  So many have not been touched: they lie below the others. */
struct caml_cache_level {
  uint32_t n, least;
};

static inline void caml_cache_count_put(struct caml_cache_level* level) {
  level->n++;
}

static inline void caml_cache_count_get(struct caml_cache_level* level) {
  assert(level->n > 0 && level->least <= level->n);
  level->n--;
  if (level->n < level->least) level->least = level->n;
}

/* Is it time to look, at [now]?  Half of the decay time, which is [ms], has
   passed since the last look.  -1: never.  Times are in ms. */
bool caml_cache_is_due(uint64_t looked, ssize_t ms, uint64_t now);

/* Looks: how many blocks of the class have not been touched since the last
   look?  They are counted as gone. */
uint32_t caml_cache_untouched(struct caml_cache_level* level);

#endif /* CAML_JEMALLOC_CACHE_POLICY_H */
