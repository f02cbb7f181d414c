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
#include <stdio.h>
#include <sys/types.h>
#include "jemalloc.h"
#include "jemalloc_arena.h"

/* Calls mallctl "arena.<index>.<name>". */
static int arena_ctl(const struct caml_arena* arena, const char* name,
                     void* new_value, size_t new_size) {
  char path[64];
  int len = snprintf(path, sizeof(path), "arena.%u.%s", arena->index, name);
  assert(len > 0 && (size_t)len < sizeof(path));
  (void)len;
  return je_mallctl(path, NULL, NULL, new_value, new_size);
}

bool caml_arena_set_dirty_decay(struct caml_arena* arena, ssize_t ms) {
  return arena_ctl(arena, "dirty_decay_ms", &ms, sizeof(ms)) == 0;
}

bool caml_arena_set_muzzy_decay(struct caml_arena* arena, ssize_t ms) {
  return arena_ctl(arena, "muzzy_decay_ms", &ms, sizeof(ms)) == 0;
}

const char* caml_arena_create(struct caml_arena* arena, enum caml_thp thp) {
  extent_hooks_t* hooks = caml_extents_init(&arena->extents, thp);
  size_t size = sizeof(arena->index);

  if (je_mallctl("arenas.create", &arena->index, &size,
                 &hooks, sizeof(hooks)) != 0)
    return "no memory, or too many arenas";
  /* No thread cache: it would hide pools from decay, and [sdallocx] would
     put what one domain frees in reach of that domain only. */
  pthread_mutex_init(&arena->statistics, NULL);
  arena->flags = MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
  return NULL;
}

void* caml_arena_get(struct caml_arena* arena, size_t size) {
  assert(size > 0);
  return je_mallocx(size, arena->flags);
}

void caml_arena_put(struct caml_arena* arena, void* block, size_t size) {
  assert(block != NULL && size > 0);
  je_sdallocx(block, size, arena->flags);
}

bool caml_arena_purge(struct caml_arena* arena) {
  return arena_ctl(arena, "purge", NULL, 0) == 0;
}

bool caml_arena_purge_lazily(struct caml_arena* arena, ssize_t ms) {
  bool purged = caml_arena_set_dirty_decay(arena, 0);
  return caml_arena_set_dirty_decay(arena, ms) && purged;
}

/* Unused pages in the state of [pages], if pages in it decay. */
static size_t decaying(const struct caml_arena* arena, const char* pages,
                       const char* decay) {
  char path[64];
  ssize_t ms;
  size_t n, size = sizeof(ms);
  snprintf(path, sizeof(path), "arena.%u.%s", arena->index, decay);
  if (je_mallctl(path, &ms, &size, NULL, 0) != 0 || ms < 0) return 0;
  size = sizeof(n);
  snprintf(path, sizeof(path), "stats.arenas.%u.%s", arena->index, pages);
  return je_mallctl(path, &n, &size, NULL, 0) == 0 ? n : 0;
}

bool caml_arena_decays(struct caml_arena* arena) {
  uint64_t epoch = 1;
  bool decays;
  caml_arena_statistics_lock(arena);
  je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
  decays = decaying(arena, "pdirty", "dirty_decay_ms") > 0
    || decaying(arena, "pmuzzy", "muzzy_decay_ms") > 0;
  caml_arena_statistics_unlock(arena);
  return decays;
}

void caml_arena_statistics_lock(struct caml_arena* arena) {
  pthread_mutex_lock(&arena->statistics);
}

void caml_arena_statistics_unlock(struct caml_arena* arena) {
  pthread_mutex_unlock(&arena->statistics);
}

void caml_arena_forked(struct caml_arena* arena) {
  pthread_mutex_init(&arena->statistics, NULL);
  caml_extents_forked(&arena->extents);
}

bool caml_arena_decay(struct caml_arena* arena) {
  return arena_ctl(arena, "decay", NULL, 0) == 0;
}

bool caml_arena_destroy(struct caml_arena* arena) {
  bool done;
  caml_extents_close(&arena->extents, true);
  done = arena_ctl(arena, "destroy", NULL, 0) == 0;
  if (done)
    caml_extents_end(&arena->extents);
  else
    caml_extents_close(&arena->extents, false);
  return done;
}

const char* caml_arena_jemalloc(void) {
  const char* version;
  size_t size = sizeof(version);
  bool known = je_mallctl("version", &version, &size, NULL, 0) == 0;
  return known ? version : "unknown";
}
