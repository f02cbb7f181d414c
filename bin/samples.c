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


#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "descendants.h"
#include "samples.h"
#include "tool.h"

struct processes {
  struct process* items;
  size_t length, room;
};

/* The second field of stat may hold anything but is in (); the fourth is the
   parent, the 22nd when it started. */
static void read_stat(struct process* p) {
  char path[64], text[4096], *after;
  long parent;
  FILE* f;
  size_t n;
  snprintf(path, sizeof(path), "/proc/%ld/stat", (long)p->pid);
  f = fopen(path, "r");
  if (f == NULL) return;
  n = fread(text, 1, sizeof(text) - 1, f);
  text[n] = '\0';
  after = strrchr(text, ')');
  if (after != NULL
      && sscanf(after + 1, " %*c %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                "%*s %*s %*s %*s %*s %*s %*s %" SCNu64,
                &parent, &p->start) == 2)
    p->parent = (pid_t)parent;
  fclose(f);
}

/* False if there is no memory */
static bool add(struct processes* p, pid_t pid) {
  struct process process = { .pid = pid };
  if (p->length == p->room) {
    size_t room = p->room == 0 ? 256 : 2 * p->room;
    struct process* items = realloc(p->items, room * sizeof(*items));
    if (items == NULL) return false;
    p->items = items;
    p->room = room;
  }
  read_stat(&process);
  p->items[p->length++] = process;
  return true;
}

/* False if they cannot be listed */
static bool list(struct processes* p) {
  DIR* proc = opendir("/proc");
  struct dirent* entry;
  bool all = proc != NULL;
  while (all && (entry = readdir(proc)) != NULL) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid > 0) all = add(p, pid);
  }
  if (proc != NULL) closedir(proc);
  return all;
}

static bool is_older(const struct process* p, const struct process* than) {
  return p->start < than->start
    || (p->start == than->start && p->pid < than->pid);
}

bool is_from_before(pid_t pid, pid_t program) {
  struct process a = { .pid = pid }, b = { .pid = program };
  read_stat(&a);
  read_stat(&b);
  return is_older(&a, &b);
}

static void disown(struct processes* p, pid_t pid) {
  struct process program = { .pid = pid };
  for (size_t i = 0; i < p->length; i++)
    if (p->items[i].pid == pid) program = p->items[i];
  for (size_t i = 0; i < p->length; i++) {
    struct process* child = &p->items[i];
    if (child->parent == getpid() && is_older(child, &program))
      child->parent = 0;
  }
}

static int by_pid(const void* a, const void* b) {
  const struct look* x = a;
  const struct look* y = b;
  return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* What is known of the process from the last sample */
static struct look known(const struct samples* samples,
                         const struct process* process) {
  struct look new = { .pid = process->pid, .start = process->start };
  const struct look* old = samples->n_looks == 0 ? NULL
    : bsearch(&new, samples->looks, samples->n_looks, sizeof(new), by_pid);
  return old != NULL && old->start == new.start ? *old : new;
}

/* Makes the looks of this sample out of those of the last; false if there is
   no memory. */
static bool renew_looks(struct samples* samples, struct processes* all,
                        pid_t program) {
  struct process* found = malloc(all->length * sizeof(*found));
  struct look* looks;
  size_t n;
  if (found == NULL) return false;
  disown(all, program);
  n = descendants(all->items, all->length, getpid(), found);
  looks = malloc((n + 1) * sizeof(*looks));
  for (size_t i = 0; looks != NULL && i < n; i++)
    looks[i] = known(samples, &found[i]);
  free(found);
  if (looks == NULL) return false;
  qsort(looks, n, sizeof(*looks), by_pid);
  free(samples->looks);
  samples->looks = looks;
  samples->n_looks = n;
  return true;
}

static void add_look(struct sample* s, const struct look* l) {
  const struct part_size* heap = &l->map.parts[PART_MAJOR_HEAP];
  uint64_t in_use = l->map.pools + l->map.large;
  if (l->error != 0) {
    s->unread += l->error != ESRCH && l->error != ENODATA;
    return;
  }
  s->processes++;
  s->on_jemalloc += l->map.table == TABLE_FOUND;
  s->pss += l->map.total.pss;
  s->in_use += in_use;
  s->free += heap->rss > in_use ? heap->rss - in_use : 0;
  s->muzzy += heap->lazy_free;
}

static void append(struct samples* samples, const struct sample* s) {
  if (samples->length == samples->room) {
    size_t room = samples->room == 0 ? 1024 : 2 * samples->room;
    struct sample* items = realloc(samples->items, room * sizeof(*items));
    if (items == NULL) return;
    samples->items = items;
    samples->room = room;
  }
  samples->items[samples->length++] = *s;
}

void samples_take(struct samples* samples, pid_t program, double seconds) {
  struct sample s = { .seconds = seconds };
  struct processes all = { NULL, 0, 0 };
  bool found = list(&all) && renew_looks(samples, &all, program);
  free(all.items);
  if (!found) return;
  look(samples->looks, samples->n_looks, LOOK_SECONDS);
  for (size_t i = 0; i < samples->n_looks; i++)
    add_look(&s, &samples->looks[i]);
  if (s.processes + s.unread > 0) append(samples, &s);
}

void samples_free(struct samples* samples) {
  free(samples->items);
  free(samples->looks);
}

void samples_print(const struct samples* samples, FILE* out) {
  fputs("seconds\tprocesses\tpss_mib\tin_use_mib\tfree_mib\tmuzzy_mib\n",
        out);
  for (size_t i = 0; i < samples->length; i++) {
    const struct sample* s = &samples->items[i];
    fprintf(out, "%.3f\t%u\t%.2f\t%.2f\t%.2f\t%.2f\n", s->seconds,
            s->processes, (double)s->pss / MIB, (double)s->in_use / MIB,
            (double)s->free / MIB, (double)s->muzzy / MIB);
  }
}

int samples_write(const struct samples* samples, const char* path) {
  FILE* f = fopen(path, "w");
  int error;
  if (f == NULL) return errno;
  samples_print(samples, f);
  error = ferror(f) ? EIO : 0;
  return fclose(f) == 0 ? error : errno;
}
