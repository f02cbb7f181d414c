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

/* Advice to the kernel about memory.

   Some kernels do not know some advice: an older kernel, or a filter in front
   of the kernel, refuses it at every call.  The process remembers such a
   refusal and leaves the call out; the heap does without.

   A refusal may end: MADV_FREE is also refused for locked memory, and a
   program may lock its memory for a while only.  So the call is made again now
   and then.  After the first refusal 1,024 calls are left out, after each
   further one in a row twice as many as before. */

#ifndef CAML_JEMALLOC_ADVICE_H
#define CAML_JEMALLOC_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

/* Calls that are left out after the first refusal, and at most */
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

/* Gives advice for [size] bytes from [p], whole pages.  False if the kernel
   refused it, or would as far as is known.  From any thread. */
bool caml_advise(void* p, size_t size, enum caml_advice advice);

/* Was [advice] refused when it was last given, other than for want of memory or
   the like?  From any thread. */
bool caml_advice_is_refused(enum caml_advice advice);

#endif /* CAML_JEMALLOC_ADVICE_H */
