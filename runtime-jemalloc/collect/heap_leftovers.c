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

#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include "caml/mlvalues.h"
#include "caml/minor_gc.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "jemalloc_process.h"

#ifndef DEBUG

/* Of a minor heap: what a processor's second-level cache holds, about.  It is
   filled from its end. */
#define KEPT_MINOR ((uintptr_t)256 << 10)

void caml_heap_release_minor(void) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = (uintptr_t)Caml_state->young_start;
  uintptr_t end = (uintptr_t)Caml_state->young_ptr;
  start = (start + page - 1) & -page;
  end = end > KEPT_MINOR ? (end - KEPT_MINOR) & -page : 0;
  if (start < end) madvise((void*)start, end - start, MADV_DONTNEED);
}

#else

/* The debug runtime checks that it finds there what it left. */
void caml_heap_release_minor(void) {
}

#endif

/* It is worth it if so much is free: bytes, and one part in so many of what the
   C library has; and if half of that is resident. */
#define TRIM_BYTES ((size_t)4 << 20)
#define TRIM_PART 8

/* mallinfo2 came with glibc 2.33.  Not in one line: musl lacks the macro. */
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 33)
#define HAVE_MALLINFO2
#endif
#endif

#ifdef HAVE_MALLINFO2

static bool is_worth_trimming(void) {
  struct mallinfo2 m = mallinfo2();
  size_t heap = caml_heap_in_use() + caml_arena_dirty(&caml_heap.arena);
  return m.fordblks >= TRIM_BYTES
    && m.fordblks >= (m.fordblks + m.uordblks) / TRIM_PART
    && caml_process_read().resident >= heap + m.uordblks + m.fordblks / 2;
}

void caml_heap_trim_malloc(void) {
  if (caml_heap_knob_get(CAML_KNOB_malloc_trim) && is_worth_trimming())
    malloc_trim(0);
}

bool caml_heap_malloced(struct caml_heap_malloced* malloced) {
  struct mallinfo2 m = mallinfo2();
  *malloced = (struct caml_heap_malloced){
    .large = m.hblkhd, .small = m.uordblks
  };
  return true;
}

#else

/* Another C library has no malloc_trim, or does not say how much is free. */
void caml_heap_trim_malloc(void) {
}

bool caml_heap_malloced(struct caml_heap_malloced* malloced) {
  (void)malloced;
  return false;
}

#endif
