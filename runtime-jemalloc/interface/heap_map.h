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


/* Where the parts of the process are, for other processes: the tool finds the
   place of this structure by its magic in the file of the program or library,
   where all behind [n_mappings] is 0, and reads it in the process with
   process_vm_readv.  Kernels that name mappings say it in smaps too. */

#ifndef CAML_HEAP_MAP_H
#define CAML_HEAP_MAP_H

#include <stdint.h>
#include "heap_memory_state.h"
#include "jemalloc_mapping.h"

#define CAML_HEAP_MAP_MAGIC "OCamlHeapMap\1\2\3" /* 16 bytes with the last 0 */
#define CAML_HEAP_MAP_VERSION 3

/* Numbers only, as wide everywhere; addresses are of this process. */
struct caml_heap_map {
  char magic[16];
  uint32_t version;      /* for ever after the magic */
  uint32_t n_mappings;   /* room at [mappings] */
  uint64_t self;         /* its own address, 0 until there is a heap */
  uint64_t mappings;     /* address of an array of struct caml_heap_mapping */
  uint64_t used;         /* address of an unsigned: how many were made; past
                            [n_mappings], the others are not in the array */
  uint64_t in_use;       /* address of the first shard of the bytes in use: two
                            size_t, in pools and in large blocks, of which the
                            sums over all shards count */
  uint32_t n_in_use, in_use_step; /* shards, and bytes from one to the next */
  uint64_t minor_start, minor_end; /* addresses of the minor heaps' bounds */
  uint64_t limit;        /* address of a struct caml_memory_shown */
};

extern struct caml_heap_map caml_heap_map;

/* Fills it in.  Called once, when there is a heap. */
void caml_heap_map_init(void);

#endif /* CAML_HEAP_MAP_H */
