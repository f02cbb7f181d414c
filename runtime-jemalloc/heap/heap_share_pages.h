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

/* The pages of the shared part, and which of them this process has written
   since it shares them.  Independent of OCaml's runtime but for the type in
   caml/heap_share.h.

   A page that another process has too is copied as it is written, and the copy
   is this process's alone: /proc/self/pagemap, bit 56.  So all pages that it
   has alone count as written.  That is exact but where a process that shared
   them has ended or has written them itself, and then too many count.

   It misses those that were written before another fork, which shares them
   again.  So before a fork that [caml_share_written_note] is told of they are
   noted.  Of one that it is not told of (a system call, without the C library)
   a page tells that was written by [caml_share_written_make] and is never
   written again: as long as this process does not have it alone, all pages
   count as written. */

#ifndef CAML_HEAP_SHARE_PAGES_H
#define CAML_HEAP_SHARE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "caml/heap_share.h"

struct caml_share_written {
  struct caml_share_pages pages;
  uint64_t* written; /* as of the last reading; a bit for each page */
  uint64_t* noted;
  bool all;          /* all of them count as written, from now on */
  size_t count;      /* pages in the set */
  size_t shared;     /* of those, by the last reading */
  size_t read;       /* words of the set, by the one under way */
  volatile char* canary;
};

/* Can be told at all which pages are shared? */
bool caml_share_can_tell(void);

/* No page is in the set.  [start] is a multiple of 64 pages.  False without
   memory; then there is nothing to free. */
bool caml_share_written_make(struct caml_share_written* w, uintptr_t start,
                             uintptr_t end);
void caml_share_written_free(struct caml_share_written* w);

/* Adds the pages that these bytes lie on. */
void caml_share_written_add(struct caml_share_written* w, uintptr_t start,
                            size_t size);

/* A reading, which sets [written] and [shared], takes some 25 ns a page.  Each
   step takes up to CAML_SHARE_STEP of them, and returns how many; 0: there are
   none left.  A page that is written meanwhile counts or does not. */
#define CAML_SHARE_STEP ((size_t)512)
void caml_share_written_begin(struct caml_share_written* w);
size_t caml_share_written_step(struct caml_share_written* w);

/* One at once */
void caml_share_written_read(struct caml_share_written* w);

/* Looks at some pages only, evenly spaced, and returns how many; [shared] is of
   those. */
size_t caml_share_written_sample(struct caml_share_written* w);

/* Before a fork: notes what is written.  After it, in both processes. */
void caml_share_written_note(struct caml_share_written* w);
void caml_share_written_forked(struct caml_share_written* w);

/* What was written counts no more. */
void caml_share_written_forget(struct caml_share_written* w);

/* The bits of up to 64 pages from this address on, the first is the lowest.
   They do not cross a multiple of 64 pages. */
static inline uint64_t
caml_share_written_bits(const struct caml_share_written* w, uintptr_t address,
                        unsigned pages) {
  uintptr_t page = (address - w->pages.start) >> CAML_SHARE_PAGE_LOG;
  uint64_t bits = w->written[page / 64] >> (page % 64);
  return pages < 64 ? bits & (((uint64_t)1 << pages) - 1) : bits;
}

#endif /* CAML_HEAP_SHARE_PAGES_H */
