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

/* hostile HOW: a process that the tool looks at, and that does not mean well.
   Says "ready", or why it cannot do that, and waits for its input to end. */

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "heap_map.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define LENGTH 65536 /* the most mappings that a table may have */
#define PAGE ((size_t)65536) /* or several */
#define MIB ((size_t)1 << 20)
#define TIB ((size_t)1 << 40)

/* Found as the runtime's is */
struct caml_heap_map caml_heap_map = {
  .magic = CAML_HEAP_MAP_MAGIC,
  .version = CAML_HEAP_MAP_VERSION,
  .n_mappings = LENGTH,
};

/* Initialised data that is never touched */
static char data[64 << 20] __attribute__((used)) = { 1 };

static void must(const char* what, int failed) {
  if (!failed) return;
  printf("%s: %s\n", what, strerror(errno));
  exit(EXIT_FAILURE);
}

static void* map(size_t size, int prot, int file) {
  void* p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_NORESERVE
                 | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
  must("mmap", p == MAP_FAILED);
  return p;
}

static uint64_t address(const void* p) {
  return (uint64_t)(uintptr_t)p;
}

/* A file as large as it was, mapped as a program that edits it would */
static void map_file(const char* path) {
  int file = open(path, O_RDWR);
  struct stat s;
  must(path, file < 0 || fstat(file, &s) != 0);
  map((size_t)s.st_size, PROT_READ | PROT_WRITE, file);
}

static struct caml_heap_mapping mappings[LENGTH];
static unsigned used = LENGTH;
static size_t bytes[2] = { SIZE_MAX, SIZE_MAX };
static struct caml_memory_shown limit = { .setting = 1, .process = 1 };

static void publish(const unsigned* where) {
  memset(limit.cgroup, 27, sizeof(limit.cgroup)); /* escape, without an end */
  caml_heap_map.mappings = address(mappings);
  caml_heap_map.used = address(where);
  caml_heap_map.in_use = address(bytes);
  caml_heap_map.n_in_use = 1;
  caml_heap_map.limit = address(&limit);
  caml_heap_map.minor_start = caml_heap_map.minor_end = address(&bytes);
  caml_heap_map.self = address(&caml_heap_map);
}

/* A table whose mappings overlap, end before they begin, and lie in one TiB of
   which a page is there */
static void forge(void) {
  char* tib = map(TIB, PROT_READ | PROT_WRITE, -1);
  tib[TIB / 2] = 1;
  for (uint64_t i = 0; i < LENGTH; i++)
    mappings[i] = (struct caml_heap_mapping){
      .start = address(tib) + i * (TIB / LENGTH),
      .size = i % 3 == 0 ? UINT64_MAX : 4096 * (i % 99)
    };
  publish(&used);
}

/* A table that leads to a page that never comes */
static void lead_astray(void) {
  unsigned* page = map(4096, PROT_READ | PROT_WRITE, -1);
  int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = { .api = UFFD_API };
  struct uffdio_register all = {
    .range = { address(page), 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING
  };
  must("userfaultfd", file < 0 || ioctl(file, UFFDIO_API, &api) != 0
       || ioctl(file, UFFDIO_REGISTER, &all) != 0);
  publish(page);
}

/* Bytes before a path in smaps: the kernel's show_vma_header_prefix */
#define COLUMN (25 + 6 * sizeof(void*))

/* Makes the directory and goes there.  Returns the length of its path. */
static size_t enter(size_t length, const char* name) {
  must(name, (mkdir(name, 0700) != 0 && errno != EEXIST) || chdir(name) != 0);
  return length + 1 + strlen(name);
}

/* Maps a file whose name in smaps is longer than 4,095 bytes, and reads as the
   heading of a mapping of 16 TiB from there on */
static void map_long_path(void) {
  static const char heading[] =
    "100000000000-200000000000 rw-p 00000000 00:00 0 ";
  char name[256], start[4096];
  size_t wanted = 4095 - COLUMN, length;
  int file;
  must("getcwd", getcwd(start, sizeof(start)) == NULL);
  length = strlen(start);
  while (length < wanted) {
    size_t left = wanted - length - 1; /* without the slash */
    size_t n = left > 400 ? 200 : left > 200 ? left / 2 : left;
    memset(name, 'x', n);
    strcpy(name + n, n == left ? heading : "");
    length = enter(length, name);
  }
  file = open("file", O_CREAT | O_RDWR, 0600);
  must("file", file < 0 || ftruncate(file, MIB) != 0);
  map(MIB, PROT_READ | PROT_WRITE, file);
}

/* Two of malloc's arenas: what is left of the first is small as a guard. */
static void map_arenas(void) {
  size_t arena = 64 * MIB;
  char* p = map(3 * arena, PROT_NONE, -1);
  p += arena - address(p) % arena;
  must("mprotect", mprotect(p, arena - 4096, PROT_READ | PROT_WRITE) != 0
       || mprotect(p + arena, MIB, PROT_READ | PROT_WRITE) != 0);
}

/* As glibc names them, with glibc.mem.decorate_maps */
static void map_named(size_t size, const char* name) {
  void* p = map(size, PROT_READ | PROT_WRITE, -1);
  must("PR_SET_VMA", prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, size, name));
}

/* A program with a page of data and one of zeroes behind it, and memory that the
   kernel makes one mapping of with these */
static void map_program(void) {
  Elf64_Ehdr header = {
    .e_ident = ELFMAG, .e_phoff = sizeof(header), .e_phnum = 1,
    .e_phentsize = sizeof(Elf64_Phdr)
  };
  Elf64_Phdr all = {
    .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = PAGE,
    .p_vaddr = PAGE, .p_filesz = PAGE, .p_memsz = 2 * PAGE
  };
  int file = open("program", O_CREAT | O_RDWR, 0600);
  char* p = map(2 * PAGE + 256 * MIB, PROT_READ | PROT_WRITE, -1);
  must("program", file < 0 || ftruncate(file, 2 * PAGE) != 0
       || write(file, &header, sizeof(header)) < 0
       || write(file, &all, sizeof(all)) < 0
       || mmap(p, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file,
               0) == MAP_FAILED
       || mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
               file, PAGE) == MAP_FAILED);
}

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "";
  if (strcmp(how, "file") == 0) map_file("large");
  else if (strcmp(how, "forged") == 0) forge();
  else if (strcmp(how, "astray") == 0) lead_astray();
  else if (strcmp(how, "path") == 0) map_long_path();
  else if (strcmp(how, "arenas") == 0) map_arenas();
  else if (strcmp(how, "names") == 0) {
    map_named(128 * MIB, " glibc: malloc arena");
    map_named(256 * MIB, " glibc: pthread stack: 123");
  }
  else if (strcmp(how, "program") == 0) map_program();
  else if (strcmp(how, "name") == 0) prctl(PR_SET_NAME, ") S 1\n2 (");
  else if (strcmp(how, "protected") == 0) prctl(PR_SET_DUMPABLE, 0);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) continue;
  return EXIT_SUCCESS;
}
