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

/* Huge pages: which parts of the heap may lie in them.

   A frame is 2 MiB at a multiple of 2 MiB.  A frame that has lost pages must
   not be a huge page: khugepaged would give it all of its pages back.  So the
   frame is marked MADV_NOHUGEPAGE before the first of its pages goes, and may
   be huge again once all of its pages are in use.

   What is marked differently from its neighbours is a mapping of its own to
   the kernel; there is a bound on how many there may be, past which frames are
   marked that need not be. */

#ifndef CAML_JEMALLOC_HUGE_H
#define CAML_JEMALLOC_HUGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A huge page on x86-64 and on AArch64 with 4 KiB pages.  Where huge pages are
   larger, marks on frames keep them away just as well. */
#define CAML_FRAME_SIZE ((size_t)2 << 20)

/* The heap is small up to here: its frames are marked from the start, so that
   100 KiB do not cost 2 MiB. */
#define CAML_HUGE_SMALL_HEAP ((size_t)8 << 20)

/* Huge pages: refused, as the system's setting says, or asked for. */
enum caml_thp { CAML_THP_NEVER, CAML_THP_SYSTEM, CAML_THP_ALWAYS };

/* Frames of 48 bits of address, in leaves: one for each 256 GiB. */
#define CAML_FRAMES_LEAF ((size_t)1 << 17)
#define CAML_FRAMES_ROOT ((size_t)1 << 10)

typedef _Atomic uint16_t caml_frame; /* see jemalloc_huge.c */

struct caml_huge {
  enum caml_thp thp;
  pthread_mutex_t lock; /* of the marks; nothing is locked after it */
  size_t mapped;        /* bytes in frames */
  size_t borders;       /* neighbours that are marked differently */
  int system_always;    /* -1: not asked yet */
  _Atomic bool absent;  /* the kernel has no huge pages */
  caml_frame* _Atomic leaves[CAML_FRAMES_ROOT];
};

/* Makes [huge] ready.  Addresses and sizes below are multiples of a page.  All
   functions but this one and the last two may be called by several threads at
   once, and none of them fails: what the kernel refuses is not huge, or not
   marked. */
void caml_huge_init(struct caml_huge* huge, enum caml_thp thp);

/* [size] bytes were mapped for the heap, none of them committed. */
void caml_huge_mapped(struct caml_huge* huge, void* p, size_t size);

/* Pages are about to be used. */
void caml_huge_commit(struct caml_huge* huge, void* p, size_t size);

/* Pages are no longer used, and about to be purged. */
void caml_huge_decommit(struct caml_huge* huge, void* p, size_t size);

/* Counts pages as committed, or no longer, of which none was touched: no frame
   is marked for them. */
void caml_huge_count(struct caml_huge* huge, void* p, size_t size,
                     bool committed);

/* [size] bytes were mapped that are used and unmapped as a whole. */
void caml_huge_advise(struct caml_huge* huge, void* p, size_t size);

/* Unmaps [size] bytes from the start of a frame, and no longer knows the frames
   that they lie in.  False if the kernel refused: then they are as they
   were. */
bool caml_huge_unmap(struct caml_huge* huge, void* p, size_t size);

/* Some bytes of a mapping that is no part of the heap proper, but of the
   arena's own data: it is not huge. */
void caml_huge_refuse(void* p, size_t size);

/* In a forked child, before it uses [huge]. */
void caml_huge_postfork_child(struct caml_huge* huge);

/* The heap has ended: unmaps what [huge] holds itself. */
void caml_huge_end(struct caml_huge* huge);

#endif /* CAML_JEMALLOC_HUGE_H */
