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

/* The part of the heap that is shared after a fork: when there is one, what it
   consists of, and what in it leads out of it.

   A fork sets the heap apart, which costs next to nothing: its lists are moved,
   as a whole, and neither pools nor blocks are looked at.  The next slice of
   the collector, large block or pointer that is overwritten lists the pools and
   the large blocks, and their pages.  Where there is no memory for that, what
   is overwritten is marked, which does no harm.

   What is set apart is all that there is at that moment, so that nothing in it
   leads out of it but what is written later: the roots that
   [caml_scan_roots_hook] finds on the pages that are written. */

#ifndef CAML_HEAP_SHARE_PART_H
#define CAML_HEAP_SHARE_PART_H

#include <stdbool.h>
#include <stddef.h>
#include "caml/heap_share.h"

struct caml_heap_state;
struct heap_stats;

/* Around a fork.  By the thread that forks, before other locks are taken but
   that of the limit. */
void caml_share_init(void);
void caml_share_prefork(void);
void caml_share_postfork_parent(void);
void caml_share_postfork_child(void);

/* Does the block lie on a page of the part?  Then it must not be used, but be
   kept until the part is given back: that is what the second does. */
bool caml_share_touches(const void* block, size_t size);
void caml_share_plug(void* block, size_t size);

/* Between the two, which nest, a fork by the same thread sets nothing apart: it
   is in the middle of a sweep, which holds a pool that is in no list, or of a
   slice. */
void caml_share_hold(void);
void caml_share_release(void);

/* Is something set apart, listed or not?  With the domain lock. */
bool caml_share_has_some(void);

/* The heap has ended, and its memory is gone. */
void caml_share_end(void);

/* From now on forks share the heap, however small, whatever Xfork_share says;
   or they do as Xfork_share says, and what is shared is asked back.  From any
   thread. */
void caml_share_ask(bool share);

/* The next cycle that begins gives back what is shared at its end.  What is
   garbage in it is gone two cycles later.  From any thread. */
void caml_share_ask_back(void);

/* Implemented by ocaml/setting_apart.h, in shared_heap.c */

/* Moves all lists of the heap to those that are set apart, and back.  By the
   domain whose heap it is. */
void caml_share_set_apart(struct caml_heap_state* heap);
void caml_share_take_back(struct caml_heap_state* heap);
const struct heap_stats* caml_share_apart_stats(void);

/* Calls [list] for each pool that is set apart, with its size class, and for
   each large block, with 0.  False if that returned false. */
typedef bool (*caml_share_lister)(void* p, unsigned sizeclass);
bool caml_share_list_apart(caml_share_lister list);
void caml_share_forget_apart(void);

/* Makes it one of those that domains have left, which others adopt: in a
   stop-the-world section, by one domain. */
void caml_share_orphan_pool(void* pool, unsigned sizeclass);
void caml_share_orphan_large(void* block);
void caml_share_orphan_stats(const struct heap_stats* stats);

#endif /* CAML_HEAP_SHARE_PART_H */
