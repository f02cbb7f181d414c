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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include "caml/heap_evacuation.h"
#include "caml/misc.h"
#include "heap_quarantine.h"
#include "jemalloc_extents.h"

#if defined(DEBUG) && OCAML_VERSION >= 50200

/* Pools by their addresses, and IS_MEDIUM.  Without a lock: it needs nothing at
   a fork. */
static _Atomic uintptr_t ring[CAML_QUARANTINE];
#define IS_MEDIUM ((uintptr_t)1)
static _Atomic unsigned arrivals;

/* Where the kernel's pages are larger than a pool it cannot be done. */
static bool hide(void* pool, size_t size) {
  return (size_t)sysconf(_SC_PAGESIZE) <= CAML_POOL_SIZE
    && mprotect(pool, size, PROT_NONE) == 0;
}

/* NULL if there is none, or if the kernel has no mapping for it: then the pool
   is lost. */
static void* show(uintptr_t entry) {
  void* pool = (void*)(entry & ~IS_MEDIUM);
  size_t size = entry & IS_MEDIUM ? CAML_MEDIUM_POOL_SIZE : CAML_POOL_SIZE;
  return pool != NULL && mprotect(pool, size, PROT_READ | PROT_WRITE) == 0
    ? pool : NULL;
}

void* caml_quarantine(void* pool, size_t size) {
  unsigned i;
  uintptr_t entry = (uintptr_t)pool;
  CAMLassert(pool != NULL);
  CAMLassert(size == CAML_POOL_SIZE || size == CAML_MEDIUM_POOL_SIZE);
  if (!caml_heap_is_evacuated((value)pool) || !hide(pool, size)) return pool;
  madvise(pool, size, MADV_DONTNEED); /* not where it is locked */
  if (size != CAML_POOL_SIZE) entry |= IS_MEDIUM;
  i = atomic_fetch_add(&arrivals, 1) % CAML_QUARANTINE;
  return show(atomic_exchange(&ring[i], entry));
}

void caml_quarantine_end(void) {
  for (unsigned i = 0; i < CAML_QUARANTINE; i++) atomic_store(&ring[i], 0);
}

#endif
