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

#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "jemalloc_advice.h"
#include "jemalloc_assert.h"
#include "jemalloc_frames.h"

/* A free run that a block may take, in the list of those that are as long */
struct caml_run { struct caml_run *next, *previous; };

/* Pages: a block that lies in a frame takes more than three and a half, and so
   do the free runs that are in lists.  No two of these begin in the same
   four. */
#define LEAST_RUN 4

/* The state of a page is one of
     - used;
     - dirty: free, there;
     - muzzy: free, and the kernel may take it;
     - missing: none of the above.
   Old are those that were already dirty, or muzzy, when ages were last looked
   at.  Where a frame has fewer pages than bits, the rest are used. */
struct caml_frame {
  struct caml_page_bits used, dirty, muzzy, old_dirty, old_muzzy;
  struct caml_page_bits missing; /* when the frame was last put back */
  char* start;     /* NULL: there is no frame */
  uint16_t shard;
  uint16_t n_used; /* pages */
  struct caml_frame *next, *previous; /* of the shard's */
  _Alignas(2048) struct caml_run runs[CAML_FRAME_PAGES / LEAST_RUN];
};
_Static_assert(sizeof(struct caml_frame) == 4096, "see frame_of");

#define LEAF_SIZE (CAML_FRAMES_LEAF * sizeof(caml_frame_entry))

/* What frames need themselves is in pieces of this size: frames, and the lists
   of a shard.  They are taken from the system FEW at first, for 30 MiB of
   frames, then MANY at once, so that mappings stay few, and stay until the
   end. */
#define PIECE sizeof(struct caml_frame)
#define FEW 16
#define MANY 256
_Static_assert(CAML_FRAME_PAGES * sizeof(struct caml_run*) == PIECE,
               "a list for each length");

struct caml_pieces {
  _Alignas(PIECE) struct caml_pieces* next; /* those that were taken before */
  unsigned n_used, n; /* this one included */
};

static size_t size_of(const struct caml_frames* frames, unsigned n) {
  return (size_t)n << frames->shift;
}

/* How many pages a frame has */
static unsigned n_pages(const struct caml_frames* frames) {
  return (unsigned)(CAML_FRAME_SIZE >> frames->shift);
}

static char* page_of(const struct caml_frames* frames,
                     const struct caml_frame* frame, unsigned i) {
  assert(i < n_pages(frames));
  return frame->start + size_of(frames, i);
}

/* Zeroed memory, not for blocks.  NULL: there is none. */
static void* map(size_t size) {
  void* p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  caml_huge_refuse(p, size);
  return p;
}

/* With the lock of the pieces held.  NULL: there is no memory. */
static struct caml_pieces* some_pieces(struct caml_frames* frames) {
  struct caml_pieces* some = frames->pieces;
  unsigned n = some == NULL ? FEW : MANY;
  caml_ranked_mutex_assert_held(&frames->lock);
  if (some != NULL && some->n_used < some->n) return some;
  some = map(n * PIECE);
  if (some == NULL) return NULL;
  some->next = frames->pieces;
  some->n_used = 1;
  some->n = n;
  return frames->pieces = some;
}

/* A piece, zeroed.  NULL: there is no memory. */
static void* get_piece(struct caml_frames* frames) {
  struct caml_pieces* some;
  void* piece = NULL;
  caml_ranked_mutex_lock(&frames->lock);
  some = some_pieces(frames);
  if (some != NULL) piece = (char*)some + some->n_used++ * PIECE;
  caml_ranked_mutex_unlock(&frames->lock);
  return piece;
}

/* Where in the table the frame is in which [p] lies, if it lies in one.  NULL:
   it does not. */
static caml_frame_entry* find_entry(struct caml_frames* frames,
                                    const void* p) {
  uintptr_t n = (uintptr_t)p / CAML_FRAME_SIZE;
  caml_frame_entry* leaf;
  if (n / CAML_FRAMES_LEAF >= CAML_FRAMES_ROOT) return NULL;
  leaf = atomic_load(&frames->leaves[n / CAML_FRAMES_LEAF]);
  return leaf == NULL ? NULL : &leaf[n % CAML_FRAMES_LEAF];
}

/* The frame in which [p] lies.  NULL: it lies in none. */
static struct caml_frame* find_frame(struct caml_frames* frames,
                                     const void* p) {
  caml_frame_entry* entry = find_entry(frames, p);
  struct caml_frame* frame = entry == NULL ? NULL : atomic_load(entry);
  return frame != NULL && frame->start != NULL ? frame : NULL;
}

/* As [find_entry], with a leaf made for it.  NULL if there is no memory for the
   leaf. */
static caml_frame_entry* make_entry(struct caml_frames* frames,
                                    const void* p) {
  size_t i = (uintptr_t)p / CAML_FRAME_SIZE / CAML_FRAMES_LEAF;
  caml_frame_entry *leaf, *none = NULL;
  if (i >= CAML_FRAMES_ROOT) return NULL;
  if (atomic_load(&frames->leaves[i]) == NULL) {
    leaf = map(LEAF_SIZE);
    if (leaf == NULL) return NULL;
    if (!atomic_compare_exchange_strong(&frames->leaves[i], &none, leaf))
      munmap(leaf, LEAF_SIZE); /* another shard was quicker */
  }
  return find_entry(frames, p);
}

/* The frame of the 2 MiB at [p], which are the calling thread's: that of the
   last time, or a new one.  NULL: there is no memory for it. */
static struct caml_frame* make_frame(struct caml_frames* frames,
                                     const void* p) {
  caml_frame_entry* entry = make_entry(frames, p);
  struct caml_frame* frame;
  if (entry == NULL) return NULL;
  frame = atomic_load(entry);
  if (frame == NULL) {
    frame = get_piece(frames);
    atomic_store(entry, frame);
  }
  return frame;
}

/* Free runs by their length.  With the lock held, from here on. */

static struct caml_frame* frame_of(const struct caml_run* run) {
  return (struct caml_frame*)((uintptr_t)run & -sizeof(struct caml_frame));
}

/* The pages of the frame before the run begins, down to the last four, are
   used. */
static unsigned first_of(const struct caml_frame* frame,
                         const struct caml_run* run) {
  return caml_page_bits_find(&frame->used,
                             (unsigned)(run - frame->runs) * LEAST_RUN,
                             ~(uint64_t)0);
}

/* Those that are there come first in a list, those that are not last. */
static void list_run(struct caml_frame_shard* shard, struct caml_frame* frame,
                     unsigned first, unsigned n, bool there) {
  struct caml_run* run = &frame->runs[first / LEAST_RUN];
  struct caml_run** list = &shard->by_length[n - 1];
  caml_shard_assert_held(&shard->lock);
  if (n < LEAST_RUN) return;
  if (*list == NULL) {
    run->next = run->previous = *list = run;
    caml_page_bits_set(&shard->lengths, n - 1, 1);
    return;
  }
  run->next = *list;
  run->previous = (*list)->previous;
  run->next->previous = run->previous->next = run;
  if (there) *list = run;
}

static void unlist_run(struct caml_frame_shard* shard,
                       struct caml_frame* frame, unsigned first, unsigned n) {
  struct caml_run* run = &frame->runs[first / LEAST_RUN];
  struct caml_run** list = &shard->by_length[n - 1];
  caml_shard_assert_held(&shard->lock);
  if (n < LEAST_RUN) return;
  assert(*list != NULL && first_of(frame, run) == first);
  if (run->next == run) {
    assert(*list == run);
    *list = NULL;
    caml_page_bits_clear(&shard->lengths, n - 1, 1);
    return;
  }
  run->next->previous = run->previous;
  run->previous->next = run->next;
  if (*list == run) *list = run->next;
}

/* Frames with no page in use, which have one run */

static void link_frame(const struct caml_frames* frames,
                       struct caml_frame_shard* shard,
                       struct caml_frame* frame) {
  caml_shard_assert_held(&shard->lock);
  assert(frame->n_used == 0);
  frame->previous = NULL;
  frame->next = shard->all;
  if (shard->all != NULL) shard->all->previous = frame;
  shard->all = frame;
  shard->n_frames++;
  shard->n_empty++;
  list_run(shard, frame, 0, n_pages(frames), true);
}

static void unlink_frame(const struct caml_frames* frames,
                         struct caml_frame_shard* shard,
                         struct caml_frame* frame) {
  caml_shard_assert_held(&shard->lock);
  assert(frame->n_used == 0 && shard->n_empty > 0);
  unlist_run(shard, frame, 0, n_pages(frames));
  shard->n_frames--;
  shard->n_empty--;
  if (frame->next != NULL) frame->next->previous = frame->previous;
  if (frame->previous != NULL) frame->previous->next = frame->next;
  else shard->all = frame->next;
  if (shard->walk == frame) shard->walk = frame->next;
}

/* Frames from and to jemalloc */

/* All of them are in one state. */
static void make_empty(const struct caml_frames* frames,
                       struct caml_frame* frame, bool dirty) {
  struct caml_page_bits none = { { 0 } };
  unsigned n = n_pages(frames);
  frame->used = frame->dirty = none;
  frame->muzzy = frame->old_dirty = frame->old_muzzy = none;
  if (n < CAML_FRAME_PAGES)
    caml_page_bits_set(&frame->used, n, CAML_FRAME_PAGES - n);
  if (dirty) caml_page_bits_set(&frame->dirty, 0, n);
  frame->n_used = 0;
}

/* One that jemalloc has not purged since it was last put back, if it ever was,
   still lacks those of [missing] that jemalloc has not used since: they come
   when they are touched. */
static void get_dirty_frame(struct caml_frames* frames,
                            struct caml_frame* frame) {
  unsigned n = caml_page_bits_count(&frame->missing, 0, CAML_FRAME_PAGES);
  if (n == 0) return;
  caml_extents_count_commit(frames->extents, size_of(frames, n));
  caml_extents_lose_pages(frames->extents, size_of(frames, n));
}

/* A frame from jemalloc, which takes it for committed.  It has all of its
   pages, or none. */
static struct caml_frame* get_frame(struct caml_frames* frames,
                                    unsigned shard) {
  struct caml_page_bits none = { { 0 } };
  struct caml_frame* frame;
  bool dirty;
  char* p;
  caml_extents_begin_get(CAML_GETTING_SLAB);
  p = je_mallocx(CAML_FRAME_SIZE, frames->flags);
  if (p == NULL) return NULL;
  frame = make_frame(frames, p);
  if (frame == NULL) {
    je_sdallocx(p, CAML_FRAME_SIZE, frames->flags);
    return NULL;
  }
  assert(frame->start == NULL && (uintptr_t)p % CAML_FRAME_SIZE == 0);
  frame->start = p;
  frame->shard = (uint16_t)shard;
  dirty = caml_extents_got() == 0;
  make_empty(frames, frame, dirty);
  if (dirty) get_dirty_frame(frames, frame);
  else caml_extents_recount(frames->extents, p, CAML_FRAME_SIZE, false);
  frame->missing = none;
  return frame;
}

/* Are the states of the pages as described above? */
static inline bool is_sound(const struct caml_frame* frame) {
  for (unsigned i = 0; i < CAML_FRAME_WORDS; i++) {
    uint64_t dirty = frame->dirty.words[i], muzzy = frame->muzzy.words[i];
    if ((frame->used.words[i] & (dirty | muzzy)) != 0 || (dirty & muzzy) != 0)
      return false;
  }
  return frame->start != NULL;
}

/* Free, without being there */
static struct caml_page_bits missing(const struct caml_frame* frame) {
  struct caml_page_bits bits = { { 0 } };
  for (unsigned i = 0; i < CAML_FRAME_WORDS; i++)
    bits.words[i] = ~(frame->used.words[i] | frame->dirty.words[i]
                      | frame->muzzy.words[i]);
  return bits;
}

/* Gives a frame back to jemalloc, which takes all of it for committed: so it is
   counted as that. */
static void put_frame(struct caml_frames* frames, struct caml_frame* frame) {
  char* p = frame->start;
  unsigned first, n;
  assert(is_sound(frame) && frame->n_used == 0);
  frame->missing = missing(frame);
  for (first = caml_page_bits_run(&frame->missing, 0, &n);
       first < CAML_FRAME_PAGES;
       first = caml_page_bits_run(&frame->missing, first + n, &n))
    caml_extents_recount(frames->extents, page_of(frames, frame, first),
                         size_of(frames, n), true);
  frame->start = NULL;
  je_sdallocx(p, CAML_FRAME_SIZE, frames->flags);
}

/* Gives all frames with no page in use, but [keep], back to jemalloc, to decay
   there.  Returns whether there was one. */
static bool release_frames(struct caml_frames* frames,
                           struct caml_frame_shard* shard, unsigned keep) {
  bool any = shard->n_empty > keep;
  caml_shard_assert_held(&shard->lock);
  while (shard->n_empty > keep) {
    struct caml_frame* frame = frame_of(shard->by_length[n_pages(frames) - 1]);
    unlink_frame(frames, shard, frame);
    put_frame(frames, frame);
  }
  return any;
}

/* Runs */

/* Takes those pages of a run into use that are missing. */
static void commit_missing(struct caml_frames* frames,
                           struct caml_frame* frame, unsigned first,
                           unsigned n) {
  struct caml_page_bits bits = missing(frame);
  unsigned end = first + n, n_row;
  size_t got = 0;
  for (first = caml_page_bits_run(&bits, first, &n_row); first < end;
       first = caml_page_bits_run(&bits, first + n_row, &n_row)) {
    if (n_row > end - first) n_row = end - first;
    caml_extents_commit(frames->extents, page_of(frames, frame, first),
                        size_of(frames, n_row));
    got += size_of(frames, n_row);
  }
  caml_extents_note_got(got);
}

/* Are all of these free pages there? */
static bool are_there(const struct caml_frame* frame, unsigned first,
                      unsigned n) {
  for (unsigned i = first / 64; i <= (first + n - 1) / 64; i++)
    if (caml_page_bits_mask(i, first, n)
        & ~(frame->dirty.words[i] | frame->muzzy.words[i]))
      return false;
  return true;
}

/* Takes [n] free pages. */
static void* take_run(struct caml_frames* frames,
                      struct caml_frame_shard* shard,
                      struct caml_frame* frame, unsigned first, unsigned n) {
  caml_shard_assert_held(&shard->lock);
  assert(is_sound(frame) && caml_page_bits_count(&frame->used, first, n) == 0);
  if (!are_there(frame, first, n)) commit_missing(frames, frame, first, n);
  caml_page_bits_set(&frame->used, first, n);
  caml_page_bits_clear(&frame->dirty, first, n);
  caml_page_bits_clear(&frame->muzzy, first, n);
  caml_page_bits_clear(&frame->old_dirty, first, n);
  caml_page_bits_clear(&frame->old_muzzy, first, n);
  if (frame->n_used == 0) shard->n_empty--;
  frame->n_used = (uint16_t)(frame->n_used + n);
  shard->n_used += n;
  return page_of(frames, frame, first);
}

/* Takes [n] pages of the shortest free run that is as long.  NULL: there is
   none. */
static void* take(struct caml_frames* frames, struct caml_frame_shard* shard,
                  unsigned n) {
  unsigned i = caml_page_bits_find(&shard->lengths, n - 1, 0), first;
  struct caml_run* run;
  struct caml_frame* frame;
  void* block;
  if (i >= CAML_FRAME_PAGES) return NULL;
  run = shard->by_length[i];
  frame = frame_of(run);
  first = first_of(frame, run);
  unlist_run(shard, frame, first, i + 1);
  block = take_run(frames, shard, frame, first, n);
  first += n;
  n = i + 1 - n;
  if (n > 0) list_run(shard, frame, first, n, are_there(frame, first, n));
  return block;
}

/* NULL: the shard has no free run as long. */
static void* get_from(struct caml_frames* frames,
                      struct caml_frame_shard* shard, unsigned n) {
  void* block;
  caml_shard_lock(&shard->lock);
  block = take(frames, shard, n);
  caml_shard_unlock(&shard->lock);
  return block;
}

/* Blocks of one length may leave the end of each frame free: address space, and
   memory where the kernel gives the frame a huge page.  Others may use it.  If
   an eighth of all frames is left already, those blocks do not get more.
   Without this, blocks of 700 KiB took 1.47 of what they need under
   Xthp=always. */
#define FREE_PART 8

static bool is_wasteful(const struct caml_frames* frames,
                        struct caml_frame_shard* shard, unsigned n) {
  size_t all, used;
  if (n_pages(frames) % n <= n_pages(frames) / FREE_PART) return false;
  caml_shard_lock(&shard->lock);
  all = (size_t)shard->n_frames * n_pages(frames);
  used = shard->n_used;
  caml_shard_unlock(&shard->lock);
  return all - used > all / FREE_PART;
}

/* Makes the lists of the shard, if it has none.  False: there is no memory. */
static bool has_lists(struct caml_frames* frames,
                      struct caml_frame_shard* shard) {
  bool has;
  caml_shard_lock(&shard->lock);
  if (shard->by_length == NULL) shard->by_length = get_piece(frames);
  has = shard->by_length != NULL;
  caml_shard_unlock(&shard->lock);
  return has;
}

static void* get_from_new_frame(struct caml_frames* frames, unsigned own,
                                unsigned n) {
  struct caml_frame_shard* shard = &frames->shards[own];
  struct caml_frame* frame;
  void* block;
  if (!has_lists(frames, shard)) return NULL;
  frame = get_frame(frames, own);
  if (frame == NULL) return NULL;
  caml_extents_begin_get(CAML_GETTING_LARGE);
  caml_shard_lock(&shard->lock);
  link_frame(frames, shard, frame);
  block = take(frames, shard, n);
  caml_shard_unlock(&shard->lock);
  return block;
}

static void* get_from_others(struct caml_frames* frames, unsigned own,
                             unsigned n) {
  void* block = NULL;
  caml_extents_begin_get(CAML_GETTING_LARGE);
  for (unsigned i = 1; i < CAML_POOL_SHARDS && block == NULL; i++)
    block = get_from(frames, &frames->shards[(own + i) % CAML_POOL_SHARDS], n);
  return block;
}

/* How many pages a block takes; 0 if it is not to lie in a frame */
static unsigned pages_of(const struct caml_frames* frames, size_t size) {
  size_t page = size_of(frames, 1);
  if (size <= page / 2 * 7 || size > CAML_FRAME_BLOCK_MOST) return 0;
  return (unsigned)((size + page - 1) >> frames->shift);
}

/* Without this the first lines of all blocks, which a sweep reads, would share
   one set of the processor's first cache.  Where there is room in the last
   page, a block begins at another line of the first: sweeping 300,000 strings
   of 64 KiB takes two thirds of the time (85 ms for 125, by perf).  Blocks of
   one size lie at regular distances, so that the line is by Fibonacci hashing
   of the page: Knuth, The Art of Computer Programming 3, 6.4. */
#define LINE ((size_t)64)

static void* coloured(const struct caml_frames* frames, char* block,
                      size_t size) {
  size_t room = -size & (size_of(frames, 1) - 1);
  uint32_t page = (uint32_t)((uintptr_t)block >> frames->shift);
  uint32_t lines = (uint32_t)(room / LINE) + 1;
  assert((uintptr_t)block % size_of(frames, 1) == 0);
  return block + (page * UINT32_C(2654435769) >> 16) % lines * LINE;
}

/* Other shards' free runs only where there is no memory for a frame: two
   domains that take from one shard wait for each other. */
void* caml_frames_get(struct caml_frames* frames, unsigned shard, size_t size) {
  unsigned own = shard % CAML_POOL_SHARDS, n = pages_of(frames, size);
  void* block;
  if (n == 0) return NULL;
  caml_extents_begin_get(CAML_GETTING_LARGE);
  block = get_from(frames, &frames->shards[own], n);
  if (block == NULL && is_wasteful(frames, &frames->shards[own], n))
    return NULL;
  if (block == NULL) block = get_from_new_frame(frames, own, n);
  if (block == NULL) block = get_from_others(frames, own, n);
  return block == NULL ? NULL : coloured(frames, block, size);
}

/* Decay */

/* Purges free pages in a row, by force or lazily.  What the kernel does not
   take lazily goes by force; what it does not take by force stays dirty. */
static void purge_run(struct caml_frames* frames, struct caml_frame* frame,
                      unsigned first, unsigned n, bool by_force) {
  char* p = page_of(frames, frame, first);
  size_t size = size_of(frames, n);
  caml_shard_assert_held(&frames->shards[frame->shard].lock);
  assert(is_sound(frame) && caml_page_bits_count(&frame->used, first, n) == 0);
  caml_page_bits_clear(&frame->dirty, first, n);
  caml_page_bits_clear(&frame->muzzy, first, n);
  if (!by_force && caml_extents_purge_lazily(frames->extents, p, size)) {
    caml_page_bits_set(&frame->muzzy, first, n);
  } else if (!caml_extents_decommit(frames->extents, p, size)) {
    caml_huge_commit(&frames->extents->huge, p, size);
    caml_page_bits_set(&frame->dirty, first, n);
  }
}

static void purge(struct caml_frames* frames, struct caml_frame* frame,
                  struct caml_page_bits bits, bool by_force) {
  unsigned first, n;
  for (first = caml_page_bits_run(&bits, 0, &n); first < CAML_FRAME_PAGES;
       first = caml_page_bits_run(&bits, first + n, &n))
    purge_run(frames, frame, first, n, by_force);
}

static struct caml_page_bits both(struct caml_page_bits a,
                                  const struct caml_page_bits* b) {
  for (unsigned i = 0; i < CAML_FRAME_WORDS; i++) a.words[i] &= b->words[i];
  return a;
}

/* What a walk through the frames of a shard does.  OLD: what is old is purged,
   and the rest becomes old.  FORCE: dirty pages are not made muzzy. */
enum { OLD_DIRTY = 1, OLD_MUZZY = 2, ALL_DIRTY = 4, ALL_MUZZY = 8, FORCE = 16 };

static void purge_frame(struct caml_frames* frames, struct caml_frame* frame,
                        unsigned what) {
  struct caml_page_bits none = { { 0 } }, muzzy = none, dirty = none;
  if (what & ALL_MUZZY) muzzy = frame->muzzy;
  else if (what & OLD_MUZZY) muzzy = both(frame->muzzy, &frame->old_muzzy);
  if (what & ALL_DIRTY) dirty = frame->dirty;
  else if (what & OLD_DIRTY) dirty = both(frame->dirty, &frame->old_dirty);
  if (what & OLD_MUZZY) frame->old_muzzy = frame->muzzy;
  if (what & OLD_DIRTY) frame->old_dirty = frame->dirty;
  purge(frames, frame, muzzy, true);
  purge(frames, frame, dirty, (what & FORCE) != 0);
}

/* Between two frames the lock may be given to others, of which one may begin a
   walk too: it begins with the first frame, so that one place in the list is
   enough, and does what was asked for by either. */
static void walk(struct caml_frames* frames, struct caml_frame_shard* shard,
                 unsigned what) {
  caml_shard_assert_held(&shard->lock);
  if (shard->walk == NULL) shard->what = 0;
  shard->what |= what;
  shard->walk = shard->all;
  while (shard->walk != NULL) {
    struct caml_frame* frame = shard->walk;
    shard->walk = frame->next;
    purge_frame(frames, frame, shard->what);
    caml_shard_yield(&shard->lock);
  }
}

static unsigned force(const struct caml_frames* frames) {
  return atomic_load(&frames->muzzy_ms) == 0 ? FORCE : 0;
}

/* Twice in the decay time purges what was free the last time, too, when it has
   been time to for [late] ms.  A walk that has given the lock to others is not
   begun again: what it has just made old would be purged. */
static void decay_shard(struct caml_frames* frames,
                        struct caml_frame_shard* shard, uint64_t now,
                        uint64_t late) {
  ssize_t dirty_ms = atomic_load(&frames->dirty_ms);
  ssize_t muzzy_ms = atomic_load(&frames->muzzy_ms);
  unsigned what = 0;
  caml_shard_assert_held(&shard->lock);
  if (atomic_load(frames->held) > 0 || shard->walk != NULL) return;
  if (caml_shard_is_due(shard->dirty_since, dirty_ms, now, late)) {
    what |= OLD_DIRTY;
    shard->dirty_since = now;
  }
  if (muzzy_ms > 0
      && caml_shard_is_due(shard->muzzy_since, muzzy_ms, now, late)) {
    what |= OLD_MUZZY;
    shard->muzzy_since = now;
  }
  if (what == 0) return;
  release_frames(frames, shard, 0);
  walk(frames, shard, what | force(frames));
}

/* Those that are put back, and the free ones on both sides, become one run. */
static void put_run(struct caml_frames* frames, struct caml_frame_shard* shard,
                    struct caml_frame* frame, unsigned first, unsigned n) {
  unsigned before = caml_page_bits_before(&frame->used, first);
  unsigned after = caml_page_bits_find(&frame->used, first + n, 0) - first - n;
  caml_shard_assert_held(&shard->lock);
  assert(is_sound(frame) && caml_page_bits_count(&frame->used, first, n) == n);
  assert(frame->n_used >= n);
  if (before > 0) unlist_run(shard, frame, first - before, before);
  if (after > 0) unlist_run(shard, frame, first + n, after);
  caml_page_bits_clear(&frame->used, first, n);
  caml_page_bits_set(&frame->dirty, first, n);
  if (atomic_load(&frames->dirty_ms) == 0)
    purge_run(frames, frame, first, n, true);
  frame->n_used = (uint16_t)(frame->n_used - n);
  shard->n_used -= n;
  if (frame->n_used == 0) shard->n_empty++;
  list_run(shard, frame, first - before, before + n + after, true);
}

bool caml_frames_put(struct caml_frames* frames, void* block, size_t size) {
  struct caml_frame* frame = find_frame(frames, block);
  struct caml_frame_shard* shard;
  unsigned n = pages_of(frames, size);
  if (frame == NULL) return false;
  assert(n > 0 && frame->shard < CAML_POOL_SHARDS);
  shard = &frames->shards[frame->shard];
  caml_shard_lock(&shard->lock);
  put_run(frames, shard, frame,
          (unsigned)((size_t)((char*)block - frame->start) >> frames->shift),
          n);
  release_frames(frames, shard, 1); /* one stays for the next block */
  if (++shard->puts % CAML_SHARD_PUTS == 0)
    decay_shard(frames, shard, caml_shard_now(), CAML_SHARD_LATE);
  caml_shard_unlock(&shard->lock);
  return true;
}

/* Bytes.  A heap that has grown by so many, since its process was forked, gets
   pages ahead. */
#define LARGE ((size_t)32 << 20)

/* Where the kernel refuses, the pages would not be there: they come when they
   are touched. */
static bool fills_ahead(const struct caml_frames* frames) {
  return atomic_load(&frames->dirty_ms) != 0
    && caml_extents_committed(frames->extents) >= frames->inherited + LARGE
    && !caml_advice_is_refused(CAML_ADVICE_POPULATE);
}

/* Takes the free pages from [first] on that are missing, as far as they make up
   blocks of [n] pages, and returns how many. */
static unsigned take_missing(struct caml_frames* frames,
                             struct caml_frame_shard* shard,
                             struct caml_frame* frame, unsigned first,
                             unsigned n) {
  struct caml_page_bits bits = missing(frame);
  unsigned end = caml_page_bits_find(&bits, first, ~(uint64_t)0);
  unsigned run = caml_page_bits_find(&frame->used, first, 0) - first;
  caml_shard_assert_held(&shard->lock);
  n *= (end - first) / n;
  assert(n <= run);
  if (n == 0) return 0;
  unlist_run(shard, frame, first, run);
  take_run(frames, shard, frame, first, n);
  if (run > n)
    list_run(shard, frame, first + n, run - n,
             are_there(frame, first + n, run - n));
  return n;
}

/* Fills the block, and the pages behind it that are missing.  Without the lock:
   meanwhile they are used, so that a child that another thread forks lacks
   them.  If it fails they are missing again. */
static void fill_ahead(struct caml_frames* frames, struct caml_frame* frame,
                       char* p, size_t size) {
  struct caml_frame_shard* shard = &frames->shards[frame->shard];
  size_t offset = (size_t)(p - frame->start);
  unsigned first = (unsigned)((offset + size - 1) >> frames->shift) + 1;
  unsigned n = first - (unsigned)(offset >> frames->shift);
  char* end = p + size;
  bool filled;
  caml_shard_lock(&shard->lock);
  n = take_missing(frames, shard, frame, first, n);
  caml_shard_unlock(&shard->lock);
  if (n > 0) end = frame->start + size_of(frames, first + n);
  filled = caml_extents_fill(p, (size_t)(end - p));
  if (n == 0) return;
  caml_shard_lock(&shard->lock);
  put_run(frames, shard, frame, first, n);
  if (!filled && are_there(frame, first, n))
    purge_run(frames, frame, first, n, true);
  caml_shard_unlock(&shard->lock);
  caml_extents_note_ahead(frames->extents);
}

void caml_frames_fill(struct caml_frames* frames, void* p, size_t size) {
  struct caml_frame* frame = find_frame(frames, p);
  if (frame != NULL && fills_ahead(frames))
    fill_ahead(frames, frame, p, size);
  else
    caml_extents_fill(p, size);
}

/* What is done for all shards, one after the other, with the lock of each */
typedef void (*shard_action)(struct caml_frames* frames,
                             struct caml_frame_shard* shard, void* data);

static void for_each_shard(struct caml_frames* frames, shard_action action,
                           void* data) {
  for (int i = 0; i < CAML_POOL_SHARDS; i++) {
    caml_ranked_mutex_lock(&frames->shards[i].lock.mutex);
    action(frames, &frames->shards[i], data);
    caml_ranked_mutex_unlock(&frames->shards[i].lock.mutex);
  }
}

static void decay_now(struct caml_frames* frames,
                      struct caml_frame_shard* shard, void* now) {
  decay_shard(frames, shard, *(uint64_t*)now, 0);
}

void caml_frames_decay(struct caml_frames* frames) {
  uint64_t now = caml_shard_now();
  for_each_shard(frames, decay_now, &now);
}

static void purge_shard(struct caml_frames* frames,
                        struct caml_frame_shard* shard, void* what) {
  release_frames(frames, shard, 0);
  walk(frames, shard, *(unsigned*)what);
}

static void purge_all(struct caml_frames* frames, unsigned what) {
  for_each_shard(frames, purge_shard, &what);
}

void caml_frames_purge(struct caml_frames* frames) {
  purge_all(frames, ALL_DIRTY | ALL_MUZZY | FORCE);
}

static void release_shard(struct caml_frames* frames,
                          struct caml_frame_shard* shard, void* any) {
  if (release_frames(frames, shard, 0)) *(bool*)any = true;
}

bool caml_frames_release(struct caml_frames* frames) {
  bool any = false;
  for_each_shard(frames, release_shard, &any);
  return any;
}

void caml_frames_set_dirty_decay(struct caml_frames* frames, ssize_t ms) {
  assert(ms >= -1);
  atomic_store(&frames->dirty_ms, ms);
  if (ms == 0) purge_all(frames, ALL_DIRTY | force(frames));
}

void caml_frames_set_muzzy_decay(struct caml_frames* frames, ssize_t ms) {
  assert(ms >= -1);
  atomic_store(&frames->muzzy_ms, ms);
  if (ms == 0) purge_all(frames, ALL_MUZZY);
}

/* What there is */

static size_t count(const struct caml_frames* frames,
                    struct caml_page_bits bits) {
  return size_of(frames, caml_page_bits_count(&bits, 0, CAML_FRAME_PAGES));
}

static void add_free(struct caml_frames* frames,
                     struct caml_frame_shard* shard, void* data) {
  struct caml_free_pages* sum = data;
  caml_shard_assert_held(&shard->lock);
  for (struct caml_frame* f = shard->all; f != NULL; f = f->next) {
    sum->dirty += count(frames, f->dirty);
    sum->muzzy += count(frames, f->muzzy);
    sum->retained += count(frames, missing(f));
  }
}

struct caml_free_pages caml_frames_free(struct caml_frames* frames) {
  struct caml_free_pages sum = { 0, 0, 0 };
  for_each_shard(frames, add_free, &sum);
  return sum;
}

struct caml_free_pages caml_frames_free_locked(struct caml_frames* frames) {
  struct caml_free_pages sum = { 0, 0, 0 };
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    add_free(frames, &frames->shards[i], &sum);
  return sum;
}

bool caml_frames_decays(struct caml_frames* frames) {
  return caml_free_pages_decay(caml_frames_free(frames),
                               atomic_load(&frames->dirty_ms),
                               atomic_load(&frames->muzzy_ms));
}

/* Life */

void caml_frames_init(struct caml_frames* frames, struct caml_extents* extents,
                      const atomic_int* held, int flags) {
  assert(extents != NULL && frames->extents == NULL);
  frames->extents = extents;
  frames->held = held;
  frames->flags = flags;
  frames->shift = (unsigned)__builtin_ctzl((size_t)sysconf(_SC_PAGESIZE));
  assert(n_pages(frames) <= CAML_FRAME_PAGES);
  frames->dirty_ms = frames->muzzy_ms = -1;
  caml_ranked_mutex_init(&frames->lock, CAML_RANK_PIECES);
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_ranked_mutex_init(&frames->shards[i].lock.mutex,
                           (enum caml_rank)(CAML_RANK_FRAMES + i));
}

/* As one that gets or puts: see [caml_pools_lock]. */
void caml_frames_lock(struct caml_frames* frames) {
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_shard_lock(&frames->shards[i].lock);
  caml_ranked_mutex_lock(&frames->lock);
}

void caml_frames_unlock(struct caml_frames* frames) {
  caml_ranked_mutex_unlock(&frames->lock);
  for (int i = CAML_POOL_SHARDS - 1; i >= 0; i--)
    caml_ranked_mutex_unlock(&frames->shards[i].lock.mutex);
}

/* A thread that was walking is not in the child. */
void caml_frames_postfork_child(struct caml_frames* frames) {
  frames->inherited = caml_extents_committed(frames->extents);
  caml_ranked_mutex_postfork_child(&frames->lock);
  for (int i = 0; i < CAML_POOL_SHARDS; i++) {
    struct caml_frame_shard* shard = &frames->shards[i];
    shard->walk = NULL;
    caml_shard_postfork_child(&shard->lock);
  }
}

/* Writes only where something was written: of the table most has no page. */
void caml_frames_end(struct caml_frames* frames) {
  for (size_t i = 0; i < CAML_FRAMES_ROOT; i++) {
    if (frames->leaves[i] == NULL) continue;
    munmap(frames->leaves[i], LEAF_SIZE);
    frames->leaves[i] = NULL;
  }
  while (frames->pieces != NULL) {
    struct caml_pieces* some = frames->pieces;
    frames->pieces = some->next;
    munmap(some, some->n * PIECE);
  }
  for (int i = 0; i < CAML_POOL_SHARDS; i++)
    caml_ranked_mutex_destroy(&frames->shards[i].lock.mutex);
  memset(frames->shards, 0, sizeof(frames->shards));
  caml_ranked_mutex_destroy(&frames->lock);
  frames->extents = NULL;
}
