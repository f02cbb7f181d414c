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

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cjson/cJSON.h>
#include "process_map.h"
#include "tool.h"

static void print_row(const char* name, const struct part_size* s) {
  printf("%-12s %8u %12llu %12llu %12llu %12llu %12llu\n", name, s->mappings,
         (unsigned long long)s->size >> 10, (unsigned long long)s->rss >> 10,
         (unsigned long long)s->pss >> 10, (unsigned long long)s->huge >> 10,
         (unsigned long long)s->lazy_free >> 10);
}

static void print_table(pid_t pid, const struct process_map* map) {
  (void)pid;
  printf("%-12s %8s %12s %12s %12s %12s %12s\n", "part, in KiB", "mappings",
         "size", "RSS", "PSS", "huge pages", "LazyFree");
  for (int i = 0; i < N_PARTS; i++)
    if (map->on_jemalloc || (i != PART_MAJOR_HEAP && i != PART_MINOR_HEAPS))
      print_row(part_name(i, map->on_jemalloc), &map->parts[i]);
  print_row("total", &map->total);
  if (map->on_jemalloc)
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
  cJSON* object = cJSON_CreateObject();
  cJSON* parts = cJSON_CreateObject();
  char* text;
  cJSON_AddNumberToObject(object, "pid", pid);
  cJSON_AddBoolToObject(object, "on_runtime_jemalloc", map->on_jemalloc);
  for (int i = 0; i < N_PARTS; i++)
    if (map->on_jemalloc || (i != PART_MAJOR_HEAP && i != PART_MINOR_HEAPS))
      cJSON_AddItemToObject(parts, part_name(i, map->on_jemalloc),
                            json_of(&map->parts[i]));
  cJSON_AddItemToObject(object, "parts", parts);
  cJSON_AddItemToObject(object, "total", json_of(&map->total));
  if (map->on_jemalloc) {
    cJSON_AddNumberToObject(object, "pools", (double)map->pools);
    cJSON_AddNumberToObject(object, "large_blocks", (double)map->large);
    cJSON_AddNumberToObject(object, "unlisted_mappings", map->unlisted);
  }
  text = cJSON_PrintUnformatted(object);
  if (text == NULL) fail("no memory");
  puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
}

static _Noreturn void cannot_read(pid_t pid, int error) {
  switch (error) {
    case ESRCH:
      fail("there is no process %ld, or it has no memory of its own", (long)pid);
    case EACCES: case EPERM:
      fail("process %ld is not yours: ask as its user, or as root", (long)pid);
    default:
      fail("process %ld: %s", (long)pid, strerror(error));
  }
}

static void wait_seconds(double seconds) {
  struct timespec t;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  nanosleep(&t, NULL);
}

/* Ends when the process does. */
static void watch(pid_t pid, double seconds, uint64_t* table,
                  void (*print)(pid_t, const struct process_map*)) {
  struct process_map map;
  for (;;) {
    wait_seconds(seconds);
    if (process_map_read(pid, table, &map) != 0) return;
    if (print == print_table) putchar('\n');
    print(pid, &map);
    fflush(stdout);
  }
}

static pid_t pid_argument(const char* text) {
  char* end;
  long pid = strtol(text, &end, 10);
  if (end == text || *end != '\0' || pid <= 0 || pid != (pid_t)pid)
    wrong_use("%s: it takes the number of a process", text);
  return (pid_t)pid;
}

int map_command(int argc, char** argv) {
  static const struct option options[] = {
    { "json", no_argument, NULL, 'j' },
    { "watch", required_argument, NULL, 'w' },
    { NULL, 0, NULL, 0 }
  };
  void (*print)(pid_t, const struct process_map*) = print_table;
  double seconds = 0;
  struct process_map map;
  uint64_t table = 0;
  pid_t pid;
  int c, error;
  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (c) {
      case 'j': print = print_json; break;
      case 'w': seconds = number_argument("--watch", optarg, 0.01); break;
      default: wrong_option();
    }
  }
  if (argc - optind != 1) wrong_use("map takes the number of one process");
  pid = pid_argument(argv[optind]);
  error = process_map_read(pid, &table, &map);
  if (error != 0) cannot_read(pid, error);
  if (!map.on_jemalloc)
    fprintf(stderr, "runtime-jemalloc: process %ld is not on this runtime, or "
            "may not be looked into: its heaps are one part\n", (long)pid);
  print(pid, &map);
  fflush(stdout);
  if (seconds > 0) watch(pid, seconds, &table, print);
  return EXIT_SUCCESS;
}
