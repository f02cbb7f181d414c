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


/* runtime-jemalloc map: a table or JSON, once or again and again */

#define _GNU_SOURCE /* ppoll */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include "look.h"
#include "text.h"
#include "tool.h"

static void print_row(const char* name, const struct part_size* s) {
  printf("%-12s %8u %12llu %12llu %12llu %12llu %12llu\n", name, s->mappings,
         (unsigned long long)s->size >> 10, (unsigned long long)s->rss >> 10,
         (unsigned long long)s->pss >> 10, (unsigned long long)s->huge >> 10,
         (unsigned long long)s->lazy_free >> 10);
}

static void print_table(pid_t pid, const struct process_map* map) {
  bool on_jemalloc = map->table == TABLE_FOUND;
  (void)pid;
  printf("%-12s %8s %12s %12s %12s %12s %12s\n", "part, in KiB", "mappings",
         "size", "RSS", "PSS", "huge pages", "LazyFree");
  for (int i = 0; i < N_PARTS; i++)
    if (on_jemalloc || (i != PART_MAJOR_HEAP && i != PART_MINOR_HEAPS))
      print_row(part_name(i, on_jemalloc), &map->parts[i]);
  print_row("total", &map->total);
  if (on_jemalloc)
    printf("in use: %llu in pools, %llu in large blocks\n",
           (unsigned long long)map->pools >> 10,
           (unsigned long long)map->large >> 10);
  if (map->unlisted > 0)
    printf("%u mappings of the major heap are counted under C heap\n",
           map->unlisted);
}

static cJSON* json_of(const struct part_size* s) {
  cJSON* object = cJSON_CreateObject();
  cJSON_AddNumberToObject(object, "mappings", s->mappings);
  cJSON_AddNumberToObject(object, "size", (double)s->size);
  cJSON_AddNumberToObject(object, "rss", (double)s->rss);
  cJSON_AddNumberToObject(object, "pss", (double)s->pss);
  cJSON_AddNumberToObject(object, "huge_pages", (double)s->huge);
  cJSON_AddNumberToObject(object, "lazy_free", (double)s->lazy_free);
  return object;
}

static void print_json(pid_t pid, const struct process_map* map) {
  bool on_jemalloc = map->table == TABLE_FOUND;
  cJSON* object = cJSON_CreateObject();
  cJSON* parts = cJSON_CreateObject();
  cJSON_AddNumberToObject(object, "pid", pid);
  cJSON_AddBoolToObject(object, "on_runtime_jemalloc", on_jemalloc);
  for (int i = 0; i < N_PARTS; i++)
    if (on_jemalloc || (i != PART_MAJOR_HEAP && i != PART_MINOR_HEAPS))
      cJSON_AddItemToObject(parts, part_name(i, on_jemalloc),
                            json_of(&map->parts[i]));
  cJSON_AddItemToObject(object, "parts", parts);
  cJSON_AddItemToObject(object, "total", json_of(&map->total));
  if (on_jemalloc) {
    cJSON_AddNumberToObject(object, "pools", (double)map->pools);
    cJSON_AddNumberToObject(object, "large_blocks", (double)map->large);
    cJSON_AddNumberToObject(object, "unlisted_mappings", map->unlisted);
  }
  put_json(stdout, object, false);
}

/* One line on stderr, if the heaps of the process are one part */
static void say_why(pid_t pid, enum table table) {
  static const char* const why[] = {
    [TABLE_NONE] = "is not on this runtime",
    [TABLE_UNREAD] = ("runs files that may not be read, and may be on this "
                      "runtime"),
    [TABLE_FORBIDDEN] = "is on this runtime, but its memory may not be read",
    [TABLE_EMPTY] = "is on this runtime, but has no heap yet",
  };
  if (table != TABLE_FOUND)
    complain("process %ld %s: its heaps are one part", (long)pid, why[table]);
}

/* A pidfd, or -1; none of the standard files, of which some may be closed */
static int hold(pid_t pid) {
  int low = (int)syscall(SYS_pidfd_open, pid, 0);
  int process = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (low >= 0) close(low);
  return process;
}

/* Does [process], a pidfd, end within so long?  -1: it is not known. */
static bool ends(int process, double seconds) {
  struct pollfd p = { .fd = process, .events = POLLIN };
  struct timespec t = timespec_of(seconds);
  return ppoll(&p, 1, &t, NULL) > 0;
}

typedef void printer(pid_t, const struct process_map*);

struct options {
  printer* print;
  double watch, limit; /* seconds; no watch: 0 */
  pid_t pid;
};

/* Ends when the process does. */
static void watch(struct look* l, int process, const struct options* o) {
  while (!ends(process, o->watch)) {
    look(l, 1, o->limit);
    if (l->error == ESRCH || l->error == ENODATA) break;
    if (l->error != 0) look_failed(l, o->limit);
    if (o->print == print_table) putchar('\n');
    o->print(l->pid, &l->map);
    flush_output();
  }
}

static void parse(int argc, char** argv, struct options* o) {
  static const struct option options[] = {
    { "json", no_argument, NULL, OPTION_JSON },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "watch", required_argument, NULL, OPTION_WATCH },
    { NULL, 0, NULL, 0 }
  };
  int c;
  while ((c = next_option(argc, argv, "", options)) != -1) {
    switch (c) {
      case OPTION_JSON: o->print = print_json; break;
      case OPTION_TIMEOUT:
        o->limit = number_argument("--timeout", optarg, 0.01);
        break;
      default: o->watch = number_argument("--watch", optarg, 0.01);
    }
  }
  if (argc - optind != 1) wrong_use("map takes the number of one process");
  o->pid = pid_argument(argv[optind]);
}

int map_command(int argc, char** argv) {
  struct options o = { .print = print_table, .limit = LOOK_SECONDS };
  struct look l = { 0 };
  int process;
  parse(argc, argv, &o);
  l.pid = o.pid;
  /* Before the first look: its number may be another's soon. */
  process = hold(l.pid);
  look_or_fail(&l, o.limit);
  say_why(l.pid, l.map.table);
  o.print(l.pid, &l.map);
  flush_output();
  if (o.watch > 0) watch(&l, process, &o);
  if (process >= 0) close(process);
  return EXIT_SUCCESS;
}
