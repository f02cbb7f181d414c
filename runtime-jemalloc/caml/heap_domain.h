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

/* Domains whose threads are all in blocking sections: another thread borrows
   one of them and does the collector's work for it. */

#ifndef CAML_HEAP_DOMAIN_H
#define CAML_HEAP_DOMAIN_H

#ifdef CAML_INTERNALS

#include <stdbool.h>
#include "config.h"
#include "heap_config.h"
#include "platform.h"
#include "version.h"

#if OCAML_VERSION < 50300
#define caml_plat_lock_blocking caml_plat_lock /* before it was renamed */
#endif

#ifdef CAML_HEAP_JEMALLOC

/* Takes the lock of the calling thread's domain, at the end of a blocking
   section, and lets it go, at the beginning of one. */
void caml_heap_lock_domain(caml_plat_mutex* domain_lock);
void caml_heap_unlock_domain(caml_plat_mutex* domain_lock);

/* Makes the calling thread, which has no domain, the one that runs domain [i],
   if all of that domain's own threads are in blocking sections.  It may then
   do the collector's work, and nothing that runs OCaml code, until
   [caml_domain_return].  From any thread. */
enum caml_domain_loan {
  CAML_DOMAIN_BORROWED, /* to be ended by [caml_domain_return] */
  CAML_DOMAIN_BUSY,     /* a thread runs it, or it begins or ends */
  CAML_DOMAIN_NONE,     /* there is no such domain now */
  CAML_DOMAIN_LAST      /* nor any of a higher number */
};
enum caml_domain_loan caml_domain_borrow(int i);

/* Is the calling thread one that borrows domains?  What is for their own
   threads, as to yield to another of them, is not for it. */
bool caml_heap_stands_in(void);

void caml_domain_return(void);

/* Does each domain that there is take part in the stop-the-world section?  One
   that ends leaves them before its heap and what it has tracked are another's.
   From inside the section. */
bool caml_domain_all_take_part(void);

/* What the domains that take part in the stop-the-world section have marked
   since they began; in *stats their statistics, with those of the ones that
   have ended.  From inside the section, by one of them while the others
   wait. */
struct gc_stats;
struct caml_marks {
  uintnat blocks;
  uintnat domains; /* another number if they are others */
};
struct caml_marks caml_domain_marks(struct gc_stats* stats);

/* Has a domain that takes part in the stop-the-world section finalisers to
   call?  From inside the section, by one of them while the others wait. */
bool caml_domain_finalisers_wait(void);

#else

static inline bool caml_heap_stands_in(void)
{
  return false;
}

static inline void caml_heap_lock_domain(caml_plat_mutex* domain_lock)
{
  caml_plat_lock_blocking(domain_lock);
}

static inline void caml_heap_unlock_domain(caml_plat_mutex* domain_lock)
{
  caml_plat_unlock(domain_lock);
}

#endif /* CAML_HEAP_JEMALLOC */

#endif /* CAML_INTERNALS */

#endif /* CAML_HEAP_DOMAIN_H */
