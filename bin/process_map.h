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


/* The memory of a running process, part by part, from its smaps and from the
   table that the runtime keeps in it (heap_map.h).  Sizes are in bytes. */

#ifndef PROCESS_MAP_H
#define PROCESS_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum part {
  PART_MAJOR_HEAP, /* with jemalloc's own data for it */
  PART_MINOR_HEAPS,
  PART_STACKS,     /* of threads; those of fibers are in the C heap */
  PART_C_HEAP,     /* without the table, OCaml's heaps too */
  PART_CODE,       /* files, with their data */
  PART_OTHER,
  N_PARTS
};

struct part_size {
  unsigned mappings;
  uint64_t size, rss, pss, huge, lazy_free;
};

struct process_map {
  bool on_jemalloc;       /* has the table */
  uint64_t pools, large;  /* bytes in use, if it has */
  unsigned unlisted;      /* mappings of the heap that are not in the table */
  struct part_size parts[N_PARTS];
  struct part_size total;
};

/* Reads the map of [pid].  Returns 0 or errno: ESRCH if there is no such
   process, EACCES if it is not ours. [table] is where the runtime's table was
   the last time, 0 if that is not known, and is set. */
int process_map_read(pid_t pid, uint64_t* table, struct process_map* map);

/* What a user calls the part */
const char* part_name(enum part part, bool on_jemalloc);

#endif /* PROCESS_MAP_H */
