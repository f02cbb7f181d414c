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

#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "jemalloc_advice.h"
#include "jemalloc_assert.h"
#include "jemalloc_extents.h"
#include "jemalloc_thread.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* since Linux 5.18 */
#endif

/* Bytes of the largest of jemalloc's own slabs, from which blocks come that are
   in no pool: it holds four of 7 KiB or two of 14 */
#define SLAB_MOST ((size_t)28 << 10)

/* jemalloc's slabs of a heap that grows get their pages so many bytes at a
   time, or a part of the heap if that is less: with 256 KiB, a tenth of the
   calls that it would be with one for each slab */
#define AHEAD_MOST ((size_t)256 << 10)
#define AHEAD_PART 64

/* Bytes that the kernel fills in a few milliseconds */
#define FILL_STEP ((size_t)16 << 20)

static struct caml_extents* extents_of(extent_hooks_t* hooks) {
  return (struct caml_extents*)hooks;
}

/* Relaxed: the counters are sums, and nothing else is read because of what one
   of them says. */
static void count(struct caml_extent_count* c, bool success, size_t bytes) {
  if (success) {
    atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->bytes, bytes, memory_order_relaxed);
  } else {
    atomic_fetch_add_explicit(&c->failures, 1, memory_order_relaxed);
  }
}

/* As [count], for a call that began at [start], ns */
static void count_timed(struct caml_extent_count* c, bool success,
                        size_t bytes, size_t start) {
  atomic_fetch_add_explicit(&c->nanoseconds, caml_heap_now() - start,
                            memory_order_relaxed);
  count(c, success, bytes);
}

static void* map(size_t size) {
  void* p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* Maps [size] bytes at a multiple of [alignment], a power of two: maps more
   than that and cuts both ends off. */
static void* map_aligned(size_t size, size_t alignment) {
  size_t slack = alignment - (size_t)sysconf(_SC_PAGESIZE);
  size_t before;
  char* p;

  assert(caml_is_power_of_two(alignment) && caml_is_pages(NULL, alignment));
  if (size + slack < size) return NULL;
  p = map(size + slack);
  if (p == NULL) return NULL;
  before = -(uintptr_t)p & (alignment - 1);
  if (before > 0) munmap(p, before);
  if (before < slack) munmap(p + before + size, slack - before);
  return p + before;
}

/* Who reads the notes from outside sees the size last. */
static void note(struct caml_heap_mapping* m, const void* p, size_t size) {
  assert(m->size == 0 && caml_is_pages(p, size));
  m->start = (uintptr_t)p;
  atomic_thread_fence(memory_order_release);
  m->size = size;
}

/* Mappings for jemalloc.  Neighbours are one mapping, as they are to the
   kernel.  With the lock held, all down to [cut]. */

/* How many notes there are, those included that are free again */
static unsigned n_notes(const struct caml_extents* extents) {
  unsigned n = atomic_load(&extents->n_mappings);
  return n < CAML_EXTENTS_MAPPINGS ? n : CAML_EXTENTS_MAPPINGS;
}

/* The first note for which [is_it] is true of [p] and [size]; NULL if there is
   none */
static struct caml_heap_mapping*
find_note(struct caml_extents* extents,
          bool (*is_it)(const struct caml_heap_mapping*, uintptr_t, size_t),
          uintptr_t p, size_t size) {
  caml_ranked_mutex_assert_held(&extents->lock);
  for (unsigned i = CAML_MAPPED_BLOCKS; i < n_notes(extents); i++)
    if (is_it(&extents->mappings[i], p, size)) return &extents->mappings[i];
  return NULL;
}

static bool is_beside(const struct caml_heap_mapping* m, uintptr_t p,
                      size_t size) {
  return m->size > 0 && (m->start == p + size || m->start + m->size == p);
}

static bool is_around(const struct caml_heap_mapping* m, uintptr_t p,
                      size_t size) {
  return p >= m->start && p + size <= m->start + m->size;
}

static bool is_free(const struct caml_heap_mapping* m, uintptr_t p,
                    size_t size) {
  (void)p;
  (void)size;
  return m->size == 0;
}

static void note_new(struct caml_extents* extents, uintptr_t p, size_t size) {
  struct caml_heap_mapping* m = find_note(extents, is_free, 0, 0);
  if (m == NULL) {
    unsigned i = atomic_fetch_add(&extents->n_mappings, 1);
    if (i < CAML_EXTENTS_MAPPINGS) m = &extents->mappings[i];
  }
  if (m != NULL) note(m, (void*)p, size);
}

static void note_mapping(struct caml_extents* extents, uintptr_t p,
                         size_t size) {
  struct caml_heap_mapping* m = find_note(extents, is_beside, p, size);
  if (m == NULL) {
    note_new(extents, p, size);
  } else {
    if (p < m->start) m->start = p;
    m->size += size;
  }
}

/* How many mappings there may be before unmapping may make one more of one.  A
   program is to have 64 + 1 for each 64 MiB.  Some 40 of these are its own
   libraries and stacks; advice for huge pages makes the others. */
static unsigned max_notes(const struct caml_extents* extents) {
  return 8 + (unsigned)(caml_extents_mapped(extents) / ((size_t)128 << 20));
}

static bool may_cut_in_two(struct caml_extents* extents) {
  unsigned n = 0;
  caml_ranked_mutex_assert_held(&extents->lock);
  for (unsigned i = CAML_MAPPED_BLOCKS; i < n_notes(extents); i++)
    n += extents->mappings[i].size > 0;
  return n < max_notes(extents);
}

/* Part of [m] is no longer mapped. */
static void cut(struct caml_extents* extents, struct caml_heap_mapping* m,
                uintptr_t p, size_t size) {
  uintptr_t start = m->start, end = m->start + m->size;
  caml_ranked_mutex_assert_held(&extents->lock);
  assert(size > 0 && start <= p && p + size <= end);
  m->size = p - start;
  if (p == start && p + size < end)
    note(m, (void*)(p + size), end - (p + size));
  else if (p + size < end)
    note_new(extents, p + size, end - (p + size));
}

/* Maps as [extent_alloc] is to: aligned by more than jemalloc asks, if there is
   room for that at the end of the address space. */
static void* map_extent(size_t size, size_t alignment) {
  void* p = map_aligned(size, alignment < CAML_EXTENT_ALIGNMENT
                          ? CAML_EXTENT_ALIGNMENT : alignment);
  if (p == NULL && alignment < CAML_EXTENT_ALIGNMENT)
    p = map_aligned(size, alignment);
  return p;
}

/* A mapping of the heap's: counted, named and not yet in use. */
static void* get_mapping(struct caml_extents* extents, size_t size,
                         size_t alignment) {
  size_t start = caml_heap_now();
  void* p = map_extent(size, alignment);
  count_timed(&extents->alloc, p != NULL, size, start);
  if (p == NULL) return NULL;
  caml_limits_mapped(&extents->limits, p);
  caml_advise(p, size, CAML_ADVICE_NAME);
  return p;
}

/* jemalloc takes leaves, of 2 MiB at most, from blocks of huge pages: the first
   has two, each of the next one more (base_block_alloc in its src/base.c).  To
   align a block takes one more.  So LEAST is enough for four blocks, which have
   the first ten leaves, and a part of what is mapped for the others. */
#define LEAST_ROOM ((size_t)12 << 20)
#define ROOM_PART 256

static bool is_room(const struct caml_extents* extents) {
  size_t size = LEAST_ROOM + caml_extents_mapped(extents) / ROOM_PART;
  void* p = map(size & -CAML_HUGE_PAGE_SIZE);
  if (p == NULL) return false;
  munmap(p, size & -CAML_HUGE_PAGE_SIZE);
  return true;
}

/* Notes down that jemalloc has a leaf for where [p] lies, or room for one.
   False: it has neither.  With the lock held, here and in the next. */
static bool note_leaf(struct caml_extents* extents, uintptr_t p) {
  size_t i = p / CAML_LEAF_SPACE;
  uint64_t bit = (uint64_t)1 << i % 64;
  caml_ranked_mutex_assert_held(&extents->lock);
  if (i >= CAML_LEAVES) return is_room(extents);
  if ((extents->leaves[i / 64] & bit) == 0 && !is_room(extents)) return false;
  extents->leaves[i / 64] |= bit;
  return true;
}

/* A mapping of which jemalloc cannot note down where it starts and ends is lost
   to it: it neither uses nor unmaps it (extent_grow_retained in its
   src/extent.c).  Without room for that the mapping is unmapped, and there is
   no memory: false. */
static bool keep_if_noted(struct caml_extents* extents, void* p, size_t size) {
  uintptr_t start = (uintptr_t)p;
  assert(p != NULL && size > 0);
  if (note_leaf(extents, start) && note_leaf(extents, start + size - 1))
    return true;
  if (munmap(p, size) == 0) count(&extents->dalloc, true, size);
  return false;
}

/* A mapping for jemalloc, which is noted too.  With [data] for jemalloc's own
   data, which are not to be in huge pages.  With the lock held. */
static void* get_jemalloc_mapping(struct caml_extents* extents, size_t size,
                                  size_t alignment, bool data) {
  void* p;
  caml_ranked_mutex_assert_held(&extents->lock);
  p = get_mapping(extents, size, alignment);
  if (p == NULL || (!data && !keep_if_noted(extents, p, size))) return NULL;
  note_mapping(extents, (uintptr_t)p, size);
  if (!data)
    extents->ahead =
      (struct caml_ahead){ (uintptr_t)p, (uintptr_t)p, (uintptr_t)p + size };
  if (data) caml_huge_refuse(p, size);
  else caml_huge_mapped(&extents->huge, p, size);
  return p;
}

/* What is left of a huge page from which small mappings are taken.  This lies
   at its start; all else of it is zero. */
struct caml_rest {
  struct caml_rest* next;
  size_t size;
};

/* From the oldest rest in which there is room: from its end, so that the start
   goes last */
static void* take_from_rests(struct caml_extents* extents, size_t size) {
  struct caml_rest **oldest = NULL, *rest;
  caml_ranked_mutex_assert_held(&extents->lock);
  for (struct caml_rest** at = &extents->rests; *at != NULL; at = &(*at)->next)
    if ((*at)->size >= size) oldest = at;
  if (oldest == NULL) return NULL;
  rest = *oldest;
  rest->size -= size;
  if (rest->size > 0) return (char*)rest + rest->size;
  *oldest = rest->next;
  memset(rest, 0, sizeof(*rest));
  return rest;
}

/* jemalloc asks for as little as a block when it could not have more, and would
   do so for each block: a huge page is mapped for many of them.  Not for pools,
   which are aligned.  With the lock held. */
static void* get_small_mapping(struct caml_extents* extents, size_t size) {
  void* p = take_from_rests(extents, size);
  assert(size > 0 && size % extents->page == 0);
  if (p == NULL) {
    struct caml_rest* rest =
      get_jemalloc_mapping(extents, CAML_HUGE_PAGE_SIZE, extents->page, false);
    if (rest != NULL) {
      rest->size = CAML_HUGE_PAGE_SIZE;
      rest->next = extents->rests;
      extents->rests = rest;
      p = take_from_rests(extents, size);
    }
  }
  return p;
}

static void unmap_rests(struct caml_extents* extents) {
  caml_ranked_mutex_assert_held(&extents->lock);
  while (extents->rests != NULL) {
    struct caml_rest* rest = extents->rests;
    size_t size = rest->size;
    extents->rests = rest->next;
    if (munmap(rest, size) == 0) count(&extents->dalloc, true, size);
  }
}

/* Of the calling thread */
static _Thread_local struct {
  enum caml_getting what;
  size_t got;
  char* to_fill; /* see caml_extents_fill_got */
  size_t to_fill_size;
  size_t refused; /* bytes of a mapping that it does not get; 0: any */
} getting;

static bool is_trimming(struct caml_extents* extents) {
  return atomic_load(&extents->trimmer) == pthread_self();
}

/* What jemalloc asks for in whole huge pages, zeroed and committed, is for its
   own data.  An address that it asks for is refused: a block is not to grow by
   a mapping of its own behind it. */
static void* extent_alloc(extent_hooks_t* hooks, void* new_addr, size_t size,
                          size_t alignment, bool* zero, bool* commit,
                          unsigned arena_ind) {
  struct caml_extents* extents = extents_of(hooks);
  bool data = *zero && *commit && alignment >= CAML_HUGE_PAGE_SIZE;
  bool small = size <= CAML_HUGE_PAGE_SIZE / 4 && !data
    && alignment <= extents->page;
  void* p = NULL;
  (void)arena_ind;
  assert(caml_is_power_of_two(alignment));
  assert(caml_is_pages(NULL, size));
  if (new_addr != NULL || (!data && is_trimming(extents))) return NULL;
  if (!data && !small && size == getting.refused) return NULL;
  caml_ranked_mutex_lock(&extents->lock);
  if (small) p = get_small_mapping(extents, size);
  if (p == NULL) p = get_jemalloc_mapping(extents, size, alignment, data);
  caml_ranked_mutex_unlock(&extents->lock);
  if (p == NULL) return NULL;
  if (atomic_load(&extents->limits.locked)) atomic_store(&extents->grown, true);
  if (*commit && !data) {
    caml_huge_commit(&extents->huge, p, size);
    caml_extents_add_pages(extents, size);
  }
  *zero = true;
  return p;
}

static void extent_destroy(extent_hooks_t* hooks, void* addr, size_t size,
                           bool committed, unsigned arena_ind) {
  size_t start = caml_heap_now();
  bool unmapped = munmap(addr, size) == 0;
  assert(caml_is_pages(NULL, size));
  (void)committed;
  (void)arena_ind;
  count_timed(&extents_of(hooks)->destroy, unmapped, size, start);
}

/* Takes pages by force.  Locked pages go by MADV_DONTNEED_LOCKED only, which
   takes others as well.  So once it was needed it is what is asked for, in
   forked children too.  A kernel that does not have it is found out once; which
   pages are locked is found out each time. */
static bool take_pages(struct caml_extents* extents, void* p, size_t size) {
  if (madvise(p, size, atomic_load(&extents->dontneed)) == 0) return true;
  if (errno != EINVAL) return false;
  if (atomic_load(&extents->dontneed) == MADV_DONTNEED_LOCKED) return false;
  caml_limits_found_locked(&extents->limits);
  if (atomic_load(&extents->no_dontneed_locked)) return false;
  if (madvise(p, size, MADV_DONTNEED_LOCKED) == 0) {
    atomic_store(&extents->dontneed, MADV_DONTNEED_LOCKED);
    return true;
  }
  if (errno == EINVAL) atomic_store(&extents->no_dontneed_locked, true);
  return false;
}

/* Unmaps what lies in one mapping, if that does not make too many of them.
   With the lock held. */
static bool unmap_noted(struct caml_extents* extents, void* p, size_t size) {
  uintptr_t start = (uintptr_t)p;
  struct caml_heap_mapping* m = find_note(extents, is_around, start, size);
  if (m == NULL) return false;
  if (start > m->start && start + size < m->start + m->size
      && !may_cut_in_two(extents))
    return false;
  if (!caml_huge_unmap(&extents->huge, p, size)) return false;
  cut(extents, m, start, size);
  return true;
}

/* Unmaps whole huge pages, with the page that jemalloc 5.3.0 puts behind a
   block, where address space is charged.  Their pages go before the lock is
   taken: that takes time. */
static bool unmap_huge_pages(struct caml_extents* extents, void* p,
                             size_t size) {
  bool done;
  if (size < CAML_HUGE_PAGE_SIZE || (uintptr_t)p % CAML_HUGE_PAGE_SIZE != 0
      || size % CAML_HUGE_PAGE_SIZE > extents->page
      || !caml_limits_charge(&extents->limits))
    return false;
  take_pages(extents, p, size);
  caml_ranked_mutex_lock(&extents->lock);
  done = unmap_noted(extents, p, size);
  caml_ranked_mutex_unlock(&extents->lock);
  return done;
}

static bool extent_dalloc(extent_hooks_t* hooks, void* addr, size_t size,
                          bool committed, unsigned arena_ind) {
  struct caml_extents* extents = extents_of(hooks);
  size_t start = caml_heap_now();
  bool unmapped = atomic_load(&extents->closing)
    ? munmap(addr, size) == 0 : unmap_huge_pages(extents, addr, size);
  (void)arena_ind;
  assert(caml_is_pages(NULL, size));
  if (unmapped && committed) caml_extents_lose_pages(extents, size);
  count_timed(&extents->dalloc, unmapped, size, start);
  return !unmapped;
}

void caml_extents_add_pages(struct caml_extents* extents, size_t size) {
  assert(caml_is_pages(NULL, size));
  atomic_fetch_add_explicit(&extents->uncounted, size, memory_order_relaxed);
}

void caml_extents_lose_pages(struct caml_extents* extents, size_t size) {
  assert(caml_is_pages(NULL, size));
  atomic_fetch_sub_explicit(&extents->uncounted, size, memory_order_relaxed);
}

void caml_extents_recount(struct caml_extents* extents, void* p, size_t size,
                          bool more) {
  caml_huge_count(&extents->huge, p, size, more);
  if (more) caml_extents_add_pages(extents, size);
  else caml_extents_lose_pages(extents, size);
}

void caml_extents_count_commit(struct caml_extents* extents, size_t size) {
  assert(caml_is_pages(NULL, size));
  count(&extents->commit, true, size);
}

void caml_extents_commit(struct caml_extents* extents, void* p, size_t size) {
  caml_huge_commit(&extents->huge, p, size);
  caml_extents_count_commit(extents, size);
}

bool caml_extents_decommit(struct caml_extents* extents, void* p, size_t size) {
  size_t start = caml_heap_now();
  bool done;
  assert(caml_is_pages(p, size));
  caml_huge_decommit(&extents->huge, p, size);
  done = take_pages(extents, p, size);
  count_timed(&extents->decommit, done, size, start);
  return done;
}

bool caml_extents_purge_lazily(struct caml_extents* extents, void* p,
                               size_t size) {
  size_t start = caml_heap_now();
  bool done = caml_advise(p, size, CAML_ADVICE_FREE);
  count_timed(&extents->purge_lazy, done, size, start);
  return done;
}

/* In steps: signals to the thread, and threads that map something, wait for the
   end of each. */
bool caml_extents_fill(void* p, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = (uintptr_t)p & -page;
  uintptr_t end = ((uintptr_t)p + size + page - 1) & -page;
  while (start < end) {
    size_t step = end - start < FILL_STEP ? end - start : FILL_STEP;
    if (!caml_advise((void*)start, step, CAML_ADVICE_POPULATE)) return false;
    start += step;
  }
  return true;
}

bool caml_extents_populate(struct caml_extents* extents, void* p, size_t size) {
  caml_huge_commit(&extents->huge, p, size);
  if (caml_extents_fill(p, size)) {
    caml_extents_add_pages(extents, size);
    return true;
  }
  if (!caml_advice_is_refused(CAML_ADVICE_POPULATE))
    madvise(p, size, MADV_DONTNEED); /* a part may have got its pages */
  caml_huge_count(&extents->huge, p, size, false);
  return false;
}

void caml_extents_begin_get(enum caml_getting what) {
  getting.what = what;
  getting.got = 0;
  getting.to_fill_size = 0;
}

void caml_extents_refuse(size_t size) {
  assert(size == 0 || caml_is_pages(NULL, size));
  getting.refused = size;
}

size_t caml_extents_got(void) {
  return getting.got;
}

void caml_extents_note_got(size_t size) {
  getting.got += size;
}

void caml_extents_fill_got(void) {
  if (getting.to_fill_size > 0)
    caml_extents_fill(getting.to_fill, getting.to_fill_size);
  getting.to_fill_size = 0;
}

/* A get takes address space once as a rule: what it took before is filled in
   the hook. */
static void fill_later(char* p, size_t size) {
  assert(p != NULL && size > 0);
  caml_extents_fill_got();
  getting.to_fill = p;
  getting.to_fill_size = size;
}

/* [length] bytes from [p] are committed.  Returns how many to fill from there
   on: none if it was done, more than these where nothing was ever committed. */
static size_t advance(struct caml_extents* extents, uintptr_t p,
                      size_t length, bool fill) {
  size_t size = fill ? length : 0;
  size_t most = caml_extents_committed(extents) / AHEAD_PART & -extents->page;
  struct caml_ahead* ahead = &extents->ahead;
  caml_ranked_mutex_lock(&extents->lock);
  if (p >= ahead->frontier && p + length <= ahead->end) {
    if (p + length <= ahead->filled) size = 0;
    if (most > AHEAD_MOST) most = AHEAD_MOST;
    if (size > 0 && most > size) size = most;
    if (size > ahead->end - p) size = ahead->end - p;
    if (size > 0) ahead->filled = p + size;
    ahead->frontier = p + length;
  }
  caml_ranked_mutex_unlock(&extents->lock);
  return size;
}

/* What is mapped stays accessible, and its pages come when they are touched.
   Those of jemalloc's own slabs come as soon as it is left, since blocks will
   fill them. */
static bool extent_commit(extent_hooks_t* hooks, void* addr, size_t size,
                          size_t offset, size_t length, unsigned arena_ind) {
  struct caml_extents* extents = extents_of(hooks);
  char* p = (char*)addr + offset;
  bool fill = getting.what == CAML_GETTING_SMALL && length <= SLAB_MOST
    && !is_trimming(extents);
  size_t to_fill = advance(extents, (uintptr_t)p, length, fill);
  assert(offset + length <= size && caml_is_pages(p, length));
  (void)size;
  (void)arena_ind;
  if (is_trimming(extents)) {
    caml_extents_recount(extents, p, length, true);
    return false;
  }
  assert(getting.what <= CAML_GETTING_SLAB);
  getting.got += length;
  if (getting.what == CAML_GETTING_SLAB)
    caml_huge_count(&extents->huge, p, length, true);
  else
    caml_huge_commit(&extents->huge, p, length);
  if (to_fill > 0) fill_later(p, to_fill);
  count(&extents->commit, true, length);
  return false;
}

/* jemalloc takes decommitted pages for zeroed: MADV_DONTNEED promises that for
   private anonymous memory, and only for that. */
static bool extent_decommit(extent_hooks_t* hooks, void* addr, size_t size,
                            size_t offset, size_t length,
                            unsigned arena_ind) {
  struct caml_extents* extents = extents_of(hooks);
  void* p = (char*)addr + offset;
  assert(offset + length <= size && caml_is_pages(p, length));
  (void)size;
  (void)arena_ind;
  if (caml_extents_decommit(extents, p, length)) return false;
  caml_huge_commit(&extents->huge, p, length);
  return true;
}

static bool extent_purge_lazy(extent_hooks_t* hooks, void* addr, size_t size,
                              size_t offset, size_t length,
                              unsigned arena_ind) {
  assert(offset + length <= size && length > 0);
  (void)size;
  (void)arena_ind;
  return !caml_extents_purge_lazily(extents_of(hooks), (char*)addr + offset,
                                    length);
}

/* Any extent may be cut in two. */
static bool extent_split(extent_hooks_t* hooks, void* addr, size_t size,
                         size_t size_a, size_t size_b, bool committed,
                         unsigned arena_ind) {
  assert(size_a + size_b == size);
  (void)addr;
  (void)size;
  (void)size_a;
  (void)size_b;
  (void)committed;
  (void)arena_ind;
  count(&extents_of(hooks)->split, true, 0);
  return false;
}

/* Any two neighbours may become one: madvise and munmap reach across the border
   between two mappings. */
static bool extent_merge(extent_hooks_t* hooks, void* addr_a, size_t size_a,
                         void* addr_b, size_t size_b, bool committed,
                         unsigned arena_ind) {
  assert((char*)addr_a + size_a == addr_b);
  (void)addr_a;
  (void)size_a;
  (void)addr_b;
  (void)size_b;
  (void)committed;
  (void)arena_ind;
  count(&extents_of(hooks)->merge, true, 0);
  return false;
}

/* There is no purge_forced: where decommit fails, it would fail too. */
static const extent_hooks_t extent_hooks = {
  .alloc = extent_alloc,
  .dalloc = extent_dalloc,
  .destroy = extent_destroy,
  .commit = extent_commit,
  .decommit = extent_decommit,
  .purge_lazy = extent_purge_lazy,
  .split = extent_split,
  .merge = extent_merge,
};

/* Address space that is charged, or locked */

/* The first look is relaxed, so that nothing shared is written as a rule.  A
   thread that misses a note of this moment clears it the next time. */
static bool clear(_Atomic bool* note) {
  return atomic_load_explicit(note, memory_order_relaxed)
    && atomic_exchange(note, false);
}

bool caml_extents_clear_grown(struct caml_extents* extents) {
  return clear(&extents->grown);
}

void caml_extents_note_ahead(struct caml_extents* extents) {
  atomic_store(&extents->ahead_filled, true);
}

bool caml_extents_clear_ahead(struct caml_extents* extents) {
  return clear(&extents->ahead_filled);
}

size_t caml_extents_step(const struct caml_extents* extents) {
  size_t most = caml_extents_mapped(extents) / 16, step = CAML_HUGE_PAGE_SIZE;
  while (2 * step <= most) step *= 2;
  return step;
}

void caml_extents_begin_trim(struct caml_extents* extents) {
  assert(atomic_load(&extents->trimmer) == 0);
  atomic_store(&extents->trimmer, pthread_self());
}

void caml_extents_end_trim(struct caml_extents* extents) {
  assert(is_trimming(extents));
  atomic_store(&extents->trimmer, 0);
}

/* Blocks with mappings of their own */

/* A note, by its number; CAML_MAPPED_BLOCKS if there is none.  With the lock
   held.
     - [p] is a block: its note;
     - [p] is NULL: that of a block that the kernel kept and that is large
       enough, or else the first note that is free. */
static unsigned find_block(const struct caml_extents* extents, const void* p,
                           size_t size) {
  unsigned i, empty = CAML_MAPPED_BLOCKS;
  caml_ranked_mutex_assert_held(&extents->lock);
  for (i = 0; i < CAML_MAPPED_BLOCKS; i++) {
    const struct caml_heap_mapping* m = &extents->mappings[i];
    if (p != NULL ? m->start == (uintptr_t)p && !extents->kept[i]
                  : extents->kept[i] && m->size >= size)
      return i;
    if (m->size == 0 && empty == CAML_MAPPED_BLOCKS) empty = i;
  }
  return p == NULL ? empty : i;
}

/* With the lock held */
static void* map_block(struct caml_extents* extents, unsigned i, size_t size) {
  struct caml_heap_mapping* m = &extents->mappings[i];
  caml_ranked_mutex_assert_held(&extents->lock);
  if (extents->kept[i]) {
    extents->kept[i] = false;
  } else {
    void* p = get_mapping(extents, size, CAML_EXTENT_ALIGNMENT);
    if (p == NULL) return NULL;
    caml_huge_advise(&extents->huge, p, size);
    note(m, p, size);
  }
  atomic_fetch_add(&extents->in_blocks, m->size);
  getting.got += m->size;
  return (void*)(uintptr_t)m->start;
}

void* caml_extents_map_block(struct caml_extents* extents, size_t size) {
  size_t page = extents->page;
  void* p = NULL;
  unsigned i;
  assert(size >= CAML_MAPPED_BLOCK);
  if (size > SIZE_MAX / 2) return NULL;
  size = (size + page - 1) & -page;
  caml_ranked_mutex_lock(&extents->lock);
  i = find_block(extents, NULL, size);
  if (i < CAML_MAPPED_BLOCKS) p = map_block(extents, i, size);
  caml_ranked_mutex_unlock(&extents->lock);
  return p;
}

/* The kernel may refuse to unmap, where that would leave it with too many
   mappings.  Then the pages go only, and the next block takes the mapping.
   With the lock held. */
static void unmap_block(struct caml_extents* extents, unsigned i) {
  struct caml_heap_mapping* m = &extents->mappings[i];
  void* p = (void*)(uintptr_t)m->start;
  size_t size = m->size, start = caml_heap_now();
  bool unmapped = munmap(p, size) == 0;
  caml_ranked_mutex_assert_held(&extents->lock);
  assert(extents->kept[i] || atomic_load(&extents->in_blocks) >= size);
  count_timed(&extents->dalloc, unmapped, size, start);
  if (!extents->kept[i]) atomic_fetch_sub(&extents->in_blocks, size);
  if (unmapped) {
    m->size = m->start = 0;
  } else {
    take_pages(extents, p, size);
    extents->kept[i] = true;
  }
}

bool caml_extents_unmap_block(struct caml_extents* extents, void* block) {
  unsigned i;
  assert(block != NULL);
  caml_ranked_mutex_lock(&extents->lock);
  i = find_block(extents, block, 0);
  if (i < CAML_MAPPED_BLOCKS) unmap_block(extents, i);
  caml_ranked_mutex_unlock(&extents->lock);
  return i < CAML_MAPPED_BLOCKS;
}

extent_hooks_t* caml_extents_init(struct caml_extents* extents,
                                  enum caml_thp thp) {
  memset(extents, 0, sizeof(*extents));
  extents->page = (size_t)sysconf(_SC_PAGESIZE);
  caml_huge_init(&extents->huge, thp);
  caml_ranked_mutex_init(&extents->lock, CAML_RANK_EXTENTS);
  atomic_store(&extents->n_mappings, CAML_MAPPED_BLOCKS);
  atomic_store(&extents->dontneed, MADV_DONTNEED);
  extents->hooks = extent_hooks;
  return &extents->hooks;
}

/* Not asked sooner, since that would start jemalloc: one that failed to start
   must not be called again. */
void caml_extents_started(struct caml_extents* extents) {
  size_t size = sizeof(extents->page);
  je_mallctl("arenas.page", &extents->page, &size, NULL, 0);
}

/* The lock is taken inside of the hooks, after jemalloc's own locks, so it
   cannot be taken before a fork: who is in a hook may wait for it with one of
   those.  A thread that was in here at the fork, with the lock, is not in the
   child.  What it left half done is about the mapping that it was making or
   unmapping, which nobody in the child has: a note of it, or a rest, that is
   too short, so that some address space stays mapped. */
void caml_extents_postfork_child(struct caml_extents* extents) {
  atomic_store(&extents->trimmer, 0);
  caml_limits_postfork_child(&extents->limits);
  caml_ranked_mutex_postfork_child(&extents->lock);
  caml_huge_postfork_child(&extents->huge);
}

void caml_extents_close(struct caml_extents* extents, bool closing) {
  atomic_store(&extents->closing, closing);
}

void caml_extents_end(struct caml_extents* extents) {
  caml_ranked_mutex_lock(&extents->lock);
  for (unsigned i = 0; i < CAML_MAPPED_BLOCKS; i++)
    if (extents->mappings[i].size > 0) unmap_block(extents, i);
  unmap_rests(extents);
  caml_ranked_mutex_unlock(&extents->lock);
  caml_huge_end(&extents->huge);
  caml_ranked_mutex_destroy(&extents->lock);
}

/* What is gone is read first: of a mapping that comes and goes meanwhile, its
   end is not to be seen without its beginning. */
size_t caml_extents_mapped(const struct caml_extents* extents) {
  size_t gone = atomic_load(&extents->dalloc.bytes)
    + atomic_load(&extents->destroy.bytes);
  return atomic_load(&extents->alloc.bytes) - gone;
}

static size_t relaxed(const _Atomic size_t* n) {
  return atomic_load_explicit(n, memory_order_relaxed);
}

/* Relaxed: others commit and decommit meanwhile, so that it may seem less than
   none. */
size_t caml_extents_committed(const struct caml_extents* extents) {
  size_t sum = relaxed(&extents->commit.bytes) + relaxed(&extents->uncounted)
    + relaxed(&extents->in_blocks) - relaxed(&extents->decommit.bytes);
  return sum <= SIZE_MAX / 2 ? sum : 0;
}
