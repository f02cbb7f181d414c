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
#include "heap_memory_state.h"
#include "mappings.h"

enum part {
  PART_MAJOR_HEAP, /* with jemalloc's own data for it */
  PART_MINOR_HEAPS,
  PART_STACKS,     /* of threads; those of fibers are in the C heap */
  PART_C_HEAP,     /* without the table, OCaml's heaps too */
  PART_CODE,       /* files, with their data */
  PART_OTHER,
  N_PARTS
};

/* The runtime's table */
enum table {
  TABLE_NONE,
  TABLE_UNREAD,    /* the process runs files that cannot be read */
  TABLE_FORBIDDEN, /* its files have one; its memory may not be read */
  TABLE_EMPTY,     /* there is no heap yet */
  TABLE_FOUND
};

struct process_map {
  enum table table;
  uint64_t pools, large;  /* bytes in use, if TABLE_FOUND */
  struct caml_memory_shown limit; /* likewise */
  unsigned unlisted;      /* mappings of the heap that are not in the table */
  struct part_size parts[N_PARTS];
  struct part_size total;
};

/* Where a process has the table, if it has one: what looks like it in its
   files.  Found once, for the mappings that [hash] stands for; 0: not yet. */
#define N_PLACES 4
struct places {
  uint64_t hash;
  uint64_t tables[N_PLACES];
  unsigned n;
  bool unread; /* there are files that cannot be read, or not to the end */
};

/* Reads the map of [pid], and keeps in [places] where its table is.  Returns 0
   or errno, as mappings_read.  It may wait for ever: call look (look.h). */
int process_map_read(pid_t pid, struct places* places, struct process_map* map);

/* What a user calls the part */
const char* part_name(enum part part, bool on_jemalloc);

#endif /* PROCESS_MAP_H */
