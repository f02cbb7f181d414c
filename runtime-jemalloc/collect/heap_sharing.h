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
   or in swap: from a sample of its pages. */

#ifndef CAML_HEAP_SHARING_H
#define CAML_HEAP_SHARING_H

#include <stddef.h>

/* Bytes of what is in use */
struct caml_heap_sharing { size_t shared, swapped; };

/* Takes about half a millisecond.  All zeros where the system does not tell. */
struct caml_heap_sharing caml_heap_sample_sharing(void);

#endif /* CAML_HEAP_SHARING_H */
