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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "jemalloc_assert.h"
#include "jemalloc_container.h"

/* Version 1 says so, in pages, where there is no limit: no machine has as
   much. */
#define LEAST_UNLIMITED ((size_t)1 << 60)

/* A list of [separator] between names */
static bool has_name(const char* list, const char* name, char separator) {
  size_t length = strlen(name);
  assert(length > 0 && strchr(name, separator) == NULL);
  for (const char* p = list; p != NULL; p = strchr(p, separator)) {
    if (*p == separator) p++;
    if (strncmp(p, name, length) == 0
        && (p[length] == separator || p[length] == '\0'))
      return true;
  }
  return false;
}

/* Does it say nothing about the file, but that the process, or the system, has
   no descriptor or no memory left? */
static bool is_want(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM
    || error == EINTR;
}

/* Calls [found] with each line of the file, without its end.  False for want of
   what it takes to read them all. */
static bool each_line(const char* root, const char* name,
                      void (*found)(char* line, void* data), void* data) {
  char path[CAML_CONTAINER_PATH], *line = NULL;
  size_t size = 0;
  ssize_t length;
  FILE* file;
  bool wants;
  if ((size_t)snprintf(path, sizeof(path), "%s/%s", root, name) >= sizeof(path))
    return true;
  file = fopen(path, "re");
  if (file == NULL) return !is_want(errno);
  while (errno = 0, (length = getline(&line, &size, file)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    found(line, data);
  }
  wants = is_want(errno);
  free(line);
  fclose(file);
  return !wants;
}

/* Where the process is */

struct search {
  const char* root;
  char cgroup[CAML_CONTAINER_PATH]; /* of one hierarchy; "": none */
  bool v1;
  struct caml_container* container;
};

static void copy_path(char* to, const char* from) {
  if (strlen(from) < CAML_CONTAINER_PATH) strcpy(to, from);
}

/* proc/self/cgroup: "id:controllers:path"; version 2 is "0::path". */
static void look_for_cgroup(char* line, void* data) {
  struct search* s = data;
  char *controllers = strchr(line, ':'), *path;
  if (controllers == NULL) return;
  *controllers++ = '\0';
  path = strchr(controllers, ':');
  if (path == NULL || path[1] != '/') return;
  *path++ = '\0';
  if (s->v1 ? has_name(controllers, "memory", ',')
      : strcmp(line, "0") == 0 && *controllers == '\0')
    copy_path(s->cgroup, path);
}

/* proc/self/mountinfo: "id parent device ROOT MOUNT-POINT options [tag ...] -
   TYPE source SUPER-OPTIONS" */
struct mount { char *root, *point, *type, *options; };

static bool read_mount(char* line, struct mount* m) {
  char *rest, *dash = strstr(line, " - ");
  if (dash == NULL) return false;
  *dash = '\0';
  for (int i = 0; i < 3; i++) strtok_r(i == 0 ? line : NULL, " ", &rest);
  m->root = strtok_r(NULL, " ", &rest);
  m->point = strtok_r(NULL, " ", &rest);
  m->type = strtok_r(dash + 3, " ", &rest);
  strtok_r(NULL, " ", &rest);
  m->options = strtok_r(NULL, " ", &rest);
  return m->root != NULL && m->root[0] == '/' && m->point != NULL
    && m->point[0] == '/' && m->type != NULL && m->options != NULL;
}

/* The part of [path] below [above]; "" if it is not below it, as that of a
   mount whose root is seen through another namespace. */
static const char* below(const char* path, const char* above) {
  size_t length = strlen(above);
  assert(path[0] == '/' && above[0] == '/');
  if (length > 0 && above[length - 1] == '/') length--;
  if (strstr(path, "/..") != NULL || strncmp(path, above, length) != 0
      || (path[length] != '/' && path[length] != '\0'))
    return "";
  return path + length;
}

static const struct caml_container_limit no_limit = {
  .most = CAML_NO_LIMIT, .kills_at = CAML_NO_LIMIT
};

/* From the cgroup up to the mount, which is the first [top] bytes. */
static void add_levels(struct caml_container* c, char* path, size_t top,
                       bool v1) {
  size_t length = strlen(path);
  assert(length >= top && length < CAML_CONTAINER_PATH);
  while (c->levels < CAML_CONTAINER_LEVELS) {
    while (length > top && path[length - 1] == '/') path[--length] = '\0';
    c->level[c->levels].v1 = v1;
    c->level[c->levels].known = no_limit;
    strcpy(c->level[c->levels++].path, path);
    if (length <= top) return;
    while (length > top && path[length - 1] != '/') length--;
    path[length] = '\0';
  }
}

static void look_for_mount(char* line, void* data) {
  struct search* s = data;
  struct mount m;
  char path[CAML_CONTAINER_PATH];
  size_t top;
  int length;
  if (!read_mount(line, &m)
      || strcmp(m.type, s->v1 ? "cgroup" : "cgroup2") != 0
      || (s->v1 && !has_name(m.options, "memory", ',')))
    return;
  top = strlen(s->root) + strlen(m.point);
  length = snprintf(path, sizeof(path), "%s%s%s", s->root, m.point,
                    below(s->cgroup, m.root));
  if ((size_t)length < sizeof(path))
    add_levels(s->container, path, top, s->v1);
}

static bool find_hierarchy(struct search* s, bool v1) {
  s->v1 = v1;
  s->cgroup[0] = '\0';
  return each_line(s->root, "proc/self/cgroup", look_for_cgroup, s)
    && (s->cgroup[0] == '\0'
        || each_line(s->root, "proc/self/mountinfo", look_for_mount, s));
}

static bool are_same(const struct caml_container* a,
                     const struct caml_container* b) {
  if (a->levels != b->levels) return false;
  for (unsigned i = 0; i < a->levels; i++)
    if (a->level[i].v1 != b->level[i].v1
        || strcmp(a->level[i].path, b->level[i].path) != 0)
      return false;
  return true;
}

/* Of those that are the same what is known stays. */
void caml_container_find(const char* root, struct caml_container* container) {
  struct caml_container found = { .levels = 0 };
  struct search s = { .root = root, .container = &found };
  assert(container->levels <= CAML_CONTAINER_LEVELS);
  if (find_hierarchy(&s, false) && find_hierarchy(&s, true)
      && !are_same(&found, container))
    *container = found;
}

/* What it may take */

/* Of digits only, as the kernel writes numbers; CAML_NO_LIMIT for "max" and for
   what is none */
static size_t number(const char* text) {
  size_t n = 0;
  assert(text != NULL);
  if (*text < '0' || *text > '9') return CAML_NO_LIMIT;
  for (; *text >= '0' && *text <= '9'; text++) {
    if (n > (SIZE_MAX - 9) / 10) return CAML_NO_LIMIT;
    n = n * 10 + (size_t)(*text - '0');
  }
  return *text == '\0' && n < LEAST_UNLIMITED ? n : CAML_NO_LIMIT;
}

static void take_number(char* line, void* data) {
  size_t* n = data;
  if (*n == CAML_NO_LIMIT) *n = number(line);
}

/* False as of [each_line]. */
static bool read_number(const struct caml_container_level* level,
                        const char* name, size_t* n) {
  *n = CAML_NO_LIMIT;
  return each_line(level->path, name, take_number, n);
}

struct cached { bool v1; size_t bytes; };

/* memory.stat: "name number"; version 1 tells of all below the level in what
   begins with total_. */
static void add_cached(char* line, void* data) {
  struct cached* c = data;
  char* value = strchr(line, ' ');
  size_t n;
  if (value == NULL) return;
  *value++ = '\0';
  if (c->v1) {
    if (strncmp(line, "total_", 6) != 0) return;
    line += 6;
  }
  if (strcmp(line, "inactive_file") != 0 && strcmp(line, "active_file") != 0)
    return;
  n = number(value);
  if (n != CAML_NO_LIMIT) c->bytes += n;
}

static bool read_used(const struct caml_container_level* level, size_t* used) {
  struct cached c = { .v1 = level->v1, .bytes = 0 };
  const char* name = level->v1 ? "memory.usage_in_bytes" : "memory.current";
  size_t all;
  if (!read_number(level, name, &all)
      || !each_line(level->path, "memory.stat", add_cached, &c))
    return false;
  *used = all != CAML_NO_LIMIT && all > c.bytes ? all - c.bytes : 0;
  return true;
}

static bool read_limits(const struct caml_container_level* level,
                        struct caml_container_limit* limit) {
  size_t high = CAML_NO_LIMIT;
  if (level->v1
      ? !read_number(level, "memory.limit_in_bytes", &limit->kills_at)
      : !read_number(level, "memory.max", &limit->kills_at)
        || !read_number(level, "memory.high", &high))
    return false;
  limit->most = high < limit->kills_at ? high : limit->kills_at;
  return true;
}

struct caml_container_limit
caml_container_read(struct caml_container_level* level) {
  struct caml_container_limit limit = { .used = 0 };
  assert(level->path[0] == '/');
  if (read_limits(level, &limit)
      && (limit.most == CAML_NO_LIMIT || read_used(level, &limit.used)))
    level->known = limit;
  return level->known;
}

/* How much of its limit is in use; one of 0 is full. */
static double part(const struct caml_container_limit* limit) {
  assert(limit->most != CAML_NO_LIMIT);
  return limit->most > 0 ? (double)limit->used / (double)limit->most : 1.0;
}

/* Of two that are as full, as when nothing is told of use, the lesser */
static bool is_tighter(const struct caml_container_limit* a,
                       const struct caml_container_limit* b) {
  double of_a = part(a), of_b = part(b);
  return of_a > of_b || (of_a >= of_b && a->most < b->most);
}

const struct caml_container_level*
caml_container_tightest(struct caml_container* container,
                        struct caml_container_limit* limit) {
  const struct caml_container_level* tightest = NULL;
  assert(container->levels <= CAML_CONTAINER_LEVELS);
  for (unsigned i = 0; i < container->levels; i++) {
    struct caml_container_limit l = caml_container_read(&container->level[i]);
    if (l.most == CAML_NO_LIMIT) continue;
    if (tightest != NULL && !is_tighter(&l, limit)) continue;
    tightest = &container->level[i];
    *limit = l;
  }
  return tightest;
}
