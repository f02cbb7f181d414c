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

/* What a collection leaves behind beside the major heap: empty minor heaps,
   and free memory in the C library's heap. */

#ifndef CAML_HEAP_LEFTOVERS_H
#define CAML_HEAP_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>

/* Gives back the pages of the free part of the calling domain's minor heap, but
   for what it fills first. */
void caml_heap_release_minor(void);

/* Has the C library give back its free memory, if Xmalloc_trim says so and that
   is worth it: who allocates in C meanwhile may wait for it.  From any
   thread. */
void caml_heap_trim_malloc(void);

/* Bytes that were malloc'ed and not freed: in blocks that are so large that
   each is mapped for itself, and in others */
struct caml_heap_malloced { size_t large, small; };

/* False if the C library does not say. */
bool caml_heap_malloced(struct caml_heap_malloced* malloced);

#endif /* CAML_HEAP_LEFTOVERS_H */
