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

/* Huge pages: which parts of the heap the kernel may back by them.

   A huge page here is 2 MiB of address space at a multiple of 2 MiB, whatever
   the kernel has put there.  If it lost some of its pages and stayed eligible,
   khugepaged would give all of them back.  So:
     - before the first of its pages goes, the kernel is advised against it
       (MADV_NOHUGEPAGE);
     - once all of its pages are in use, the kernel may be asked for it again.

   To the kernel, neighbours with different advice are two mappings.  There is a
   bound on how many such borders there may be.  Past it, huge pages get advice
   that they do not need, so that no border is added. */

#ifndef CAML_JEMALLOC_HUGE_H
#define CAML_JEMALLOC_HUGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "jemalloc_mutex.h"

/* Bytes: on x86-64, and on AArch64 with pages of 4 KiB.  Where the kernel's
   huge pages are larger, advice for 2 MiB of one keeps it away just as well. */
#define CAML_HUGE_PAGE_SIZE ((size_t)2 << 20)

/* Bytes.  Up to here the heap is small, and the kernel is advised against huge
   pages from the start, so that 100 KiB do not cost 2 MiB. */
#define CAML_HUGE_SMALL_HEAP ((size_t)8 << 20)

/* Huge pages: refused, as the system's setting says, or asked for. */
enum caml_thp { CAML_THP_NEVER, CAML_THP_SYSTEM, CAML_THP_ALWAYS };

/* A table of two levels for 48 bits of address: a leaf for each 256 GiB */
#define CAML_HUGE_PAGES_LEAF ((size_t)1 << 17)
#define CAML_HUGE_PAGES_ROOT ((size_t)1 << 10)

typedef _Atomic uint16_t caml_huge_page; /* see jemalloc_huge.c */

struct caml_huge {
  enum caml_thp thp;
  struct caml_ranked_mutex lock; /* of the states; no lock is taken after it */
  size_t mapped;        /* bytes in huge pages */
  size_t borders;       /* pairs of neighbours with different advice */
  int system_always;    /* -1: not asked yet */
  _Atomic bool absent;  /* the kernel has no huge pages */
  caml_huge_page* _Atomic leaves[CAML_HUGE_PAGES_ROOT];
};

/* Makes [huge] ready.  Addresses and sizes below are multiples of a page.

   All functions but this one and the last two may be called by several threads
   at once.  None of them fails: where the kernel refuses advice, all stays as
   it was. */
void caml_huge_init(struct caml_huge* huge, enum caml_thp thp);

/* [size] bytes were mapped for the heap, none of them committed. */
void caml_huge_mapped(struct caml_huge* huge, void* p, size_t size);

/* Pages are about to be used. */
void caml_huge_commit(struct caml_huge* huge, void* p, size_t size);

/* Pages are no longer used, and about to be purged. */
void caml_huge_decommit(struct caml_huge* huge, void* p, size_t size);

/* Counts pages as committed, or no longer, of which none was touched: no advice
   is given for them. */
void caml_huge_count(struct caml_huge* huge, void* p, size_t size,
                     bool committed);

/* [size] bytes were mapped that are used as a whole and unmapped as a whole:
   gives the advice that [thp] asks for, and keeps no account of them. */
void caml_huge_advise(struct caml_huge* huge, void* p, size_t size);

/* Unmaps [size] bytes from the start of a huge page, and forgets the huge pages
   that they lie in.  False if the kernel refused: then all is as it was. */
bool caml_huge_unmap(struct caml_huge* huge, void* p, size_t size);

/* Advises against huge pages for [size] bytes that hold the arena's own data,
   not the heap's. */
void caml_huge_refuse(void* p, size_t size);

/* In a forked child, before it uses [huge]. */
void caml_huge_postfork_child(struct caml_huge* huge);

/* The heap has ended: unmaps what [huge] holds itself. */
void caml_huge_end(struct caml_huge* huge);

#endif /* CAML_JEMALLOC_HUGE_H */
