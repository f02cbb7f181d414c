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

/* The part of the heap that a process shares with others after a fork
   (doc/forked-workers.md), by the addresses of its pages.  While there is one,
   none of its blocks is marked, swept, moved or freed: to the collector it is
   alive and marked, whatever the headers say. */

#ifndef CAML_HEAP_SHARE_H
#define CAML_HEAP_SHARE_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include <stdint.h>
#include "heap_config.h"
#include "mlvalues.h"

#ifdef CAML_HEAP_JEMALLOC

/* Bytes: 4 KiB, whatever the kernel's pages are */
#define CAML_SHARE_PAGE_LOG 12
#define CAML_SHARE_PAGE ((uintnat)1 << CAML_SHARE_PAGE_LOG)

/* The pages that blocks of the shared part lie on; no other block does. */
struct caml_share_pages {
  uintnat start, size; /* bytes of address space */
  uint64_t* set;       /* a bit for each page */
};

/* NULL: there is no shared part.  Changed inside a stop-the-world section, or
   while what is added to it is still marked like other blocks: who reads it
   too early does no harm. */
extern struct caml_share_pages* _Atomic caml_share_pages;

static inline bool caml_share_has_page(const struct caml_share_pages* pages,
                                       uintnat address) {
  uintnat offset = address - pages->start, page;
  if (offset >= pages->size) return false;
  page = offset >> CAML_SHARE_PAGE_LOG;
  return (pages->set[page / 64] >> (page % 64) & 1) != 0;
}

/* Is there a shared part? */
static inline bool caml_share_exists(void) {
  return atomic_load_explicit(&caml_share_pages, memory_order_relaxed) != NULL;
}

/* Is the block of the shared part?  It may be any block, inside of the heap or
   not. */
static inline bool caml_share_holds(value v) {
  const struct caml_share_pages* pages =
    atomic_load_explicit(&caml_share_pages, memory_order_acquire);
  return pages != NULL && caml_share_has_page(pages, (uintnat)v);
}

/* Something is set apart, and not listed yet: none of it is in the part. */
extern _Atomic bool caml_share_is_apart;

/* Lists it now.  False without memory.  [may_take_back]: or takes it back, at
   the beginning of a slice.  With the domain lock, anywhere. */
bool caml_share_is_listed(bool may_take_back);

static inline bool caml_share_is_unlisted(void) {
  return atomic_load_explicit(&caml_share_is_apart, memory_order_relaxed);
}

/* Lists it, or takes it back if no other process has it.  Before the collector
   marks or sweeps: as a slice begins and, since OCaml 5.5, as marking does, by
   one domain inside the stop-the-world section.  With the domain lock. */
void caml_share_settle(void);

/* Lists it, and darkens the block.  [caml_darken] calls this last of all, so
   that it need not save registers for it each time. */
void caml_share_darken(void* state, value v);

/* Is there anything left for marking to do about the part? */
extern _Atomic bool caml_share_marks;

static inline bool caml_share_is_to_be_marked(void) {
  return atomic_load_explicit(&caml_share_marks, memory_order_acquire);
}

/* Does a step of that, and takes its work, in words, from the budget.  False if
   none was left.  By any domain that marks, with its mark stack empty. */
bool caml_share_mark_some(intnat* budget);

static inline bool caml_share_mark(intnat* budget) {
  return caml_share_is_to_be_marked() && caml_share_mark_some(budget);
}

/* A cycle has ended: gives the part back if that was asked for, or if its
   marking found hardly a page of it to be shared any more.  By one domain,
   inside the stop-the-world section, when colours have changed and before
   domains take up orphaned pools. */
void caml_share_cycle_ended(void);

#else

static inline bool caml_share_exists(void)
{
  return false;
}

static inline bool caml_share_holds(value v)
{
  (void)v;
  return false;
}

static inline bool caml_share_is_unlisted(void)
{
  return false;
}

static inline bool caml_share_is_to_be_marked(void)
{
  return false;
}

static inline bool caml_share_mark(intnat* budget)
{
  (void)budget;
  return false;
}

static inline void caml_share_settle(void)
{
}

static inline void caml_share_darken(void* state, value v)
{
  (void)state;
  (void)v;
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_SHARE_H */
