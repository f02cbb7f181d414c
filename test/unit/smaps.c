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

#define _GNU_SOURCE /* mincore */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "smaps.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static FILE* open_or_die(const char* path) {
  FILE* f = fopen(path, "r");
  if (f == NULL) {
    perror(path);
    abort();
  }
  return f;
}

/* In KiB there */
static size_t status(const char* format) {
  FILE* f = open_or_die("/proc/self/status");
  char line[256];
  size_t kib = 0;
  while (fgets(line, sizeof(line), f))
    if (sscanf(line, format, &kib) == 1) break;
  fclose(f);
  return kib * 1024;
}

size_t smaps_rss(void) {
  return status("VmRSS: %zu kB");
}

size_t smaps_size(void) {
  return status("VmSize: %zu kB");
}

/* Reads on to the line that starts the mapping of [address]. */
static bool find_mapping(FILE* f, const void* address, char* line, int size) {
  uintptr_t first, end;
  while (fgets(line, size, f))
    if (sscanf(line, "%lx-%lx ", &first, &end) == 2
        && first <= (uintptr_t)address && (uintptr_t)address < end)
      return true;
  return false;
}

bool smaps_is_mapped(const void* address) {
  FILE* f = open_or_die("/proc/self/smaps");
  char line[512];
  bool found = find_mapping(f, address, line, sizeof(line));
  fclose(f);
  return found;
}

size_t smaps_field(const void* address, const char* name) {
  FILE* f = open_or_die("/proc/self/smaps");
  char line[512];
  size_t kib = 0, length = strlen(name);
  if (find_mapping(f, address, line, sizeof(line)))
    while (fgets(line, sizeof(line), f))
      if (strncmp(line, name, length) == 0) {
        kib = strtoul(line + length, NULL, 10);
        break;
      }
  fclose(f);
  return kib * 1024;
}

bool smaps_has_name(const void* address, const char* name) {
  FILE* f = open_or_die("/proc/self/smaps");
  char line[512];
  bool found = find_mapping(f, address, line, sizeof(line))
    && strstr(line, name) != NULL;
  fclose(f);
  return found;
}

bool smaps_has_flag(const void* address, const char* flag) {
  FILE* f = open_or_die("/proc/self/smaps");
  char line[512];
  bool found = false;
  if (find_mapping(f, address, line, sizeof(line))) {
    while (fgets(line, sizeof(line), f)
           && strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
      continue;
    for (char* s = strtok(line, " \n"); s != NULL; s = strtok(NULL, " \n"))
      if (strcmp(s, flag) == 0) found = true;
  }
  fclose(f);
  return found;
}

size_t smaps_mappings(const void* address, size_t size) {
  FILE* f = open_or_die("/proc/self/maps");
  uintptr_t first, end, start = (uintptr_t)address;
  char line[512];
  size_t n = 0;
  while (fgets(line, sizeof(line), f))
    if (sscanf(line, "%lx-%lx ", &first, &end) == 2
        && first < start + size && start < end)
      n++;
  fclose(f);
  return n;
}

size_t smaps_resident(const void* address, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = (uintptr_t)address & -page;
  size_t n = ((uintptr_t)address + size - start + page - 1) / page;
  size_t resident = 0;
  unsigned char* there = malloc(n);
  if (there == NULL || mincore((void*)start, n * page, there) != 0) abort();
  for (size_t i = 0; i < n; i++) resident += there[i] & 1;
  free(there);
  return resident * page;
}

bool smaps_can_populate(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void* p = mmap(NULL, page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  bool can = p != MAP_FAILED && madvise(p, page, MADV_POPULATE_WRITE) == 0;
  if (p != MAP_FAILED) munmap(p, page);
  return can;
}
