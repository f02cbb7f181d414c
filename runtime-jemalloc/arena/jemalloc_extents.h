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

/* Extents: how the heap's jemalloc arena gets address space from the kernel
   and gives pages back.  See [extent_hooks_t] in jemalloc(3).

   An extent is a range of pages that jemalloc manages as one.  Address space,
   once mapped, is retained until the arena is destroyed: only pages go back.
   Where the system charges address space (jemalloc_limits.h), whole huge pages
   that are free go back too.

   jemalloc commits pages when it takes them from what is retained, and
   decommits them when it puts them back.  In between they are in use, dirty or
   muzzy.

   The hooks are called by jemalloc, from any thread that uses the arena, and
   count what each of them returned and how long it took. */

#ifndef CAML_JEMALLOC_EXTENTS_H
#define CAML_JEMALLOC_EXTENTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "jemalloc.h"
#include "jemalloc_huge.h"
#include "jemalloc_limits.h"
#include "jemalloc_mapping.h"

/* Every mapping starts at a multiple of this, if there is room. */
#define CAML_EXTENT_ALIGNMENT CAML_HUGE_PAGE_SIZE

/* Bytes of one of OCaml's pools, how many of them are a medium pool, and a
   slab, which is one extent: see jemalloc_pools.h */
#define CAML_POOL_SIZE ((size_t)32 << 10)
#define CAML_MEDIUM_POOLS 4
#define CAML_MEDIUM_POOL_SIZE (CAML_MEDIUM_POOLS * CAML_POOL_SIZE)
#define CAML_SLAB_POOLS 16
#define CAML_SLAB_SIZE (CAML_SLAB_POOLS * CAML_POOL_SIZE)

/* HOOK(NAME, HELP): what each is asked for. */
#define CAML_EXTENT_HOOKS(HOOK)                                               \
  HOOK(alloc, "address space mapped")                                         \
  HOOK(dalloc, "unmapped; a failure: retained")                               \
  HOOK(destroy, "unmapped as the heap ended")                                 \
  HOOK(commit, "taken into use")                                              \
  HOOK(decommit, "given back: MADV_DONTNEED")                                 \
  HOOK(purge_lazy, "left to the kernel: MADV_FREE")                           \
  HOOK(split, "extents cut in two")                                           \
  HOOK(merge, "extents made one")

/* What one hook did: calls that succeeded, their bytes, calls that failed, and
   the nanoseconds spent in the kernel by both. */
struct caml_extent_count {
  _Atomic size_t calls;
  _Atomic size_t bytes;
  _Atomic size_t failures;
  _Atomic size_t nanoseconds;
};

#define CAML_EXTENT_COUNT(name, help) struct caml_extent_count name;

/* A block of this many bytes or more has a mapping of its own, which is
   unmapped as it is freed; glibc does so from 32 MiB.  In an extent, each
   array that outgrows its place would leave a step of jemalloc's behind.  The
   heap may have one mapping for each 64 MiB. */
#define CAML_MAPPED_BLOCK ((size_t)64 << 20)

/* How many mappings are noted down: those of blocks, then those for jemalloc.
   The size of these doubles with every fourth, so some 160 fill any address
   space. */
#define CAML_MAPPED_BLOCKS 128
#define CAML_EXTENTS_MAPPINGS (CAML_MAPPED_BLOCKS + 256)

/* What a thread gets from jemalloc: one of its small blocks, which will be
   filled; a large one, whose pages may never be touched; a slab of pools, or a
   frame, of which no page is in use yet */
enum caml_getting { CAML_GETTING_SMALL, CAML_GETTING_LARGE, CAML_GETTING_SLAB };

/* The newest mapping, up to [end], of which nothing from [frontier] on was ever
   committed; up to [filled] it may have its pages already. */
struct caml_ahead {
  uintptr_t frontier, filled, end;
};

/* jemalloc finds extents by a tree that has a leaf for each GiB of 48 bits of
   address; where pages are larger than 4 KiB, for each two GiB or four. */
#define CAML_LEAF_SPACE ((size_t)1 << 30)
#define CAML_LEAVES ((size_t)1 << 18)

struct caml_extents {
  extent_hooks_t hooks; /* first: jemalloc hands its address to the hooks */
  size_t page; /* jemalloc's, which may be larger than the kernel's */
  _Atomic bool closing; /* dalloc unmaps instead of retaining */
  _Atomic bool grown;   /* see caml_extents_clear_grown */
  _Atomic bool ahead_filled; /* see caml_extents_clear_ahead */
  _Atomic bool no_dontneed_locked; /* the kernel is older than that advice */
  _Atomic int dontneed; /* the advice that takes pages by force */
  _Atomic pthread_t trimmer; /* gets no address space; 0: no thread */
  struct caml_limits limits;
  struct caml_huge huge;
  CAML_EXTENT_HOOKS(CAML_EXTENT_COUNT)
  _Atomic unsigned n_mappings; /* noted, or to be */
  struct caml_heap_mapping mappings[CAML_EXTENTS_MAPPINGS];
  struct caml_ranked_mutex lock; /* of [mappings] and what follows */
  bool kept[CAML_MAPPED_BLOCKS]; /* not unmapped, though there is no block */
  _Atomic size_t in_blocks;      /* bytes */
  _Atomic size_t uncounted;      /* see caml_extents_add_pages; mod 2^64 */
  struct caml_ahead ahead;
  struct caml_rest* rests; /* of the mappings that were made for small ones */
  uint64_t leaves[CAML_LEAVES / 64]; /* a bit for each: jemalloc has it */
};
#undef CAML_EXTENT_COUNT

/* Zeroes the counters and returns the hooks to give to jemalloc; they live as
   long as [extents], which must not move. */
extent_hooks_t* caml_extents_init(struct caml_extents* extents,
                                  enum caml_thp thp);

/* jemalloc has started and taken the hooks.  From now on [page] is
   jemalloc's. */
void caml_extents_started(struct caml_extents* extents);

/* The calling thread begins to get something; between two of these it gets
   nothing else.  The hooks run on its own thread, so that it knows what they
   did for it. */
void caml_extents_begin_get(enum caml_getting what);

/* From now on the calling thread gets no mapping of just [size] bytes: in one
   nothing could grow in its place.  0: it does. */
void caml_extents_refuse(size_t size);

/* Bytes of address space without pages that the calling thread took since. */
size_t caml_extents_got(void);

/* It took [size] more, not from jemalloc. */
void caml_extents_note_got(size_t size);

/* Gives pages to what it got that will be filled.  Not with jemalloc's locks,
   as the hooks are called: others would wait for the kernel. */
void caml_extents_fill_got(void);

/* Gives pages to [size] bytes that jemalloc takes for committed and that have
   none.  False if the kernel refused: then they come when they are touched. */
bool caml_extents_populate(struct caml_extents* extents, void* p, size_t size);

/* Gives pages to those of [size] bytes that have none, and changes no others.
   False if the kernel refused some: they come when they are touched. */
bool caml_extents_fill(void* p, size_t size);

/* What the hooks of these names do, for pages that jemalloc takes for
   committed.  False if the kernel refused. */
void caml_extents_commit(struct caml_extents* extents, void* p, size_t size);
bool caml_extents_decommit(struct caml_extents* extents, void* p, size_t size);
bool caml_extents_purge_lazily(struct caml_extents* extents, void* p,
                               size_t size);

/* [size] bytes that jemalloc takes for committed have no pages and are taken
   into use: counted as a commit. */
void caml_extents_count_commit(struct caml_extents* extents, size_t size);

/* Clears the note that address space was mapped for jemalloc while memory is
   locked, and returns whether there was one. */
bool caml_extents_clear_grown(struct caml_extents* extents);

/* Free pages got there, ahead of what will use them, so that there may be some
   to purge though nothing was freed: notes that.  The second clears the note,
   and returns whether there was one.  From any thread. */
void caml_extents_note_ahead(struct caml_extents* extents);
bool caml_extents_clear_ahead(struct caml_extents* extents);

/* Bytes of address space that jemalloc is to take at once there, if it needs no
   more: from a thirty-second to a sixteenth of what is mapped, in whole huge
   pages. */
size_t caml_extents_step(const struct caml_extents* extents);

/* Between the two, jemalloc gives the calling thread only what it retains, and
   the thread does not touch it.  One thread at a time. */
void caml_extents_begin_trim(struct caml_extents* extents);
void caml_extents_end_trim(struct caml_extents* extents);

/* A block with a mapping of its own, [size] >= CAML_MAPPED_BLOCK bytes.  NULL
   where there is no room for it, or for one more. */
void* caml_extents_map_block(struct caml_extents* extents, size_t size);

/* Unmaps the block.  False if it has no mapping of its own. */
bool caml_extents_unmap_block(struct caml_extents* extents, void* block);

/* In a forked child, before it uses the arena. */
void caml_extents_postfork_child(struct caml_extents* extents);

/* With [closing], the hook dalloc unmaps: set just before the arena is
   destroyed, so that jemalloc's own data of the arena goes too. */
void caml_extents_close(struct caml_extents* extents, bool closing);

/* The arena has been destroyed: unmaps what jemalloc never got, and the blocks
   with mappings of their own. */
void caml_extents_end(struct caml_extents* extents);

/* Bytes of address space that are mapped now.  Exact when no hook is
   running. */
size_t caml_extents_mapped(const struct caml_extents* extents);

/* [size] more bytes have pages, or fewer, than the hooks' counts of commit and
   decommit say. */
void caml_extents_add_pages(struct caml_extents* extents, size_t size);
void caml_extents_lose_pages(struct caml_extents* extents, size_t size);

/* The same of the [size] bytes from [p], whose huge pages are counted too. */
void caml_extents_recount(struct caml_extents* extents, void* p, size_t size,
                          bool more);

/* Bytes that the heap has pages for, in use or not, as far as is known: some
   that are counted may never have been touched. */
size_t caml_extents_committed(const struct caml_extents* extents);

#endif /* CAML_JEMALLOC_EXTENTS_H */
