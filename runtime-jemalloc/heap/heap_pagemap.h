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

/* proc/pid/pagemap, in Linux's documentation: an entry of 64 bits a page */

#ifndef CAML_HEAP_PAGEMAP_H
#define CAML_HEAP_PAGEMAP_H

#include <stdint.h>

#define CAML_PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define CAML_PAGEMAP_SWAPPED ((uint64_t)1 << 62)
#define CAML_PAGEMAP_EXCLUSIVE ((uint64_t)1 << 56)

#endif /* CAML_HEAP_PAGEMAP_H */
