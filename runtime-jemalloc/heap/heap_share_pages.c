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

#define CAML_INTERNALS
#define _GNU_SOURCE

#ifndef DEBUG
#define NDEBUG /* assertions in the debug runtime only, as in all of OCaml's */
#endif
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "heap_pagemap.h"
#include "heap_share_pages.h"

#ifndef PR_GET_MEMORY_MERGE /* since Linux 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif

/* Words of a set whose pages' entries are read at once */
#define CHUNK_WORDS (CAML_SHARE_STEP / 64)

/* Address space that the heap may lie in, bytes: its sets are 32 MiB then, of
   which only those parts have pages that are used. */
#define MOST_RANGE ((size_t)1 << 40)

static size_t page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

static int open_pagemap(void) {
  return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* Reads the entries of [n] of the kernel's pages. */
static bool read_entries(int pagemap, uintptr_t address, uint64_t* entries,
                         size_t n) {
  size_t size = n * sizeof(uint64_t);
  off_t place = (off_t)(address / page_size() * sizeof(uint64_t));
  return pread(pagemap, entries, size, place) == (ssize_t)size;
}

/* Where the kernel makes one of two pages with the same content (KSM), what was
   written may be shared again. */
static bool merges_pages(void) {
  return prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) > 0;
}

/* Of a page that is not in memory nothing is known. */
static bool is_written(uint64_t entry) {
  return (entry & (CAML_PAGEMAP_EXCLUSIVE | CAML_PAGEMAP_SWAPPED)) != 0;
}

static bool is_shared(uint64_t entry) {
  return (entry & CAML_PAGEMAP_PRESENT) != 0 && !is_written(entry);
}

bool caml_share_can_tell(void) {
  char here = 0;
  uint64_t entry;
  int pagemap = open_pagemap();
  bool can = pagemap >= 0 && !merges_pages()
    && read_entries(pagemap, (uintptr_t)&here, &entry, 1)
    && (entry & (CAML_PAGEMAP_PRESENT | CAML_PAGEMAP_SWAPPED)) != 0;
  if (pagemap >= 0) close(pagemap);
  return can;
}

static size_t words(const struct caml_share_written* w) {
  size_t pages = w->pages.size >> CAML_SHARE_PAGE_LOG;
  return (pages + 63) / 64;
}

/* The three sets, then the canary, on a page of its own */
static size_t sets_size(const struct caml_share_written* w) {
  size_t page = page_size();
  return (3 * words(w) * sizeof(uint64_t) + page - 1) & -page;
}

bool caml_share_written_make(struct caml_share_written* w, uintptr_t start,
                             uintptr_t end) {
  char* p;
  assert(start < end && start % (64 * CAML_SHARE_PAGE) == 0);
  memset(w, 0, sizeof(*w));
  if (end - start > MOST_RANGE) return false;
  w->pages.start = start;
  w->pages.size = end - start;
  p = mmap(NULL, sets_size(w) + page_size(), PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  w->pages.set = (void*)p;
  w->written = w->pages.set + words(w);
  w->noted = w->written + words(w);
  w->canary = p + sets_size(w);
  *w->canary = 1;
  return true;
}

void caml_share_written_free(struct caml_share_written* w) {
  munmap(w->pages.set, sets_size(w) + page_size());
  memset(w, 0, sizeof(*w));
}

void caml_share_written_add(struct caml_share_written* w, uintptr_t start,
                            size_t size) {
  uintptr_t page = (start - w->pages.start) >> CAML_SHARE_PAGE_LOG;
  uintptr_t last = (start + size - 1 - w->pages.start) >> CAML_SHARE_PAGE_LOG;
  assert(start >= w->pages.start && size > 0
         && start + size <= w->pages.start + w->pages.size);
  for (; page <= last; page++) {
    uint64_t bit = (uint64_t)1 << (page % 64);
    w->count += (w->pages.set[page / 64] & bit) == 0;
    w->pages.set[page / 64] |= bit;
  }
}

static void read_word(struct caml_share_written* w, size_t word,
                      const uint64_t* entries, size_t per_page) {
  uint64_t set = w->pages.set[word], written = 0, shared = 0;
  for (unsigned i = 0; i < 64; i++) {
    uint64_t entry = entries[i / per_page];
    written |= (uint64_t)is_written(entry) << i;
    shared |= (uint64_t)is_shared(entry) << i;
  }
  w->written[word] = set & (written | w->noted[word]);
  w->shared += (size_t)__builtin_popcountll(set & shared);
}

static void all_written(struct caml_share_written* w, size_t from, size_t n) {
  memcpy(w->written + from, w->pages.set + from, n * sizeof(uint64_t));
}

/* The words from [from] on, up to a chunk of them, from the first to the last
   that has a page */
static void read_chunk(struct caml_share_written* w, int pagemap, size_t from,
                       size_t n) {
  uint64_t entries[CAML_SHARE_STEP];
  size_t per_page = page_size() >> CAML_SHARE_PAGE_LOG;
  const uint64_t* set = w->pages.set;
  while (n > 0 && set[from] == 0) from++, n--;
  while (n > 0 && set[from + n - 1] == 0) n--;
  if (n == 0) return;
  if (!read_entries(pagemap, w->pages.start + from * 64 * CAML_SHARE_PAGE,
                    entries, n * 64 / per_page)) {
    all_written(w, from, n);
    return;
  }
  for (size_t i = 0; i < n; i++)
    if (set[from + i] != 0)
      read_word(w, from + i, entries + i * 64 / per_page, per_page);
}

/* Is there no process that shares pages and that nobody has told of? */
static bool is_alone(const struct caml_share_written* w, int pagemap) {
  uint64_t entry;
  return pagemap >= 0
    && read_entries(pagemap, (uintptr_t)w->canary, &entry, 1)
    && is_written(entry);
}

void caml_share_written_begin(struct caml_share_written* w) {
  w->shared = 0;
  w->read = 0;
}

/* Address space that has no page of the set is not worth a step. */
static size_t skip_empty(const struct caml_share_written* w) {
  size_t i = w->read, n = words(w);
  while (i < n && w->pages.set[i] == 0) i++;
  return i;
}

size_t caml_share_written_step(struct caml_share_written* w) {
  size_t from = w->read = skip_empty(w), n = words(w) - from;
  int pagemap;
  if (n == 0) return 0;
  if (n > CHUNK_WORDS) n = CHUNK_WORDS;
  pagemap = open_pagemap();
  if (!is_alone(w, pagemap)) w->all = true;
  if (pagemap >= 0) {
    read_chunk(w, pagemap, from, n);
    if (!is_alone(w, pagemap)) w->all = true;
    close(pagemap);
  }
  w->read += n;
  if (w->all) all_written(w, 0, words(w));
  return n * 64;
}

void caml_share_written_read(struct caml_share_written* w) {
  caml_share_written_begin(w);
  while (caml_share_written_step(w) > 0) {}
}

/* Steps of a sample: 0.2 ms */
#define SAMPLES 16

size_t caml_share_written_sample(struct caml_share_written* w) {
  size_t pages = 0, n = words(w);
  caml_share_written_begin(w);
  if (n <= SAMPLES * CHUNK_WORDS) {
    caml_share_written_read(w);
    return w->count;
  }
  for (size_t i = 0; i < SAMPLES; i++) {
    size_t from;
    w->read = n / SAMPLES * i;
    from = skip_empty(w);
    caml_share_written_step(w);
    for (; from < w->read; from++)
      pages += (size_t)__builtin_popcountll(w->pages.set[from]);
  }
  return pages;
}

void caml_share_written_note(struct caml_share_written* w) {
  caml_share_written_read(w);
  memcpy(w->noted, w->written, words(w) * sizeof(uint64_t));
}

void caml_share_written_forked(struct caml_share_written* w) {
  *w->canary = 1;
}

void caml_share_written_forget(struct caml_share_written* w) {
  memset(w->noted, 0, words(w) * sizeof(uint64_t));
  w->all = false;
}
