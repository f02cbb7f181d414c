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

/* One jemalloc arena with our extent hooks: all memory of the major heap.
   Independent of the OCaml runtime, so that it can be tested alone.

   Sizes are in bytes.  All functions but [caml_arena_create],
   [caml_arena_update_budget], those that set decay times or purge lazily, and
   [caml_arena_destroy] may be called by several threads at once. */

#ifndef CAML_JEMALLOC_ARENA_H
#define CAML_JEMALLOC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "jemalloc_extents.h"
#include "jemalloc_budget.h"
#include "jemalloc_cache.h"
#include "jemalloc_frames.h"
#include "jemalloc_pools.h"

struct caml_arena {
  struct caml_extents extents; /* the hooks and what they counted */
  struct caml_pools pools;
  struct caml_frames frames;
  struct caml_cache cache;
  atomic_int held;             /* > 0: nothing decays */
  struct caml_budget budget;
  ssize_t dirty_ms, muzzy_ms;  /* as asked for */
  _Atomic size_t asked;        /* ns, of purges that were asked for */
  _Atomic size_t trimmed;      /* bytes decommitted before the last trim */
  size_t oversize;             /* jemalloc's oversize_threshold, bytes */
  unsigned index;              /* jemalloc's number of the arena */
  bool exact;                  /* large sizes are not rounded up further than
                                  to jemalloc's page */
  int flags;                   /* of every [mallocx] and [sdallocx] */
  struct caml_ranked_mutex statistics, trim; /* before jemalloc's own locks */
};

/* Makes [arena], which is zeroed, ready.  Returns NULL, or in words what
   failed; then there is nothing to destroy, and the words are not to be
   freed.  [arena] must not move afterwards: jemalloc keeps the address of its
   hooks. */
const char* caml_arena_create(struct caml_arena* arena, enum caml_thp thp);

/* How long pages stay dirty, then muzzy, in milliseconds; -1: for ever, 0: not
   at all.  They stay longer while purging takes too much time:
   jemalloc_budget.h.  To be called before memory is put back.  False if
   jemalloc refused. */
bool caml_arena_set_dirty_decay(struct caml_arena* arena, ssize_t ms);
bool caml_arena_set_muzzy_decay(struct caml_arena* arena, ssize_t ms);

/* [size] > 0 bytes, uninitialised, aligned to 16 bytes; from four of jemalloc's
   pages up, to a page.  NULL when there is no memory. */
void* caml_arena_get(struct caml_arena* arena, size_t size);

/* A pool of [CAML_POOL_SIZE] bytes, or of [CAML_MEDIUM_POOL_SIZE],
   uninitialised and aligned to its size.  NULL when there is no memory.
   [shard] is any number, a different one for each domain. */
void* caml_arena_get_pool(struct caml_arena* arena, unsigned shard);
void* caml_arena_get_medium_pool(struct caml_arena* arena, unsigned shard);
void caml_arena_put_pool(struct caml_arena* arena, void* pool);

/* Takes back what [caml_arena_get] returned for this very [size]. */
void caml_arena_put(struct caml_arena* arena, void* block, size_t size);

/* As these two, for blocks that come and go.  They lie in frames
   (jemalloc_frames.h), or are kept for a while (jemalloc_cache.h), for whoever
   gets from the same [shard], any number, a different one for each domain.
   Aligned to 16 bytes. */
void* caml_arena_get_cached(struct caml_arena* arena, unsigned shard,
                            size_t size);
void caml_arena_put_cached(struct caml_arena* arena, unsigned shard,
                           void* block, size_t size);

/* The block of [size] bytes that the calling thread got last will be filled.
   If most of it had no pages, it gets them by one system call.  What the block
   holds stays.  Where the kernel refuses, pages come when they are touched. */
void caml_arena_populate(struct caml_arena* arena, void* p, size_t size);

/* Have free pages come since it was last asked, though nothing was freed?  Then
   there may be something that decays.  From any thread. */
bool caml_arena_filled_ahead(struct caml_arena* arena);

/* Gives all unused pages, dirty and muzzy, back to the system before it
   returns, and trims.  False if jemalloc refused. */
bool caml_arena_purge(struct caml_arena* arena);

/* Where the system charges address space: unmaps what is free of it in whole
   huge pages, and gives all unused pages back. */
void caml_arena_trim(struct caml_arena* arena);

/* Makes dirty pages muzzy before it returns: the system takes them when it
   needs some.  If muzzy pages may not stay, they go back at once.  False if
   jemalloc refused. */
bool caml_arena_purge_lazily(struct caml_arena* arena);

/* Are there unused pages that decay will purge some time?  From jemalloc's
   statistics, which this refreshes: some ten microseconds. */
bool caml_arena_decays(struct caml_arena* arena);

/* Bytes that are unused and dirty now: some ten microseconds. */
size_t caml_arena_dirty(struct caml_arena* arena);

/* And with those that are muzzy: all that [caml_arena_purge] would give
   back. */
size_t caml_arena_unused(struct caml_arena* arena);

/* jemalloc's statistics are those of the last refresh.  Between the two nobody
   else refreshes them. */
void caml_arena_statistics_lock(struct caml_arena* arena);
void caml_arena_statistics_unlock(struct caml_arena* arena);

/* The first before a fork, the second after it in the parent, the third in the
   child. */
void caml_arena_prefork(struct caml_arena* arena);
void caml_arena_postfork_parent(struct caml_arena* arena);
void caml_arena_postfork_child(struct caml_arena* arena);

/* Between the two no page is purged because of its age, except by jemalloc
   itself when a block is put back.  They nest, and are of one thread. */
void caml_arena_hold_decay(struct caml_arena* arena);
void caml_arena_release_decay(struct caml_arena* arena);

/* Purges the pages whose time has come, unless decay is held.  False if
   jemalloc refused. */
bool caml_arena_decay(struct caml_arena* arena);

/* Sets the decay times by what purging has cost.  To be called now and then;
   takes some 100 ns if not much time has passed. */
void caml_arena_update_budget(struct caml_arena* arena);

/* Unmaps everything that the arena ever mapped, blocks in use included.  No
   other thread may be using the arena.  False if jemalloc refused; the arena
   is then as it was. */
bool caml_arena_destroy(struct caml_arena* arena);

/* The version of jemalloc, as it names itself.  Not to be freed.
   "unknown" if jemalloc has no memory to start with. */
const char* caml_arena_jemalloc(void);

#endif /* CAML_JEMALLOC_ARENA_H */
