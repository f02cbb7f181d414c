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


#define _GNU_SOURCE /* process_vm_readv, memmem */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "heap_map.h"
#include "process_map.h"
#include "tool.h"

/* One mapping, a line of smaps and those below it */
struct mapping {
  uint64_t start, end;
  char perms[5];
  bool file;
  char name[32]; /* as far as it matters */
  struct part_size size;
};

struct mappings {
  struct mapping* items;
  size_t length, room;
};

struct range {
  uint64_t start, end;
  enum part part;
};

struct ranges {
  struct range* items;
  size_t length;
};

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

static void* must(void* p) {
  if (p == NULL) fail("no memory");
  return p;
}

/* smaps */

static struct mapping* add_mapping(struct mappings* m) {
  if (m->length == m->room) {
    m->room = m->room == 0 ? 256 : 2 * m->room;
    m->items = must(realloc(m->items, m->room * sizeof(*m->items)));
  }
  return memset(&m->items[m->length++], 0, sizeof(*m->items));
}

static bool read_heading(const char* line, struct mappings* m) {
  uint64_t start, end, inode;
  char perms[5], name[32] = "";
  struct mapping* mapping;
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64 " %31s",
             &start, &end, perms, &inode, name) < 4)
    return false;
  mapping = add_mapping(m);
  mapping->start = start;
  mapping->end = end;
  memcpy(mapping->perms, perms, sizeof(perms));
  memcpy(mapping->name, name, sizeof(name));
  mapping->file = inode != 0;
  mapping->size.mappings = 1;
  mapping->size.size = end - start;
  return true;
}

static void read_field(const char* line, struct part_size* size) {
  char name[32];
  uint64_t kib;
  if (sscanf(line, "%31[^:]: %" SCNu64 " kB", name, &kib) != 2) return;
  if (strcmp(name, "Rss") == 0) size->rss = kib << 10;
  if (strcmp(name, "Pss") == 0) size->pss = kib << 10;
  if (strcmp(name, "AnonHugePages") == 0) size->huge = kib << 10;
  if (strcmp(name, "LazyFree") == 0) size->lazy_free = kib << 10;
}

static int read_smaps(pid_t pid, struct mappings* m) {
  char path[64], line[4096];
  FILE* f;
  int error = 0;
  snprintf(path, sizeof(path), "/proc/%ld/smaps", (long)pid);
  f = fopen(path, "r");
  if (f == NULL) return errno == ENOENT ? ESRCH : errno;
  while (fgets(line, sizeof(line), f) != NULL)
    if (!read_heading(line, m) && m->length > 0)
      read_field(line, &m->items[m->length - 1].size);
  if (ferror(f)) error = errno;
  fclose(f);
  return error != 0 ? error : m->length == 0 ? ESRCH : 0;
}

/* The runtime's table */

static bool peek(pid_t pid, uint64_t address, void* to, size_t size) {
  struct iovec local = { to, size };
  struct iovec remote = { (void*)(uintptr_t)address, size };
  return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static bool is_table(pid_t pid, uint64_t address, struct caml_heap_map* table) {
  return peek(pid, address, table, sizeof(*table))
    && memcmp(table->magic, CAML_HEAP_MAP_MAGIC, sizeof(table->magic)) == 0
    && table->version == CAML_HEAP_MAP_VERSION
    && table->self == address && table->n_mappings <= 65536;
}

#define CHUNK ((size_t)1 << 20)

/* Data of a program or library; files that are shared may be of any size. */
static bool is_data(const struct mapping* m) {
  return m->file && m->perms[1] == 'w' && m->perms[3] == 'p';
}

/* The table, if it is in there */
static bool find_in(pid_t pid, const struct mapping* m, char* buffer,
                    struct caml_heap_map* table) {
  for (uint64_t at = m->start; at < m->end; at += CHUNK) {
    size_t size = m->end - at < CHUNK + sizeof(*table)
      ? m->end - at : CHUNK + sizeof(*table);
    const char* p = buffer;
    if (!peek(pid, at, buffer, size)) return false;
    while ((p = memmem(p, size - (size_t)(p - buffer), CAML_HEAP_MAP_MAGIC,
                       sizeof(table->magic))) != NULL) {
      if (is_table(pid, at + (uint64_t)(p - buffer), table)) return true;
      p++;
    }
  }
  return false;
}

static bool find_table(pid_t pid, const struct mappings* m, uint64_t* where,
                       struct caml_heap_map* table) {
  char* buffer;
  bool found = false;
  if (*where != 0 && is_table(pid, *where, table)) return true;
  buffer = must(malloc(CHUNK + sizeof(*table)));
  for (size_t i = 0; i < m->length && !found; i++)
    if (is_data(&m->items[i]))
      found = find_in(pid, &m->items[i], buffer, table);
  free(buffer);
  if (found) *where = table->self;
  return found;
}

static void add_range(struct ranges* r, uint64_t start, uint64_t end,
                      enum part part) {
  r->items = must(realloc(r->items, (r->length + 1) * sizeof(*r->items)));
  r->items[r->length++] = (struct range){ start, end, part };
}

/* What the table says; nothing of it is believed that smaps does not know. */
static bool read_table(pid_t pid, const struct caml_heap_map* table,
                       struct ranges* ranges, struct process_map* map) {
  size_t pools, large;
  uintptr_t minor_start, minor_end;
  unsigned used;
  if (!peek(pid, table->used, &used, sizeof(used))
      || !peek(pid, table->pools, &pools, sizeof(pools))
      || !peek(pid, table->large, &large, sizeof(large))
      || !peek(pid, table->minor_start, &minor_start, sizeof(minor_start))
      || !peek(pid, table->minor_end, &minor_end, sizeof(minor_end)))
    return false;
  map->pools = pools;
  map->large = large;
  if (used > table->n_mappings) {
    map->unlisted = used - table->n_mappings;
    used = table->n_mappings;
  }
  for (unsigned i = 0; i < used; i++) {
    struct caml_heap_mapping m;
    if (!peek(pid, table->mappings + i * sizeof(m), &m, sizeof(m))) return false;
    if (m.size > 0) add_range(ranges, m.start, m.start + m.size, PART_MAJOR_HEAP);
  }
  if (minor_start < minor_end)
    add_range(ranges, minor_start, minor_end, PART_MINOR_HEAPS);
  return true;
}

/* Which part is it? */

#define GUARD_MAX ((uint64_t)1 << 20)

static bool is_anonymous(const struct mapping* m) {
  return !m->file && m->name[0] == '\0';
}

/* A thread's stack lies above its guard. */
static bool is_stack(const struct mappings* m, size_t i) {
  const struct mapping* below = i > 0 ? &m->items[i - 1] : NULL;
  const struct mapping* above = i + 1 < m->length ? &m->items[i + 1] : NULL;
  const struct mapping* this = &m->items[i];
  if (strncmp(this->name, "[stack", 6) == 0) return true;
  if (!is_anonymous(this)) return false;
  if (strncmp(this->perms, "---", 3) == 0) /* a guard itself */
    return above != NULL && above->start == this->end && is_anonymous(above)
      && this->end - this->start <= GUARD_MAX
      && strncmp(above->perms, "rw", 2) == 0;
  return below != NULL && below->end == this->start && is_anonymous(below)
    && strncmp(this->perms, "rw", 2) == 0
    && strncmp(below->perms, "---", 3) == 0
    && below->end - below->start <= GUARD_MAX;
}

/* What is zeroed of a file's data lies behind the rest. */
static bool is_bss(const struct mappings* m, size_t i) {
  return i > 0 && is_anonymous(&m->items[i]) && m->items[i - 1].file
    && m->items[i - 1].perms[1] == 'w'
    && m->items[i - 1].end == m->items[i].start;
}

static enum part part_of(const struct mappings* m, size_t i) {
  const struct mapping* this = &m->items[i];
  if (strcmp(this->name, "[anon:OCaml") == 0) return PART_MAJOR_HEAP;
  if (this->file || is_bss(m, i)) return PART_CODE;
  if (strcmp(this->name, "[heap]") == 0) return PART_C_HEAP;
  if (is_stack(m, i)) return PART_STACKS;
  if (is_anonymous(this) && strncmp(this->perms, "rw", 2) == 0)
    return PART_C_HEAP;
  return PART_OTHER;
}

static void add_size(struct part_size* to, const struct part_size* size) {
  to->mappings += size->mappings;
  to->size += size->size;
  to->rss += size->rss;
  to->pss += size->pss;
  to->huge += size->huge;
  to->lazy_free += size->lazy_free;
}

/* Pages from [start] to [end] that are resident, by pagemap; -1: not known */
static int64_t present(int pagemap, uint64_t start, uint64_t end) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), entries[1024];
  int64_t n = 0;
  for (uint64_t at = start; at < end; at += page * 1024) {
    size_t wanted = (end - at) / page < 1024 ? (end - at) / page : 1024;
    ssize_t got = pread(pagemap, entries, wanted * 8, (off_t)(at / page * 8));
    if (got != (ssize_t)(wanted * 8)) return -1;
    for (size_t i = 0; i < wanted; i++) n += entries[i] >> 63;
  }
  return n;
}

/* The share of [m] from [start] to [end]: the kernel makes one mapping of
   neighbours, and counts it as one.  By resident pages, or else by length. */
static struct part_size share(int pagemap, const struct mapping* m,
                              uint64_t start, uint64_t end) {
  struct part_size s = { .size = end - start, .mappings = start == m->start };
  int64_t here = present(pagemap, start, end);
  int64_t all = here < 0 ? -1 : present(pagemap, m->start, m->end);
  double part = all > 0 ? (double)here / (double)all
    : (double)(end - start) / (double)(m->end - m->start);
  s.rss = (uint64_t)((double)m->size.rss * part);
  s.pss = (uint64_t)((double)m->size.pss * part);
  s.huge = (uint64_t)((double)m->size.huge * part);
  s.lazy_free = (uint64_t)((double)m->size.lazy_free * part);
  return s;
}

static int by_start(const void* a, const void* b) {
  const struct range* x = a;
  const struct range* y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

/* Cuts mapping [i] where ranges begin and end. */
static void classify(int pagemap, const struct mappings* m, size_t i,
                     const struct ranges* r, struct process_map* map) {
  const struct mapping* this = &m->items[i];
  enum part rest = part_of(m, i);
  uint64_t at = this->start;
  for (size_t j = 0; j < r->length && at < this->end; j++) {
    uint64_t start = r->items[j].start > at ? r->items[j].start : at;
    uint64_t end = r->items[j].end < this->end ? r->items[j].end : this->end;
    struct part_size s;
    if (start >= end || this->file) continue;
    if (start > at) {
      s = share(pagemap, this, at, start);
      add_size(&map->parts[rest], &s);
    }
    s = start == this->start && end == this->end
      ? this->size : share(pagemap, this, start, end);
    add_size(&map->parts[r->items[j].part], &s);
    at = end;
  }
  if (at == this->start) {
    add_size(&map->parts[rest], &this->size);
  } else if (at < this->end) {
    struct part_size s = share(pagemap, this, at, this->end);
    add_size(&map->parts[rest], &s);
  }
}

static int open_pagemap(pid_t pid) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%ld/pagemap", (long)pid);
  return open(path, O_RDONLY | O_CLOEXEC);
}

int process_map_read(pid_t pid, uint64_t* where, struct process_map* map) {
  struct mappings m = { NULL, 0, 0 };
  struct ranges ranges = { NULL, 0 };
  struct caml_heap_map table;
  int error = read_smaps(pid, &m), pagemap;
  memset(map, 0, sizeof(*map));
  if (error == 0) {
    map->on_jemalloc = find_table(pid, &m, where, &table)
      && read_table(pid, &table, &ranges, map);
    if (ranges.length > 0)
      qsort(ranges.items, ranges.length, sizeof(*ranges.items), by_start);
    pagemap = open_pagemap(pid);
    for (size_t i = 0; i < m.length; i++) {
      classify(pagemap, &m, i, &ranges, map);
      add_size(&map->total, &m.items[i].size);
    }
    if (pagemap >= 0) close(pagemap);
  }
  free(ranges.items);
  free(m.items);
  return error;
}
