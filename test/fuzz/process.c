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

/* libFuzzer: map PID, of a process that has anything in its memory: the input
   is its smaps, a byte of 0, a byte of flags, and what there is from MEMORY on.
   Its files are all the same one, in which there is a table. */

#define _GNU_SOURCE /* memfd_create, process_vm_readv */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include "heap_map.h"
#include "process_map.h"

#define PID 7777777 /* larger than the kernel gives */
#define FOLDER "/proc/7777777/"

#define MEMORY ((uint64_t)0x11000)
#define TABLE 64 /* where it is in the file, and behind MEMORY */
#define SEGMENTS 1024 /* the same of those in the file */

enum flag {
  FLAG_VALID = 1, /* the table is made to look like one */
  FLAG_NEAR = 2,  /* what it points to is there, and what that points to */
  FLAG_NO_FILES = 4, FLAG_NO_PAGEMAP = 8, FLAG_FORBIDDEN = 16
};

static const char* smaps;
static size_t smaps_size;
static unsigned flags;
static uint8_t* memory;
static size_t memory_size;
static char file[64], pagemap[64]; /* paths */

/* The kernel, for that process */

FILE* __real_fopen(const char* path, const char* mode);
FILE* __wrap_fopen(const char* path, const char* mode);
int __real_open(const char* path, int how, ...);
int __wrap_open(const char* path, int how, ...);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec* local,
                                unsigned long n_local,
                                const struct iovec* remote,
                                unsigned long n_remote, unsigned long how);

FILE* __wrap_fopen(const char* path, const char* mode) {
  if (strcmp(path, FOLDER "smaps") == 0)
    return fmemopen((void*)smaps, smaps_size, mode);
  return __real_fopen(path, mode);
}

static int refuse(void) {
  errno = EACCES;
  return -1;
}

int __wrap_open(const char* path, int how, ...) {
  mode_t mode = 0;
  if (how & O_CREAT) {
    va_list arguments;
    va_start(arguments, how);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  if (strncmp(path, FOLDER, strlen(FOLDER)) != 0)
    return __real_open(path, how, mode);
  if (strcmp(path, FOLDER "pagemap") == 0)
    return flags & FLAG_NO_PAGEMAP ? refuse() : __real_open(pagemap, how);
  return flags & FLAG_NO_FILES ? refuse() : __real_open(file, how);
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec* local,
                                unsigned long n_local,
                                const struct iovec* remote,
                                unsigned long n_remote, unsigned long how) {
  uint64_t at = (uint64_t)(uintptr_t)remote->iov_base - MEMORY;
  size_t size = remote->iov_len;
  if (pid != PID || n_local != 1 || n_remote != 1 || how != 0) abort();
  errno = flags & FLAG_FORBIDDEN ? EPERM : EFAULT;
  if (flags & FLAG_FORBIDDEN || at >= memory_size) return -1;
  if (size > memory_size - at) size = memory_size - at;
  memcpy(local->iov_base, memory + at, size);
  return (ssize_t)size;
}

/* The input */

static void make_valid(struct caml_heap_map* table) {
  memcpy(table->magic, CAML_HEAP_MAP_MAGIC, sizeof(table->magic));
  table->version = CAML_HEAP_MAP_VERSION;
  table->n_mappings %= 100000;
  table->self = MEMORY + TABLE;
}

/* An address that the mappings of smaps may have */
static void bring_near(uint64_t* address) {
  *address = *address % 0x80000;
}

static void make_near(struct caml_heap_map* table) {
  struct caml_heap_mapping* mappings;
  table->n_mappings %= 16;
  table->n_in_use %= 64;
  table->in_use_step %= 32;
  table->used = MEMORY + 256;
  table->minor_start = MEMORY + 264;
  table->minor_end = MEMORY + 272;
  table->in_use = MEMORY + 512;
  table->mappings = MEMORY + 3072;
  table->limit = MEMORY + 3328;
  bring_near((uint64_t*)(memory + 264));
  bring_near((uint64_t*)(memory + 272));
  mappings = (struct caml_heap_mapping*)(memory + 3072);
  for (int i = 0; i < 16; i++) {
    bring_near(&mappings[i].start);
    mappings[i].size %= 0x20000;
  }
}

static void take_input(const uint8_t* data, size_t size) {
  const uint8_t* end = size == 0 ? NULL : memchr(data, 0, size);
  size_t rest;
  smaps = (const char*)data;
  smaps_size = end == NULL ? size : (size_t)(end - data);
  rest = size - smaps_size;
  flags = rest > 1 ? end[1] : 0;
  rest = rest > 2 ? rest - 2 : 0;
  memory_size = rest + 4096;
  memory = calloc(1, memory_size);
  if (memory == NULL) abort();
  if (rest > 0) memcpy(memory + TABLE, end + 2, rest);
  if (flags & FLAG_VALID) make_valid((struct caml_heap_map*)(memory + TABLE));
  if (flags & FLAG_NEAR) make_near((struct caml_heap_map*)(memory + TABLE));
}

/* What is printed of it */

static void check_limit(const struct caml_memory_shown* limit) {
  const char* end = memchr(limit->cgroup, '\0', sizeof(limit->cgroup));
  if (end == NULL) abort();
  for (const char* p = limit->cgroup; p < end; p++)
    if (*p < ' ' || *p > '~') abort();
}

/* The parts are the whole; without a table nothing is known of the heap. */
static void check_map(const struct process_map* map) {
  unsigned mappings = 0;
  uint64_t size = 0;
  for (int i = 0; i < N_PARTS; i++) {
    mappings += map->parts[i].mappings;
    size += map->parts[i].size;
  }
  if (mappings != map->total.mappings || size != map->total.size) abort();
  if (map->pools > size || map->large > size) abort();
  check_limit(&map->limit);
  if (map->table != TABLE_FOUND
      && (map->pools != 0 || map->large != 0 || map->unlisted != 0
          || map->limit.setting != 0 || map->limit.process != 0
          || map->limit.cgroup[0] != '\0'))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  struct places places = { .n = 0 };
  struct process_map map;
  take_input(data, size);
  for (int i = 0; i < 2; i++)
    if (process_map_read(PID, &places, &map) == 0) check_map(&map);
  free(memory);
  return 0;
}

static void make_file(char* path, const char* name, const void* contents,
                      size_t size) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || write(fd, contents, size) != (ssize_t)size) abort();
  snprintf(path, sizeof(file), "/proc/self/fd/%d", fd);
}

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static char program[4096];
  static uint64_t pages[4096];
  Elf64_Ehdr header = {
    .e_ident = ELFMAG, .e_phoff = SEGMENTS, .e_phnum = 1,
    .e_phentsize = sizeof(Elf64_Phdr)
  };
  Elf64_Phdr data = {
    .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_filesz = 4096,
    .p_memsz = 3 * 4096
  };
  struct caml_heap_map table = {
    .magic = CAML_HEAP_MAP_MAGIC, .version = CAML_HEAP_MAP_VERSION,
    .n_mappings = 1000
  };
  (void)argc;
  (void)argv;
  memcpy(program, &header, sizeof(header));
  memcpy(program + TABLE, &table, sizeof(table));
  memcpy(program + SEGMENTS, &data, sizeof(data));
  for (size_t i = 0; i < 4096; i += 3) pages[i] = (uint64_t)1 << 63;
  make_file(file, "program", program, sizeof(program));
  make_file(pagemap, "pagemap", pages, sizeof(pages));
  return 0;
}
