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

/* What the heap of a program gets and puts: linked into it with -Wl,--wrap for
   the functions below, so that nothing of the runtime is changed.  Writes each
   event to the file that SCALE_TRACE names, until that is full. */

#define _GNU_SOURCE
#define CAML_INTERNALS
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "caml/domain.h"
#include "caml/heap_pools.h"
#include "caml/mlvalues.h"
#include "scale.h"

#define MOST ((size_t)1 << 22) /* events */

void* __real_caml_heap_pool_alloc(mlsize_t wsize);
void __real_caml_heap_pool_free(void* pool, mlsize_t wsize);
void* __real_caml_heap_large_alloc(asize_t size);
void __real_caml_heap_large_free(void* block, asize_t size);

static struct scale_event* events;
static _Atomic size_t n_events;
static int file = -1;

/* Of the thread: what others do on its processor is not its time. */
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void open_trace(void) {
  const char* name = getenv("SCALE_TRACE");
  size_t size = MOST * sizeof(struct scale_event);
  void* p;
  if (name == NULL) return;
  file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0666);
  if (file < 0 || ftruncate(file, (off_t)size) != 0) return;
  p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (p != MAP_FAILED) events = p;
}

__attribute__((destructor)) static void close_trace(void) {
  size_t n = atomic_load(&n_events);
  bool open = events != NULL;
  if (n > MOST) n = MOST;
  events = NULL;
  if (open && ftruncate(file, (off_t)(n * sizeof(struct scale_event))) != 0)
    abort();
}

/* A put is noted before it is done: whoever gets the block next comes later. */
static struct scale_event* note(void* block, size_t size, bool put) {
  static struct scale_event beyond;
  size_t i;
  if (events == NULL || block == NULL) return &beyond;
  i = atomic_fetch_add(&n_events, 1);
  if (i >= MOST) return &beyond;
  events[i].domain =
    Caml_state_opt == NULL ? 0 : (uint16_t)Caml_state_opt->id;
  events[i].block = (uintptr_t)block;
  events[i].size = size;
  events[i].put = put;
  return &events[i];
}

static void end(struct scale_event* event, uint64_t began) {
  event->took = (uint32_t)(now() - began);
  event->began = began;
}

static size_t size_of(mlsize_t wsize) {
  return wsize == POOL_WSIZE ? 0 : SCALE_MEDIUM_POOL;
}

void* __wrap_caml_heap_pool_alloc(mlsize_t wsize) {
  uint64_t began = now();
  void* pool = __real_caml_heap_pool_alloc(wsize);
  end(note(pool, size_of(wsize), false), began);
  return pool;
}

void __wrap_caml_heap_pool_free(void* pool, mlsize_t wsize) {
  struct scale_event* event = note(pool, size_of(wsize), true);
  uint64_t began = now();
  __real_caml_heap_pool_free(pool, wsize);
  end(event, began);
}

void* __wrap_caml_heap_large_alloc(asize_t size) {
  uint64_t began = now();
  void* block = __real_caml_heap_large_alloc(size);
  end(note(block, size, false), began);
  return block;
}

void __wrap_caml_heap_large_free(void* block, asize_t size) {
  struct scale_event* event = note(block, size, true);
  uint64_t began = now();
  __real_caml_heap_large_free(block, size);
  end(event, began);
}
