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


#define CAML_INTERNALS

#include <stddef.h>
#include "caml/address_class.h"
#include "heap_jemalloc.h"
#include "heap_map.h"

struct caml_heap_map caml_heap_map = {
  .magic = CAML_HEAP_MAP_MAGIC,
  .version = CAML_HEAP_MAP_VERSION,
  .n_mappings = CAML_EXTENTS_MAPPINGS,
};

static uint64_t address(const volatile void* p) {
  return (uint64_t)(uintptr_t)p;
}

void caml_heap_map_init(void) {
  struct caml_extents* extents = &caml_heap.arena.extents;
  caml_heap_map.mappings = address(extents->mappings);
  caml_heap_map.used = address(&extents->n_mappings);
  caml_heap_map.in_use = address(caml_heap.in_use.shards);
  caml_heap_map.n_in_use = CAML_IN_USE_SHARDS;
  caml_heap_map.in_use_step = sizeof(struct caml_in_use_shard);
  caml_heap_map.minor_start = address(&caml_minor_heaps_start);
  caml_heap_map.minor_end = address(&caml_minor_heaps_end);
  caml_heap_map.limit = address(&caml_memory_shown);
  caml_heap_map.self = address(&caml_heap_map);
}
