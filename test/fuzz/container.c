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

/* libFuzzer: the files that tell of a process's cgroups, with anything in them:
   the input is their texts, each after a byte of 0. */

#define _GNU_SOURCE /* mkdtemp */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "jemalloc_container.h"

static char root[] = "/tmp/fuzz.XXXXXX";

/* The mount is at /c, and the process in /c/a, if they say so. */
static const char* const directories[] = {
  "proc", "proc/self", "c", "c/a"
};
static const char* const files[] = {
  "proc/self/cgroup", "proc/self/mountinfo", "c/a/memory.max",
  "c/a/memory.high", "c/a/memory.current", "c/a/memory.stat",
  "c/a/memory.limit_in_bytes", "c/a/memory.usage_in_bytes"
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void write_file(const char* name, const uint8_t* text, size_t size) {
  char path[64];
  FILE* file;
  snprintf(path, sizeof(path), "%s/%s", root, name);
  file = fopen(path, "w");
  if (file == NULL) abort();
  if (fwrite(text, 1, size, file) != size || fclose(file) != 0) abort();
}

static void remove_root(void) {
  char path[64];
  for (size_t i = 0; i < LENGTH(files); i++) {
    snprintf(path, sizeof(path), "%s/%s", root, files[i]);
    unlink(path);
  }
  for (size_t i = LENGTH(directories); i-- > 0;) {
    snprintf(path, sizeof(path), "%s/%s", root, directories[i]);
    rmdir(path);
  }
  rmdir(root);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static struct caml_container container;
  struct caml_container_limit limit = { .most = CAML_NO_LIMIT };
  for (size_t i = 0; i < LENGTH(files); i++) {
    const uint8_t* end = size == 0 ? NULL : memchr(data, 0, size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    write_file(files[i], data, length);
    data += length + (end != NULL);
    size -= length + (end != NULL);
  }
  caml_container_find(root, &container);
  if (container.levels > CAML_CONTAINER_LEVELS) abort();
  if (caml_container_tightest(&container, &limit) != NULL
      && limit.most == CAML_NO_LIMIT)
    abort();
  return 0;
}

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  char path[64];
  (void)argc;
  (void)argv;
  if (mkdtemp(root) == NULL) abort();
  for (size_t i = 0; i < LENGTH(directories); i++) {
    snprintf(path, sizeof(path), "%s/%s", root, directories[i]);
    if (mkdir(path, 0700) != 0) abort();
  }
  return atexit(remove_root);
}
