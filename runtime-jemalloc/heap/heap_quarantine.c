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
#include <sys/mman.h>
#include <unistd.h>
#include "caml/heap_evacuation.h"
#include "caml/misc.h"
#include "heap_quarantine.h"
#include "jemalloc_extents.h"

#if defined(DEBUG) && OCAML_VERSION >= 50200

/* Without a lock: it needs nothing at a fork. */
static void* _Atomic ring[CAML_QUARANTINE];
static _Atomic unsigned arrivals;

/* Where the kernel's pages are larger than a pool it cannot be done. */
static bool hide(void* pool) {
  return (size_t)sysconf(_SC_PAGESIZE) <= CAML_POOL_SIZE
    && mprotect(pool, CAML_POOL_SIZE, PROT_NONE) == 0;
}

/* False if the kernel has no mapping for it: then the pool is lost. */
static bool show(void* pool) {
  return mprotect(pool, CAML_POOL_SIZE, PROT_READ | PROT_WRITE) == 0;
}

void* caml_quarantine(void* pool) {
  unsigned i;
  void* oldest;
  CAMLassert(pool != NULL);
  if (!caml_heap_is_evacuated((value)pool) || !hide(pool)) return pool;
  madvise(pool, CAML_POOL_SIZE, MADV_DONTNEED); /* not where it is locked */
  i = atomic_fetch_add(&arrivals, 1) % CAML_QUARANTINE;
  oldest = atomic_exchange(&ring[i], pool);
  return oldest != NULL && show(oldest) ? oldest : NULL;
}

void caml_quarantine_end(void) {
  for (unsigned i = 0; i < CAML_QUARANTINE; i++) atomic_store(&ring[i], NULL);
}

#endif
