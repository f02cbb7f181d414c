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

/* Frames of pages, for blocks of more than three and a half pages, which are 14
   KiB as a rule, and of 1 MiB at most.  A frame is 2 MiB, one jemalloc extent,
   which is cut into runs of pages.

   For a block of its own, jemalloc takes several mutexes, and cuts and merges
   extents, all of which threads wait for.  A frame belongs to a shard, and each
   domain has one: two domains meet only where one frees what the other has
   allocated.

   A frame with no page in use goes back to jemalloc.  The free pages of the
   others decay here, as jemalloc's extents do, and by the same times.  So each
   function below is called by the one of jemalloc_arena.h with the same
   name. */

#ifndef CAML_JEMALLOC_FRAMES_H
#define CAML_JEMALLOC_FRAMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jemalloc_extents.h"
#include "jemalloc_shard.h"
#include "jemalloc_page_bits.h"

#define CAML_FRAME_SIZE CAML_HUGE_PAGE_SIZE

/* Bytes of the blocks that lie in frames, up to here, and of more than three
   and a half pages.  Smaller ones lie in pools, or in jemalloc's slabs; of
   larger ones too few fit in one frame. */
#define CAML_FRAME_BLOCK_MOST ((size_t)1 << 20)

/* A table of frames by their address / CAML_FRAME_SIZE, for 48 bits of address.
   Its leaves are 256 KiB, for 64 GiB each. */
#define CAML_FRAMES_LEAF ((size_t)1 << 15)
#define CAML_FRAMES_ROOT ((size_t)1 << 12)

/* See jemalloc_frames.c. */
struct caml_frame;
struct caml_run;
struct caml_pieces;
typedef struct caml_frame* _Atomic caml_frame_entry;

struct caml_frame_shard {
  _Alignas(CAML_CACHE_LINES)
  struct caml_shard_lock lock; /* of what follows */
  unsigned n_frames, n_empty; /* frames, and those with no page in use */
  size_t n_used;            /* pages of all */
  unsigned puts;
  unsigned what;            /* the walk does: see jemalloc_frames.c */
  uint64_t dirty_since, muzzy_since; /* when ages were last looked at, ms */
  struct caml_frame* all;   /* its frames */
  struct caml_frame* walk;  /* of these, the next to be purged */
  struct caml_run** by_length;   /* free runs, by their pages less one; NULL:
                                    there never was one */
  struct caml_page_bits lengths; /* a bit for each length that some have */
};

struct caml_frames {
  struct caml_extents* extents;
  int flags;      /* of [mallocx], for a frame */
  unsigned shift; /* a page, of the kernel's, is of 1 << shift bytes */
  _Atomic ssize_t dirty_ms, muzzy_ms;
  const atomic_int* held; /* > 0: nothing decays */
  size_t inherited;       /* bytes that were committed when this process was
                             forked */
  struct caml_frame_shard shards[CAML_POOL_SHARDS];
  struct caml_ranked_mutex lock; /* of [pieces], after those of the shards */
  struct caml_pieces* pieces;    /* memory for what frames need themselves */
  caml_frame_entry* _Atomic leaves[CAML_FRAMES_ROOT];
};

/* Makes [frames], which is zeroed, ready.  While [*held] > 0 nothing decays in
   them.  [flags] are [mallocx]'s. */
void caml_frames_init(struct caml_frames* frames, struct caml_extents* extents,
                      const atomic_int* held, int flags);

/* A block of [size] bytes, aligned to 64; where its last page has room it
   begins at a line of its first that its address decides.  NULL if such blocks
   do not lie in frames, if too much of these would stay free, or if there is no
   memory for one.  [shard] is any
   number, a different one for each domain.  From any thread. */
void* caml_frames_get(struct caml_frames* frames, unsigned shard, size_t size);

/* Takes back what [caml_frames_get] returned for this very [size].  False if
   [block] lies in no frame.  From any thread. */
bool caml_frames_put(struct caml_frames* frames, void* block, size_t size);

/* Gives pages to a block of [size] bytes that the calling thread got last and
   will fill; in a heap that is large also to those that are missing behind it
   in the frame, for more blocks of its size.  Where the kernel refuses, pages
   come when they are touched. */
void caml_frames_fill(struct caml_frames* frames, void* p, size_t size);

/* How long free pages stay dirty, then muzzy, ms; -1: for ever.  Until these
   are called nothing decays. */
void caml_frames_set_dirty_decay(struct caml_frames* frames, ssize_t ms);
void caml_frames_set_muzzy_decay(struct caml_frames* frames, ssize_t ms);

/* The first purges what is due, the second all, by force.  Both give the frames
   that have no page in use back to jemalloc, as does the third, which returns
   whether there was one. */
void caml_frames_decay(struct caml_frames* frames);
void caml_frames_purge(struct caml_frames* frames);
bool caml_frames_release(struct caml_frames* frames);

/* What is free in frames that are in use.  The second is called with all
   locks, between [caml_frames_lock] and [caml_frames_unlock]. */
struct caml_free_pages caml_frames_free(struct caml_frames* frames);
struct caml_free_pages caml_frames_free_locked(struct caml_frames* frames);

/* Are there free pages that decay will purge some time? */
bool caml_frames_decays(struct caml_frames* frames);

/* Between the first two no block is got or put.  They are also called around a
   fork; in the child the third instead of the second. */
void caml_frames_lock(struct caml_frames* frames);
void caml_frames_unlock(struct caml_frames* frames);
void caml_frames_postfork_child(struct caml_frames* frames);

/* The arena has been destroyed, the frames with it. */
void caml_frames_end(struct caml_frames* frames);

#endif /* CAML_JEMALLOC_FRAMES_H */
