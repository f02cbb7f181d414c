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

#include "jemalloc_assert.h"
#include "jemalloc_cache_policy.h"

static size_t at_most(size_t n, size_t most) {
  return n < most ? n : most;
}

static size_t at_least(size_t n, size_t least) {
  return n > least ? n : least;
}

void caml_cache_bound_look(struct caml_cache_bound* bound, size_t heap,
                           unsigned shards) {
  assert(shards > 0);
  bound->first = at_least(
    at_most(heap / CAML_CACHE_FIRST_PART / shards, CAML_CACHE_FIRST_MOST),
    at_most(heap / CAML_CACHE_SMALL_PART, CAML_CACHE_SMALL_MOST) / shards);
  bound->most = heap / CAML_CACHE_PART / shards;
  bound->earned = at_most(bound->earned, bound->most - bound->first);
  assert(bound->first <= bound->most);
}

void caml_cache_bound_found(struct caml_cache_bound* bound, size_t size) {
  assert(bound->first + bound->earned <= bound->most);
  bound->earned = at_most(bound->earned + size, bound->most - bound->first);
}

void caml_cache_bound_vain(struct caml_cache_bound* bound, size_t size) {
  bound->earned -= at_most(size, bound->earned);
}

/* [now] may be before [looked]: another thread has looked meanwhile. */
bool caml_cache_is_due(uint64_t looked, ssize_t ms, uint64_t now) {
  assert(ms >= -1);
  return ms >= 0 && now >= looked + (uint64_t)ms / 2;
}

uint32_t caml_cache_untouched(struct caml_cache_level* level) {
  uint32_t untouched = level->least;
  assert(untouched <= level->n);
  level->n -= untouched;
  level->least = level->n;
  return untouched;
}
