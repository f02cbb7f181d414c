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

/* What the program allocates past the minor heap. */

#define CAML_INTERNALS

#include "caml/heap_memory.h"
#include "caml/shared_heap.h"
#include "heap_jemalloc.h"

/* Bytes: from here on jemalloc has an extent for each block.  A page fault
   takes 12 us on the machine of bench/report.md, a page by this call 3: a GiB
   of arrays (bench/programs/growth.ml, 42 1024 large) 1.1 s instead of 3.4. */
#define POPULATED ((size_t)16 << 10)

/* What has fields is filled before the GC may see it.  Bytes may never be. */
static bool is_to_be_filled(mlsize_t wosize, tag_t tag) {
  return Bsize_wsize(wosize) >= POPULATED && tag < No_scan_tag;
}

value* caml_heap_try_alloc(struct caml_heap_state* heap, mlsize_t wosize,
                           tag_t tag, reserved_t reserved
                           CAML_HEAP_PINNED_PARAMETER) {
  bool fill = is_to_be_filled(wosize, tag);
  size_t before = fill ? caml_arena_committed(&caml_heap.arena) : 0;
  value* block =
    caml_heap_alloc_in_limit(heap, wosize, tag, reserved CAML_HEAP_PINNED);
  if (fill && block != NULL)
    caml_arena_populate(&caml_heap.arena, block, Bsize_wsize(wosize), before);
  return block;
}
