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

/* Bytes in use by the runtime: a shard for each domain, which adds and
   subtracts there, summed by who reads.  A block that another domain frees
   leaves less than nothing in a shard; the sum is right.  Independent of the
   OCaml runtime. */

#ifndef CAML_HEAP_IN_USE_H
#define CAML_HEAP_IN_USE_H

#include <stdatomic.h>
#include <stddef.h>
#include "jemalloc_mutex.h"

/* Domains whose numbers are so far apart share one. */
#define CAML_IN_USE_SHARDS 64

struct caml_in_use_shard {
  _Alignas(CAML_CACHE_LINES) _Atomic size_t pools;
  _Atomic size_t large;
};

struct caml_heap_in_use {
  struct caml_in_use_shard shards[CAML_IN_USE_SHARDS];
  _Atomic size_t shared; /* of both, set apart at a fork; not counted there */
};

/* The shard of a domain, by its number */
static inline struct caml_in_use_shard*
caml_in_use_shard(struct caml_heap_in_use* in_use, unsigned domain) {
  return &in_use->shards[domain % CAML_IN_USE_SHARDS];
}

struct caml_in_use_sum { size_t pools, large; };

static inline struct caml_in_use_sum
caml_in_use_sum(const struct caml_heap_in_use* in_use) {
  struct caml_in_use_sum sum = { 0, 0 };
  for (int i = 0; i < CAML_IN_USE_SHARDS; i++) {
    const struct caml_in_use_shard* shard = &in_use->shards[i];
    sum.pools += atomic_load_explicit(&shard->pools, memory_order_relaxed);
    sum.large += atomic_load_explicit(&shard->large, memory_order_relaxed);
  }
  return sum;
}

#endif /* CAML_HEAP_IN_USE_H */
