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

/* How much of the heap's memory is shared with other processes after a fork,
   or in swap: from a sample of its pages.  To write into what is
   shared copies it, as marking does. */

#ifndef CAML_HEAP_SHARING_H
#define CAML_HEAP_SHARING_H

#include <stddef.h>

/* Bytes of what is in use */
struct caml_heap_sharing { size_t shared, swapped; };

/* Nothing is shared where no fork is known of.  Takes about half a millisecond.
   All zeros where the system does not tell.  By one thread at a time. */
struct caml_heap_sharing caml_heap_sample_sharing(void);

/* There has been a fork: in the parent and in the child. */
void caml_heap_forked(void);

#endif /* CAML_HEAP_SHARING_H */
