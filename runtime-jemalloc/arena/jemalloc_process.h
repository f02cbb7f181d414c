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

/* What the process takes, as the kernel tells. */

#ifndef CAML_JEMALLOC_PROCESS_H
#define CAML_JEMALLOC_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes */
struct caml_process {
  size_t resident;  /* pages that are there */
  size_t anonymous; /* of these, those of no file and of no memory shared by
                       name: what no one else is charged for, and what the
                       kernel cannot take back without swap */
  size_t address_space; /* what RLIMIT_AS counts */
  size_t data;          /* what RLIMIT_DATA counts, and stacks */
  bool stale;           /* as of an earlier call: the process has no descriptor
                           left to ask with */
};

/* From /proc/self/statm: a few microseconds, whatever the size, where smaps
   takes milliseconds a GiB.  The kernel's counters may be off by some dozens of
   pages a processor.  All zeros where it does not tell.  From any thread. */
struct caml_process caml_process_read(void);

#endif /* CAML_JEMALLOC_PROCESS_H */
