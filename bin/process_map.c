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


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "heap_table.h"
#include "process_map.h"

const char* part_name(enum part part, bool on_jemalloc) {
  switch (part) {
    case PART_MAJOR_HEAP: return "major heap";
    case PART_MINOR_HEAPS: return "minor heaps";
    case PART_STACKS: return "stacks";
    case PART_C_HEAP: return on_jemalloc ? "C heap" : "all heaps";
    case PART_CODE: return "code";
    default: return "other";
  }
}

/* Which part is it? */

#define GUARD_MAX ((uint64_t)1 << 20)
#define ARENA ((uint64_t)64 << 20) /* HEAP_MAX_SIZE of glibc's malloc */

static bool begins_with(const char* text, const char* with) {
  return strncmp(text, with, strlen(with)) == 0;
}

static bool is_anonymous(const struct mapping* m) {
  return !m->file && m->name[0] == '\0';
}

/* Anonymous, and in use */
static bool is_memory(const struct mapping* m) {
  return is_anonymous(m) && begins_with(m->perms, "rw");
}

/* Is it the guard of a thread's stack, which lies above it?  What is left of an
   arena of malloc's looks so too, if another arena follows. */
static bool is_guard(const struct mappings* m, size_t i) {
  const struct mapping* this = &m->items[i];
  const struct mapping* above = this + 1;
  if (i + 1 == m->length || above->start != this->end || !is_memory(above)
      || !is_anonymous(this) || !begins_with(this->perms, "---")
      || this->end - this->start > GUARD_MAX)
    return false;
  return above->start % ARENA != 0 || i == 0 || !is_memory(this - 1)
    || this[-1].end != this->start;
}

static bool is_stack(const struct mappings* m, size_t i) {
  return begins_with(m->items[i].name, "[stack")
    || begins_with(m->items[i].name, "[anon: glibc: pthread stack")
    || is_guard(m, i) || (i > 0 && is_guard(m, i - 1));
}

static enum part part_of(const struct mappings* m, size_t i) {
  const struct mapping* this = &m->items[i];
  if (begins_with(this->name, "[anon:OCaml")) return PART_MAJOR_HEAP;
  if (this->file) return PART_CODE;
  if (strcmp(this->name, "[heap]") == 0) return PART_C_HEAP;
  if (is_stack(m, i)) return PART_STACKS;
  if (is_memory(this)) return PART_C_HEAP;
  if (begins_with(this->name, "[anon:") && begins_with(this->perms, "rw"))
    return PART_C_HEAP;
  return PART_OTHER;
}

/* Mappings that are of several parts: the kernel makes one of neighbours. */

/* What of a mapping is of each part: bytes, and pages that are resident */
struct shares {
  uint64_t length[N_PARTS], pages[N_PARTS];
};

/* /proc/PID/pagemap, a word a page, whose highest bit says that it is there */
struct pagemap {
  int file;
  uint64_t page; /* bytes */
  uint64_t left; /* pages that may still be asked for */
};

/* 512 GiB of address space, in 4 KiB pages: 1 GiB to read, a second's work.
   Beyond, and where pagemap cannot be read, the length decides. */
#define PAGES_MAX ((uint64_t)1 << 27)

static bool count_pages(struct pagemap* p, uint64_t start, uint64_t end,
                        uint64_t* pages) {
  uint64_t entries[4096];
  for (uint64_t at = start / p->page; at < end / p->page; ) {
    uint64_t wanted = end / p->page - at;
    if (wanted > 4096) wanted = 4096;
    if (pread(p->file, entries, wanted * 8, (off_t)(at * 8))
        != (ssize_t)(wanted * 8))
      return false;
    for (uint64_t i = 0; i < wanted; i++) *pages += entries[i] >> 63;
    at += wanted;
  }
  return true;
}

/* The ranges from [r] on are those that [this] may be cut by.  Counts lengths,
   or pages if [p] is not NULL; false if those cannot be counted. */
static bool count(const struct mapping* this, enum part rest,
                  const struct range* r, const struct range* end,
                  struct pagemap* p, struct shares* shares) {
  uint64_t at = this->start;
  while (at < this->end) {
    bool in = r < end && r->start <= at;
    uint64_t to = in ? r->end : r < end ? r->start : this->end;
    enum part part = in ? r->part : rest;
    if (to > this->end) to = this->end;
    if (p == NULL) shares->length[part] += to - at;
    else if (!count_pages(p, at, to, &shares->pages[part])) return false;
    if (in) r++;
    at = to;
  }
  return true;
}

static void add_size(struct part_size* to, const struct part_size* size) {
  to->mappings += size->mappings;
  to->size += size->size;
  to->rss += size->rss;
  to->pss += size->pss;
  to->huge += size->huge;
  to->lazy_free += size->lazy_free;
}

/* No more than there is: as a double it may be rounded up. */
static uint64_t share_of(uint64_t bytes, double part) {
  double share = (double)bytes * part;
  return share < (double)bytes ? (uint64_t)share : bytes;
}

/* Adds the part of [size] that [n] is of [all]. */
static void add_share(struct part_size* to, const struct part_size* size,
                      uint64_t length, uint64_t n, uint64_t all) {
  double part = (double)n / (double)all;
  to->size += length;
  to->rss += share_of(size->rss, part);
  to->pss += share_of(size->pss, part);
  to->huge += share_of(size->huge, part);
  to->lazy_free += share_of(size->lazy_free, part);
}

static bool may_count(const struct mapping* this, struct pagemap* p) {
  uint64_t pages = this->size.size / p->page;
  if (p->file < 0 || this->size.rss == 0 || pages > p->left) return false;
  p->left -= pages;
  return true;
}

/* By resident pages, or else by length.  It counts as one mapping, of the part
   that it begins with. */
static void divide(const struct mapping* this, enum part rest,
                   const struct range* r, const struct range* end,
                   struct pagemap* p, struct process_map* map) {
  struct shares s = { { 0 }, { 0 } };
  enum part first = r < end && r->start <= this->start ? r->part : rest;
  uint64_t pages = 0;
  bool by_pages;
  count(this, rest, r, end, NULL, &s);
  map->parts[first].mappings++;
  if (s.length[first] == this->size.size) {
    add_share(&map->parts[first], &this->size, this->size.size, 1, 1);
    return;
  }
  by_pages = may_count(this, p) && count(this, rest, r, end, p, &s);
  for (int i = 0; i < N_PARTS; i++) pages += s.pages[i];
  by_pages = by_pages && pages > 0;
  for (int i = 0; i < N_PARTS; i++)
    add_share(&map->parts[i], &this->size, s.length[i],
              by_pages ? s.pages[i] : s.length[i],
              by_pages ? pages : this->size.size);
}

/* Both are in the order of their addresses. */
static void classify(const struct mappings* m, const struct ranges* ranges,
                     struct pagemap* p, struct process_map* map) {
  const struct range* r = ranges->items;
  const struct range* end = ranges->length == 0 ? r : r + ranges->length;
  for (size_t i = 0; i < m->length; i++) {
    const struct mapping* this = &m->items[i];
    while (r < end && r->end <= this->start) r++;
    divide(this, part_of(m, i), this->file ? end : r, end, p, map);
    add_size(&map->total, &this->size);
  }
}

static int open_pagemap(pid_t pid) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%ld/pagemap", (long)pid);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* No heap is larger than the process. */
static void bound(struct process_map* map) {
  if (map->pools > map->total.size) map->pools = map->total.size;
  if (map->large > map->total.size) map->large = map->total.size;
}

/* Nothing of the table is believed that smaps does not know. */
int process_map_read(pid_t pid, struct places* places,
                     struct process_map* map) {
  struct mappings m = { NULL, 0, 0, 0 };
  struct ranges ranges = { NULL, 0, 0 };
  struct pagemap pagemap = { -1, (uint64_t)sysconf(_SC_PAGESIZE), PAGES_MAX };
  int error = mappings_read(pid, &m);
  /* exec may have taken away the memory that was opened. */
  if (error == ENODATA) error = mappings_read(pid, &m);
  memset(map, 0, sizeof(*map));
  if (error == 0) {
    map->table = heap_table_read(pid, &m, places, &ranges, map);
    pagemap.file = open_pagemap(pid);
    classify(&m, &ranges, &pagemap, map);
    bound(map);
    if (pagemap.file >= 0) close(pagemap.file);
  }
  free(ranges.items);
  mappings_free(&m);
  return error;
}
