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


#define _GNU_SOURCE /* getline */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mappings.h"

/* Programs and libraries of one process: more than any has */
#define PATHS_MAX 4096

void* must(void* p) {
  if (p == NULL) _exit(EXIT_FAILURE);
  return p;
}

static struct mapping* add_mapping(struct mappings* m) {
  if (m->length == m->room) {
    m->room = m->room == 0 ? 256 : 2 * m->room;
    m->items = must(realloc(m->items, m->room * sizeof(*m->items)));
  }
  return memset(&m->items[m->length++], 0, sizeof(*m->items));
}

/* Newlines: smaps has \012 for each. */
static void unescape(char* path) {
  while ((path = strstr(path, "\\012")) != NULL) {
    *path++ = '\n';
    memmove(path, path + 3, strlen(path + 3) + 1);
  }
}

/* What is longer cannot be opened. */
static char* copy_path(struct mappings* m, const char* path) {
  char* copy;
  if (m->paths == PATHS_MAX || strlen(path) >= PATH_MAX) return NULL;
  m->paths++;
  copy = must(strdup(path));
  unescape(copy);
  return copy;
}

static bool read_heading(const char* line, struct mappings* m) {
  struct mapping one = { 0 };
  int name = 0;
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %15s %" SCNu64
             " %n%31[^\n]", &one.start, &one.end, one.perms, &one.offset,
             one.device, &one.inode, &name, one.name) < 6
      || one.end <= one.start)
    return false;
  one.file = one.inode != 0;
  one.size.mappings = 1;
  one.size.size = one.end - one.start;
  if (one.file && one.perms[2] == 'x') one.path = copy_path(m, line + name);
  *add_mapping(m) = one;
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

/* A line is as long as a path, and a path may be longer than PATH_MAX. */
static int read_lines(FILE* f, struct mappings* m) {
  char* line = NULL;
  size_t room = 0;
  ssize_t length;
  while ((length = getline(&line, &room, f)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    if (!read_heading(line, m) && m->length > 0)
      read_field(line, &m->items[m->length - 1].size);
  }
  free(line);
  return ferror(f) ? errno : m->length == 0 ? ENODATA : 0;
}

int mappings_read(pid_t pid, struct mappings* m) {
  char path[64];
  FILE* f;
  int error;
  snprintf(path, sizeof(path), "/proc/%ld/smaps", (long)pid);
  f = fopen(path, "r");
  if (f == NULL) {
    error = errno;
    return kill(pid, 0) != 0 && errno == ESRCH ? ESRCH : error;
  }
  error = read_lines(f, m);
  fclose(f);
  return error;
}

void mappings_free(struct mappings* m) {
  for (size_t i = 0; i < m->length; i++) free(m->items[i].path);
  free(m->items);
}
