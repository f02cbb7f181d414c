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

#define CAML_INTERNALS

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>
#include "heap_jemalloc.h"
#include "heap_pagemap.h"
#include "heap_sharing.h"

/* Pages that are looked at, in a heap that fills its address space */
#define SAMPLE 1024

struct sample {
  int pagemap;
  size_t page, stride;
  size_t taken, shared, swapped; /* pages */
};

static void look(struct sample* s, uint64_t address) {
  uint64_t entry;
  off_t place = (off_t)(address / s->page * sizeof(entry));
  if (pread(s->pagemap, &entry, sizeof(entry), place) != sizeof(entry)) return;
  if ((entry & (CAML_PAGEMAP_PRESENT | CAML_PAGEMAP_SWAPPED)) == 0) return;
  s->taken++;
  if (entry & CAML_PAGEMAP_SWAPPED)
    s->swapped++;
  else if ((entry & CAML_PAGEMAP_EXCLUSIVE) == 0)
    s->shared++;
}

static void look_at_mappings(struct sample* s,
                             const struct caml_extents* extents) {
  for (int i = 0; i < CAML_EXTENTS_MAPPINGS; i++) {
    struct caml_heap_mapping m = extents->mappings[i];
    for (uint64_t at = s->stride / 2; at < m.size; at += s->stride)
      look(s, m.start + at);
  }
}

/* Whole pages, and an odd number of them: no pattern of the heap's hides. */
static size_t stride(size_t page, size_t mapped) {
  return (mapped / SAMPLE / page | 1) * page;
}

static struct caml_heap_sharing sample(void) {
  const struct caml_extents* extents = &caml_heap.arena.extents;
  size_t page = (size_t)sysconf(_SC_PAGESIZE), in_use = caml_heap_in_use();
  struct sample s = {
    .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), .page = page,
    .stride = stride(page, caml_extents_mapped(extents))
  };
  if (s.pagemap < 0) return (struct caml_heap_sharing){ 0, 0 };
  look_at_mappings(&s, extents);
  close(s.pagemap);
  if (s.taken == 0) return (struct caml_heap_sharing){ 0, 0 };
  return (struct caml_heap_sharing){
    .shared = (size_t)((double)in_use * (double)s.shared / (double)s.taken),
    .swapped = (size_t)((double)in_use * (double)s.swapped / (double)s.taken)
  };
}

/* Forks so far, in this process and those that it comes from; and of how many
   of them nothing is shared any more.  One that comes while pages are looked at
   is not forgotten so. */
static _Atomic unsigned forks, unshared;

void caml_heap_forked(void) {
  atomic_fetch_add(&forks, 1);
}

struct caml_heap_sharing caml_heap_sample_sharing(void) {
  unsigned n = atomic_load(&forks);
  struct caml_heap_sharing s = sample();
  if (n == atomic_load(&unshared)) s.shared = 0;
  if (s.shared == 0) atomic_store(&unshared, n);
  return s;
}
