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


#define _GNU_SOURCE /* process_vm_readv, memmem, O_PATH */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "heap_map.h"
#include "heap_table.h"

/* Where the files say it is */

/* Opens what is a regular file only: to open a device may do something. */
static int open_regular(const char* path) {
  int place = open(path, O_PATH | O_CLOEXEC), file = -1;
  char again[64];
  struct stat s;
  if (place < 0) return -1;
  snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
  if (fstat(place, &s) == 0 && S_ISREG(s.st_mode))
    file = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  close(place);
  return file;
}

static bool is_program(const char* exe, const char* path) {
  char program[PATH_MAX];
  ssize_t length = readlink(exe, program, sizeof(program) - 1);
  if (length < 0) return false;
  program[length] = '\0';
  return strcmp(program, path) == 0;
}

/* The file that [m] maps, for reading, or -1 and errno.  The first way finds
   every file, and needs CAP_CHECKPOINT_RESTORE; the second a program that was
   deleted; the last what a process has from before it called chroot, or in it:
   its paths are then from our root. */
static int open_file(pid_t pid, const struct mapping* m, const char* path) {
  char name[PATH_MAX + 64];
  int file;
  snprintf(name, sizeof(name), "/proc/%ld/map_files/%" PRIx64 "-%" PRIx64,
           (long)pid, m->start, m->end);
  if ((file = open_regular(name)) >= 0 || path == NULL) return file;
  snprintf(name, sizeof(name), "/proc/%ld/exe", (long)pid);
  if (is_program(name, path)) return open_regular(name);
  snprintf(name, sizeof(name), "/proc/%ld/root%s", (long)pid, path);
  return (file = open_regular(name)) >= 0 ? file : open_regular(path);
}

/* As it is before the program runs */
static bool is_initial(const char* p) {
  struct caml_heap_map table, initial = {
    .magic = CAML_HEAP_MAP_MAGIC, .version = CAML_HEAP_MAP_VERSION
  };
  memcpy(&table, p, sizeof(table));
  initial.n_mappings = table.n_mappings;
  return memcmp(&table, &initial, sizeof(table)) == 0;
}

static void add_place(struct places* places, uint64_t address) {
  if (places->n < N_PLACES) places->tables[places->n++] = address;
}

/* The tables in [buffer], which will be at [address] */
static void search_chunk(const char* buffer, size_t size, uint64_t address,
                         struct places* places) {
  const char* p = buffer;
  while ((p = memmem(p, size - (size_t)(p - buffer), CAML_HEAP_MAP_MAGIC,
                     sizeof(CAML_HEAP_MAP_MAGIC))) != NULL
         && size - (size_t)(p - buffer) >= sizeof(struct caml_heap_map)) {
    if (is_initial(p)) add_place(places, address + (uint64_t)(p - buffer));
    p++;
  }
}

bool heap_table_is_in(const char* data, size_t size) {
  struct places places = { .n = 0 };
  if (size > 0) search_chunk(data, size, 0, &places);
  return places.n > 0;
}

#define CHUNK ((size_t)1 << 20)
#define OVERLAP (sizeof(struct caml_heap_map) - 1)

/* Reads what the file has where [m] maps it, and [*left] bytes at most.  Is
   that all? */
static bool search_data(int file, const struct mapping* m, uint64_t* left,
                        struct places* places) {
  char* buffer = must(malloc(CHUNK + OVERLAP));
  uint64_t size = m->end - m->start, at = 0;
  ssize_t n = 1;
  for (; at < size && *left > 0; at += CHUNK) {
    size_t wanted = size - at < CHUNK + OVERLAP ? size - at : CHUNK + OVERLAP;
    n = pread(file, buffer, wanted, (off_t)(m->offset + at));
    if (n <= 0) break;
    search_chunk(buffer, (size_t)n, m->start + at, places);
    *left -= *left < (uint64_t)n ? *left : (uint64_t)n;
  }
  free(buffer);
  return n == 0 || at >= size;
}

/* The same, of programs and libraries only */
static bool search_file(int file, const struct mapping* m, uint64_t* left,
                        struct places* places) {
  char magic[SELFMAG];
  ssize_t n = pread(file, magic, sizeof(magic), 0);
  if (n < 0) return false;
  return n < SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0
    || search_data(file, m, left, places);
}

/* Is [m] data of the program or library [code]?  Linkers put it behind. */
static bool is_data_of(const struct mapping* m, const struct mapping* code) {
  return code != NULL && m->inode == code->inode
    && strcmp(m->device, code->device) == 0
    && m->perms[1] == 'w' && m->perms[3] == 'p';
}

/* The next data from [*i] on, and its code; NULL if there is no more */
static const struct mapping* next_data(const struct mappings* m, size_t* i,
                                       const struct mapping** code) {
  while (*i < m->length) {
    const struct mapping* this = &m->items[(*i)++];
    if (this->file && this->perms[2] == 'x') *code = this;
    if (is_data_of(this, *code)) return this;
  }
  return NULL;
}

/* FNV-1a, of words */
static uint64_t hash(uint64_t h, uint64_t word) {
  return (h ^ word) * 0x100000001b3;
}

/* Of which files there is data, and where: exec and dlopen change it. */
static uint64_t hash_data(const struct mappings* m) {
  const struct mapping *data, *code = NULL;
  uint64_t h = 0xcbf29ce484222325;
  for (size_t i = 0; (data = next_data(m, &i, &code)) != NULL; )
    h = hash(hash(hash(h, data->start), data->offset), data->inode);
  return h;
}

/* Bytes of files that are searched for one process, a second's work: programs
   have some MiB of data, the largest some hundred. */
#define SEARCH_MAX ((uint64_t)1 << 30)

/* Perhaps not by the next look */
static bool is_transient(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void find_places(pid_t pid, const struct mappings* m,
                        struct places* places) {
  const struct mapping *data, *code = NULL;
  uint64_t left = SEARCH_MAX, h = hash_data(m);
  if (places->hash == h) return;
  *places = (struct places){ .hash = h };
  for (size_t i = 0; (data = next_data(m, &i, &code)) != NULL; ) {
    int file = open_file(pid, data, code->path);
    if (file < 0 && is_transient(errno)) places->hash = 0;
    if (file < 0 || !search_file(file, data, &left, places))
      places->unread = true;
    if (file >= 0) close(file);
  }
}

static void add_range(struct ranges* r, uint64_t start, uint64_t end,
                      enum part part) {
  if (start >= end) return;
  if (r->length == r->room) {
    r->room = r->room == 0 ? 64 : 2 * r->room;
    r->items = must(realloc(r->items, r->room * sizeof(*r->items)));
  }
  r->items[r->length++] = (struct range){ start, end, part };
}

/* Data that no file has: zeroes, behind those that it has */

#define SEGMENTS_MAX 64
#define BSS_MAX ((uint64_t)1 << 20) /* of a file that cannot be read */

/* Where those of the data that is mapped at [m] end; 0 if there are none */
static uint64_t end_of_bss(int file, const struct mapping* m) {
  Elf64_Ehdr header;
  Elf64_Phdr all[SEGMENTS_MAX];
  ssize_t read;
  if (pread(file, &header, sizeof(header), 0) != sizeof(header)
      || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0
      || header.e_phentsize != sizeof(*all))
    return 0;
  read = pread(file, all, sizeof(all), (off_t)header.e_phoff);
  for (ssize_t i = 0; i < header.e_phnum
       && i < read / (ssize_t)sizeof(*all); i++) {
    const Elf64_Phdr* s = &all[i];
    if (s->p_type == PT_LOAD && (s->p_flags & PF_W)
        && s->p_offset < m->offset + (m->end - m->start)
        && s->p_offset + s->p_filesz > m->offset)
      return m->start + (s->p_offset - m->offset) + s->p_memsz;
  }
  return 0;
}

static uint64_t find_end_of_bss(pid_t pid, const struct mapping* data,
                                const char* path) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end;
  int file = open_file(pid, data, path);
  if (file < 0) return data->end + BSS_MAX;
  end = end_of_bss(file, data);
  close(file);
  return (end + page - 1) / page * page;
}

/* The kernel makes one mapping of them and of what lies behind. */
static void add_bss(pid_t pid, const struct mappings* m,
                    struct ranges* ranges) {
  const struct mapping *data, *code = NULL;
  for (size_t i = 0; (data = next_data(m, &i, &code)) != NULL; ) {
    const struct mapping* behind = &m->items[i];
    uint64_t end;
    if (i == m->length || behind->start != data->end || behind->file
        || behind->name[0] != '\0')
      continue;
    end = find_end_of_bss(pid, data, code->path);
    add_range(ranges, data->end, end < behind->end ? end : behind->end,
              PART_CODE);
  }
}

/* In the process */

/* All of it, or false */
static bool peek(pid_t pid, uint64_t address, void* to, size_t size) {
  struct iovec local = { to, size };
  struct iovec remote = { (void*)(uintptr_t)address, size };
  errno = 0;
  return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

#define MAPPINGS_MAX 65536u /* as many as a process may have: max_map_count */

static enum table read_table(pid_t pid, uint64_t address,
                             struct caml_heap_map* table) {
  if (!peek(pid, address, table, sizeof(*table)))
    return errno == EPERM ? TABLE_FORBIDDEN : TABLE_NONE;
  if (memcmp(table->magic, CAML_HEAP_MAP_MAGIC, sizeof(table->magic)) != 0
      || table->version != CAML_HEAP_MAP_VERSION
      || table->n_mappings > MAPPINGS_MAX)
    return TABLE_NONE;
  return table->self == address ? TABLE_FOUND
    : table->self == 0 ? TABLE_EMPTY : TABLE_NONE;
}

static enum table find_table(pid_t pid, const struct places* places,
                             struct caml_heap_map* table) {
  enum table best = places->unread ? TABLE_UNREAD : TABLE_NONE;
  for (unsigned i = 0; i < places->n && best != TABLE_FOUND; i++) {
    enum table t = read_table(pid, places->tables[i], table);
    if (t != TABLE_NONE) best = t;
  }
  return best;
}

static bool read_mappings(pid_t pid, const struct caml_heap_map* table,
                          unsigned used, struct ranges* ranges) {
  size_t size = used * sizeof(struct caml_heap_mapping);
  struct caml_heap_mapping* all = must(malloc(size + 1));
  bool read = size == 0 || peek(pid, table->mappings, all, size);
  for (unsigned i = 0; read && i < used; i++)
    add_range(ranges, all[i].start, all[i].start + all[i].size,
              PART_MAJOR_HEAP);
  free(all);
  return read;
}

/* More than there are shards in any runtime: the table may be anybody's. */
#define MOST_SHARDS 4096

/* Sums up the bytes in use. */
static bool read_in_use(pid_t pid, const struct caml_heap_map* table,
                        struct process_map* map) {
  size_t pools = 0, large = 0;
  if (table->n_in_use > MOST_SHARDS) return false;
  for (uint32_t i = 0; i < table->n_in_use; i++) {
    size_t shard[2];
    if (!peek(pid, table->in_use + (uint64_t)i * table->in_use_step, shard,
              sizeof(shard)))
      return false;
    pools += shard[0];
    large += shard[1];
  }
  map->pools = pools;
  map->large = large;
  return true;
}

/* A text of ASCII, whatever the process has there */
static void clean(char* text, size_t size) {
  text[size - 1] = '\0';
  for (; *text != '\0'; text++)
    if (*text < ' ' || *text > '~') *text = '?';
}

static bool read_limit(pid_t pid, const struct caml_heap_map* table,
                       struct process_map* map) {
  struct caml_memory_shown* limit = &map->limit;
  if (!peek(pid, table->limit, limit, sizeof(*limit))) return false;
  clean(limit->cgroup, sizeof(limit->cgroup));
  return true;
}

static bool follow_table(pid_t pid, const struct caml_heap_map* table,
                         struct ranges* ranges, struct process_map* map) {
  uintptr_t minor_start, minor_end;
  unsigned used, listed;
  if (!peek(pid, table->used, &used, sizeof(used))
      || !read_in_use(pid, table, map) || !read_limit(pid, table, map)
      || !peek(pid, table->minor_start, &minor_start, sizeof(minor_start))
      || !peek(pid, table->minor_end, &minor_end, sizeof(minor_end)))
    return false;
  listed = used < table->n_mappings ? used : table->n_mappings;
  if (!read_mappings(pid, table, listed, ranges)) return false;
  add_range(ranges, minor_start, minor_end, PART_MINOR_HEAPS);
  map->unlisted = used - listed;
  return true;
}

static int by_start(const void* a, const void* b) {
  const struct range* x = a;
  const struct range* y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts, and cuts off what overlaps the one before. */
static void put_in_order(struct ranges* r) {
  size_t n = 0;
  if (r->length == 0) return;
  qsort(r->items, r->length, sizeof(*r->items), by_start);
  for (size_t i = 1; i < r->length; i++) {
    struct range* last = &r->items[n];
    struct range next = r->items[i];
    if (next.start < last->end) next.start = last->end;
    if (next.start >= next.end) continue;
    if (next.start == last->end && next.part == last->part)
      last->end = next.end;
    else r->items[++n] = next;
  }
  r->length = n + 1;
}

enum table heap_table_read(pid_t pid, const struct mappings* m,
                           struct places* places, struct ranges* ranges,
                           struct process_map* map) {
  struct caml_heap_map table;
  enum table found;
  find_places(pid, m, places);
  found = find_table(pid, places, &table);
  if (found == TABLE_FOUND && !follow_table(pid, &table, ranges, map)) {
    ranges->length = 0;
    memset(map, 0, sizeof(*map)); /* part of it may have been read */
    found = TABLE_NONE;
  }
  add_bss(pid, m, ranges);
  put_in_order(ranges);
  return found;
}
