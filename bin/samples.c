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


#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "process_map.h"
#include "samples.h"
#include "tool.h"

struct process {
  pid_t pid, parent;
  bool ours;
};

struct processes {
  struct process* items;
  size_t length, room;
};

/* The fourth field of stat; the second may hold anything but is in (). */
static pid_t parent_of(pid_t pid) {
  char path[64], line[512], *after;
  long parent = 0;
  FILE* f;
  snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
  f = fopen(path, "r");
  if (f == NULL) return 0;
  if (fgets(line, sizeof(line), f) != NULL
      && (after = strrchr(line, ')')) != NULL
      && sscanf(after + 1, " %*c %ld", &parent) != 1)
    parent = 0;
  fclose(f);
  return (pid_t)parent;
}

static void add(struct processes* p, pid_t pid) {
  if (p->length == p->room) {
    p->room = p->room == 0 ? 256 : 2 * p->room;
    p->items = realloc(p->items, p->room * sizeof(*p->items));
    if (p->items == NULL) fail("no memory");
  }
  p->items[p->length++] = (struct process){ pid, parent_of(pid), false };
}

static void list(struct processes* p) {
  DIR* proc = opendir("/proc");
  struct dirent* entry;
  if (proc == NULL) fail("/proc: %s", strerror(errno));
  while ((entry = readdir(proc)) != NULL) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid > 0) add(p, pid);
  }
  closedir(proc);
}

static bool is_ours(const struct processes* p, pid_t pid) {
  for (size_t i = 0; i < p->length; i++)
    if (p->items[i].ours && p->items[i].pid == pid) return true;
  return false;
}

/* The descendants: until nothing is added, since children may be listed before
   their parents. */
static void choose(struct processes* p, pid_t root) {
  bool changed = true;
  for (size_t i = 0; i < p->length; i++)
    if (p->items[i].pid == root) p->items[i].ours = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < p->length; i++) {
      if (!p->items[i].ours && is_ours(p, p->items[i].parent))
        p->items[i].ours = changed = true;
    }
  }
}

static void add_process(struct sample* s, pid_t pid) {
  /* Forked processes have it at the same place */
  static uint64_t table;
  struct process_map map;
  const struct part_size* heap = &map.parts[PART_MAJOR_HEAP];
  uint64_t in_use;
  if (process_map_read(pid, &table, &map) != 0) return;
  in_use = map.pools + map.large;
  s->processes++;
  s->pss += map.total.pss;
  s->in_use += in_use;
  s->free += heap->rss > in_use ? heap->rss - in_use : 0;
  s->muzzy += heap->lazy_free;
}

void samples_take(struct samples* samples, pid_t root, double seconds) {
  struct processes p = { NULL, 0, 0 };
  struct sample s = { .seconds = seconds };
  list(&p);
  choose(&p, root);
  for (size_t i = 0; i < p.length; i++)
    if (p.items[i].ours) add_process(&s, p.items[i].pid);
  free(p.items);
  if (s.processes == 0) return;
  if (samples->length == samples->room) {
    samples->room = samples->room == 0 ? 1024 : 2 * samples->room;
    samples->items =
      realloc(samples->items, samples->room * sizeof(*samples->items));
    if (samples->items == NULL) fail("no memory");
  }
  samples->items[samples->length++] = s;
}

#define MIB (1024. * 1024.)

int samples_write(const struct samples* samples, const char* path) {
  FILE* f = fopen(path, "w");
  int error;
  if (f == NULL) return errno;
  fputs("seconds\tprocesses\tpss_mib\tin_use_mib\tfree_mib\tmuzzy_mib\n", f);
  for (size_t i = 0; i < samples->length; i++) {
    const struct sample* s = &samples->items[i];
    fprintf(f, "%.3f\t%u\t%.2f\t%.2f\t%.2f\t%.2f\n", s->seconds,
            s->processes, (double)s->pss / MIB, (double)s->in_use / MIB,
            (double)s->free / MIB, (double)s->muzzy / MIB);
  }
  error = ferror(f) ? EIO : 0;
  return fclose(f) == 0 ? error : errno;
}
