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

/* A tree of files that a test makes, in the place of the system's, and removes.
   To be included by one source file of a test, after cmocka.h and with
   _GNU_SOURCE. */

#ifndef TREE_H
#define TREE_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

/* Of the root and a name in it; until the next call */
static inline char* in_root(const char* name) {
  static char path[4096];
  snprintf(path, sizeof(path), "%s/%s", root, name);
  return path;
}

/* With the directories that it is in */
static inline void write_file(const char* name, const char* text,
                              size_t length) {
  char* path = in_root(name);
  FILE* file;
  for (char* p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
    *p = '\0';
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    *p = '/';
  }
  file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, length, file), length);
  assert_int_equal(fclose(file), 0);
}

static inline void file(const char* name, const char* text) {
  write_file(name, text, strlen(text));
}

/* As a test's setup and teardown: 0 if it is done */
static inline int make_tree(void** state) {
  (void)state;
  strcpy(root, "/tmp/tree.XXXXXX"); /* for mkdtemp */
  return mkdtemp(root) == NULL;
}

static inline int remove_one(const char* path, const struct stat* s, int type,
                             struct FTW* f) {
  (void)s;
  (void)type;
  (void)f;
  return remove(path);
}

static inline int remove_tree(void** state) {
  (void)state;
  return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif /* TREE_H */
