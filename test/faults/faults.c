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

/* Makes calls of the runtime and of its jemalloc fail: linked into a program
   with --wrap.  FAULT=NAME:N fails the Nth call of NAME and those after it,
   FAULT=NAME:N:once that one only; FAULT=NAME:0 prints at exit how many there
   were.  NAME is one of the functions wrapped here, or a hook: hook_commit. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "jemalloc_extents.h"

static _Atomic long calls;

static void print_calls(void) {
  fprintf(stderr, "%ld\n", atomic_load(&calls));
}

/* Is this call of [name] to fail? */
static bool fails(const char* name) {
  const char* fault = getenv("FAULT");
  size_t length = strlen(name);
  long n, call;
  char* rest;
  if (fault == NULL || strncmp(fault, name, length) != 0
      || fault[length] != ':')
    return false;
  n = strtol(fault + length + 1, &rest, 10);
  call = atomic_fetch_add(&calls, 1) + 1;
  if (n == 0) {
    if (call == 1) atexit(print_calls);
    return false;
  }
  return strcmp(rest, ":once") == 0 ? call == n : call >= n;
}

/* WRAP(RESULT, ERRNO, TYPE, NAME, PARAMETERS, ARGUMENTS) */
#define WRAP(result, error, type, name, parameters, arguments)                \
  type __real_##name parameters;                                              \
  type __wrap_##name parameters;                                              \
  type __wrap_##name parameters {                                             \
    if (!fails(#name)) return __real_##name arguments;                        \
    errno = error;                                                            \
    return result;                                                            \
  }

WRAP(MAP_FAILED, ENOMEM, void*, mmap,
     (void* p, size_t size, int prot, int flags, int fd, off_t offset),
     (p, size, prot, flags, fd, offset))
WRAP(-1, ENOMEM, int, munmap, (void* p, size_t size), (p, size))
WRAP(-1, EINVAL, int, madvise, (void* p, size_t size, int advice),
     (p, size, advice))
WRAP(EAGAIN, EAGAIN, int, pthread_create,
     (pthread_t* thread, const pthread_attr_t* attr, void* (*f)(void*), void* p),
     (thread, attr, f, p))
WRAP(ENOMEM, ENOMEM, int, pthread_atfork,
     (void (*prepare)(void), void (*parent)(void), void (*child)(void)),
     (prepare, parent, child))
WRAP(EAGAIN, EAGAIN, int, caml_je_mallctl,
     (const char* name, void* old, size_t* old_size, void* new, size_t size),
     (name, old, old_size, new, size))
WRAP(EAGAIN, EAGAIN, int, caml_je_mallctlnametomib,
     (const char* name, size_t* mib, size_t* length), (name, mib, length))
WRAP(EAGAIN, EAGAIN, int, caml_je_mallctlbymib,
     (const size_t* mib, size_t length, void* old, size_t* old_size, void* new,
      size_t size),
     (mib, length, old, old_size, new, size))
WRAP(NULL, ENOMEM, void*, caml_je_mallocx, (size_t size, int flags),
     (size, flags))
WRAP(0, 0, size_t, caml_je_xallocx,
     (void* p, size_t size, size_t extra, int flags), (p, size, extra, flags))

/* The hooks: what they were is in [real]. */

static extent_hooks_t real;

static void* hook_alloc(extent_hooks_t* h, void* p, size_t size,
                        size_t alignment, bool* zero, bool* commit,
                        unsigned arena) {
  return fails("hook_alloc")
    ? NULL : real.alloc(h, p, size, alignment, zero, commit, arena);
}

static bool hook_commit(extent_hooks_t* h, void* p, size_t size, size_t offset,
                        size_t length, unsigned arena) {
  return fails("hook_commit")
    || real.commit(h, p, size, offset, length, arena);
}

static bool hook_decommit(extent_hooks_t* h, void* p, size_t size,
                          size_t offset, size_t length, unsigned arena) {
  return fails("hook_decommit")
    || real.decommit(h, p, size, offset, length, arena);
}

static bool hook_purge_lazy(extent_hooks_t* h, void* p, size_t size,
                            size_t offset, size_t length, unsigned arena) {
  return fails("hook_purge_lazy")
    || real.purge_lazy(h, p, size, offset, length, arena);
}

static bool hook_split(extent_hooks_t* h, void* p, size_t size, size_t a,
                       size_t b, bool committed, unsigned arena) {
  return fails("hook_split")
    || real.split(h, p, size, a, b, committed, arena);
}

static bool hook_merge(extent_hooks_t* h, void* a, size_t size_a, void* b,
                       size_t size_b, bool committed, unsigned arena) {
  return fails("hook_merge")
    || real.merge(h, a, size_a, b, size_b, committed, arena);
}

extent_hooks_t* __real_caml_extents_init(struct caml_extents* extents,
                                         enum caml_thp thp);
extent_hooks_t* __wrap_caml_extents_init(struct caml_extents* extents,
                                         enum caml_thp thp);

extent_hooks_t* __wrap_caml_extents_init(struct caml_extents* extents,
                                         enum caml_thp thp) {
  extent_hooks_t* hooks = __real_caml_extents_init(extents, thp);
  real = *hooks;
  hooks->alloc = hook_alloc;
  hooks->commit = hook_commit;
  hooks->decommit = hook_decommit;
  hooks->purge_lazy = hook_purge_lazy;
  hooks->split = hook_split;
  hooks->merge = hook_merge;
  return hooks;
}
