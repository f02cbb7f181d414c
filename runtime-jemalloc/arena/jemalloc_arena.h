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

/* One jemalloc arena with extent hooks of ours.  Independent of the OCaml
   runtime, so that it can be tested alone.

   Sizes are in bytes.  All functions but [caml_arena_create],
   [caml_arena_update_budget], those that set decay times or purge lazily, and
   [caml_arena_destroy] may be called by several threads at once. */

#ifndef CAML_JEMALLOC_ARENA_H
#define CAML_JEMALLOC_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "jemalloc_extents.h"
#include "jemalloc_budget.h"
#include "jemalloc_pools.h"

struct caml_arena {
  struct caml_extents extents; /* the hooks and what they counted */
  struct caml_pools pools;
  struct caml_budget budget;
  ssize_t dirty_ms, muzzy_ms;  /* as asked for */
  _Atomic size_t asked;        /* ns, of purges that were not the decay's */
  _Atomic size_t trimmed;      /* bytes decommitted before the last trim began
                                  */
  unsigned index;              /* jemalloc's number of the arena */
  bool exact;                  /* large sizes are rounded to jemalloc's page
                                  only */
  int flags;                   /* of every [mallocx] and [sdallocx] */
  pthread_mutex_t statistics;  /* taken before jemalloc's own locks */
  pthread_mutex_t trim;        /* likewise */
};

/* Makes [arena], which is zeroed, ready.  Returns NULL, or what failed in words
   that are not to be freed; then there is nothing to destroy.  [arena] must not
   move afterwards: jemalloc keeps the address of its hooks. */
const char* caml_arena_create(struct caml_arena* arena, enum caml_thp thp);

/* How long pages stay dirty, then muzzy, in milliseconds; -1: for ever, 0: not
   at all; longer while purging takes too much time, see jemalloc_budget.h.  To
   be called before memory is put back.  False if jemalloc refused. */
bool caml_arena_set_dirty_decay(struct caml_arena* arena, ssize_t ms);
bool caml_arena_set_muzzy_decay(struct caml_arena* arena, ssize_t ms);

/* [size] > 0 bytes, uninitialised, aligned to 16 bytes, or to a page from
   four of jemalloc's up.  NULL when there is no memory. */
void* caml_arena_get(struct caml_arena* arena, size_t size);

/* A pool of [CAML_POOL_SIZE] bytes, uninitialised and aligned to a page, or to
   that size where pages are larger; NULL when there is no memory.  [shard]:
   any number, another for each domain. */
void* caml_arena_get_pool(struct caml_arena* arena, unsigned shard);
void caml_arena_put_pool(struct caml_arena* arena, void* pool);

/* Takes back what [caml_arena_get] returned for this very [size]. */
void caml_arena_put(struct caml_arena* arena, void* block, size_t size);

/* Bytes of address space that were taken for blocks and had no pages, ever
   since: in [commit] and in blocks with mappings of their own. */
size_t caml_arena_committed(const struct caml_arena* arena);

/* [size] bytes of a block that is new and will be filled.  If most of it was
   committed since caml_arena_committed returned [before], as far as is known
   while other threads commit too, it gets its pages by one system call; what
   it holds stays.  Where the kernel refuses, pages come when they are
   touched. */
void caml_arena_populate(struct caml_arena* arena, void* p, size_t size,
                         size_t before);

/* Gives all unused pages, dirty and muzzy, back to the OS before it returns,
   and trims.  False if jemalloc refused. */
bool caml_arena_purge(struct caml_arena* arena);

/* Gives back whole huge pages of address space that are free, with all unused
   pages, where the system charges address space. */
void caml_arena_trim(struct caml_arena* arena);

/* Makes dirty pages muzzy before it returns: the OS takes them when it needs
   some.  Back at once, as by [caml_arena_purge], if muzzy pages may not stay.
   False if jemalloc refused. */
bool caml_arena_purge_lazily(struct caml_arena* arena);

/* Are there unused pages that decay will purge some time?  From jemalloc's
   statistics, which this refreshes: some ten microseconds. */
bool caml_arena_decays(struct caml_arena* arena);

/* Bytes that are unused and dirty now: some ten microseconds. */
size_t caml_arena_dirty(struct caml_arena* arena);

/* jemalloc's statistics are of one moment, that of the last refresh: between
   the two, nobody else refreshes them. */
void caml_arena_statistics_lock(struct caml_arena* arena);
void caml_arena_statistics_unlock(struct caml_arena* arena);

/* Before and after a fork; in the child the third instead of the second. */
void caml_arena_prefork(struct caml_arena* arena);
void caml_arena_postfork_parent(struct caml_arena* arena);
void caml_arena_postfork_child(struct caml_arena* arena);

/* Between the two no page's time comes, but for those that jemalloc purges when
   blocks are put back.  They nest. */
void caml_arena_hold_decay(struct caml_arena* arena);
void caml_arena_release_decay(struct caml_arena* arena);

/* Purges the pages whose time has come.  False if jemalloc refused. */
bool caml_arena_decay(struct caml_arena* arena);

/* Sets the decay times by what purging has cost.  To be called now and then;
   some 100 ns if not much time has passed. */
void caml_arena_update_budget(struct caml_arena* arena);

/* Unmaps everything that the arena ever mapped, blocks in use included.  No
   other thread may be using the arena.  False if jemalloc refused; the arena
   is then as it was. */
bool caml_arena_destroy(struct caml_arena* arena);

/* The version of jemalloc, as it names itself.  Not to be freed.
   "unknown" if jemalloc has no memory to start with. */
const char* caml_arena_jemalloc(void);

#endif /* CAML_JEMALLOC_ARENA_H */
