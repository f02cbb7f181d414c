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

/* What the kernel is told about memory, and may not know: an older kernel, or
   a filter in front of it, refuses some of it at every call.  Such a refusal is
   remembered, for the process, and the call is left out; the heap does without.

   It is made again now and then, since a refusal may end: MADV_FREE is refused
   of locked memory too, and a program may lock its memory for a while only.
   After the first refusal 1,024 calls are left out, after each further one in a
   row twice as many as before. */

#ifndef CAML_JEMALLOC_ADVICE_H
#define CAML_JEMALLOC_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

/* Calls left out after the first refusal, and at most */
#define CAML_ADVICE_LEFT_OUT 1024u
#define CAML_ADVICE_LEFT_OUT_MOST (1u << 30)

/* The name of the mappings in /proc/PID/smaps, where the kernel has names. */
#define CAML_MAPPING_NAME "OCaml major heap"

enum caml_advice {
  CAML_ADVICE_FREE,     /* MADV_FREE, since Linux 4.5 */
  CAML_ADVICE_POPULATE, /* MADV_POPULATE_WRITE, since Linux 5.14 */
  CAML_ADVICE_HUGE,     /* MADV_HUGEPAGE, where the kernel has huge pages */
  CAML_ADVICE_PLAIN,    /* MADV_NOHUGEPAGE, likewise */
  CAML_ADVICE_NAME,     /* PR_SET_VMA_ANON_NAME, where it has names */
  CAML_N_ADVICES
};

/* Did the kernel do as it was told for [size] bytes from [p], whole pages?
   From any thread. */
bool caml_advise(void* p, size_t size, enum caml_advice advice);

/* Was [advice] refused when it was last given, and not for want of memory or
   the like?  From any thread. */
bool caml_advice_is_refused(enum caml_advice advice);

#endif /* CAML_JEMALLOC_ADVICE_H */
