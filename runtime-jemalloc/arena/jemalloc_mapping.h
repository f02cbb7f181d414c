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

/* How the extent hooks note what they map, for heap_map.h too. */

#ifndef CAML_JEMALLOC_MAPPING_H
#define CAML_JEMALLOC_MAPPING_H

#include <stdint.h>

/* A mapping of the major heap: bytes.  [size] is written last, 0 until then. */
struct caml_heap_mapping {
  uint64_t start, size;
};

#endif /* CAML_JEMALLOC_MAPPING_H */
