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

/* Preloaded into all programs of a run of OCaml's test suite.  Those that run
   on OCaml 5

     - note the most that their heaps were, in a file of the directory
       HEAP_NEEDS, as they exit;
     - with HEAP_LIMITED=yes get twice that as Xheap_limit instead, if a program
       with the same arguments in the same directory has noted it, and add a
       line to HEAP_NEEDS/limited.  Directories are the same if they are in the
       suite's _ocamltest: a test that runs by itself has another of these. */

#define _GNU_SOURCE /* RTLD_DEFAULT */
#define CAML_INTERNALS

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <caml/mlvalues.h>
#include <caml/domain_state.h>
#include <caml/gc_stats.h>

static char file[PATH_MAX]; /* of this program; "": none */

/* FNV-1a, of a path only what is in _ocamltest */
static uint64_t hash(uint64_t h, const char* string) {
  const char* in = strstr(string, "/_ocamltest/");
  for (const char* p = in != NULL ? in : string; *p != 0; p++)
    h = (h ^ (unsigned char)*p) * 0x100000001b3u;
  return h * 0x100000001b3u;
}

/* Finds out the name of the file. */
static void find_file(const char* dir) {
  static char arguments[65536], cwd[PATH_MAX];
  uint64_t h = 0xcbf29ce484222325u;
  int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, arguments, sizeof(arguments) - 1);
  if (fd >= 0) close(fd);
  if (n <= 0 || getcwd(cwd, sizeof(cwd)) == NULL) return;
  for (char* p = arguments; p < arguments + n; p += strlen(p) + 1)
    h = hash(h, p);
  snprintf(file, sizeof(file), "%s/%016llx", dir,
           (unsigned long long)hash(h, cwd));
}

static size_t noted(void) {
  unsigned long bytes = 0;
  FILE* f = fopen(file, "re");
  if (f == NULL) return 0;
  if (fscanf(f, "%lu", &bytes) != 1) bytes = 0;
  fclose(f);
  return bytes;
}

static size_t bytes_of(const struct heap_stats* heap) {
  return (size_t)(heap->pool_max_words + heap->large_max_words) * sizeof(value);
}

/* What all domains had at most; of the one that calls, up to now */
static size_t needed(void) {
  void (*all)(struct gc_stats*) = NULL;
  void (*sample)(struct caml_heap_state*, struct heap_stats*) = NULL;
  caml_domain_state** state = dlsym(RTLD_DEFAULT, "caml_state");
  struct gc_stats stats;
  struct heap_stats own;
  *(void**)&all = dlsym(RTLD_DEFAULT, "caml_compute_gc_stats");
  *(void**)&sample = dlsym(RTLD_DEFAULT, "caml_collect_heap_stats_sample");
  if (all == NULL || sample == NULL || state == NULL || *state == NULL)
    return 0;
  all(&stats);
  sample((*state)->shared_heap, &own);
  return bytes_of(&stats.heap_stats) > bytes_of(&own)
    ? bytes_of(&stats.heap_stats) : bytes_of(&own);
}

__attribute__((destructor)) static void note(void) {
  char new[PATH_MAX + 16];
  size_t bytes = file[0] == 0 ? 0 : needed();
  FILE* f;
  if (bytes <= noted()) return;
  snprintf(new, sizeof(new), "%s.%d", file, (int)getpid());
  f = fopen(new, "we");
  if (f == NULL) return;
  fprintf(f, "%zu\n", bytes);
  if (fclose(f) == 0) rename(new, file);
}

static void say_limited(const char* dir) {
  char path[PATH_MAX];
  FILE* f;
  snprintf(path, sizeof(path), "%s/limited", dir);
  f = fopen(path, "ae");
  if (f == NULL) return;
  fputs("1\n", f);
  fclose(f);
}

static void limit(const char* dir) {
  const char* before = getenv("OCAMLRUNPARAM");
  char* parameters;
  size_t bytes = noted();
  file[0] = 0; /* which will not be written */
  if (bytes == 0
      || asprintf(&parameters, "%s,Xheap_limit=%zu",
                  before == NULL ? "" : before, 2 * bytes) < 0)
    return;
  setenv("OCAMLRUNPARAM", parameters, 1);
  free(parameters);
  say_limited(dir);
}

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("HEAP_NEEDS"), *limited = getenv("HEAP_LIMITED");
  if (dir == NULL || dlsym(RTLD_DEFAULT, "caml_compute_gc_stats") == NULL)
    return;
  find_file(dir);
  if (file[0] != 0 && limited != NULL) limit(dir);
}
