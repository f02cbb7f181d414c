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

/* What the system charges the process for: pages only, or address space too.

   Address space without pages costs nothing as a rule, and is kept for the next
   page.  It is charged for by
     - RLIMIT_AS, which counts all of it;
     - RLIMIT_DATA, which counts what may be written to;
     - vm.overcommit_memory 2, which counts that too, against a limit of the
       whole machine;
     - mlockall(MCL_FUTURE), which gives pages to all of it and locks them. */

#ifndef CAML_JEMALLOC_LIMITS_H
#define CAML_JEMALLOC_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caml_limits {
  _Atomic bool locked;         /* some memory of the heap is, or was */
  _Atomic bool strict;         /* vm.overcommit_memory was 2 */
  _Atomic uint64_t strict_read; /* when, ns; 0: never */
};

/* Is address space charged now?  The limits are read each time, since setrlimit
   and prlimit may change them: two system calls.  The setting of the machine is
   read once a second at most.  What cannot be read does not limit.  From any
   thread. */
bool caml_limits_charge(struct caml_limits* limits);

/* The kernel said that pages of the heap are locked. */
void caml_limits_found_locked(struct caml_limits* limits);

/* [p], a page at its start, has just been mapped: is it locked? */
void caml_limits_mapped(struct caml_limits* limits, void* p);

/* In a forked child, which inherits limits and no locks. */
void caml_limits_postfork_child(struct caml_limits* limits);

#endif /* CAML_JEMALLOC_LIMITS_H */
