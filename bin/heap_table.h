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


/* The runtime's table (heap_map.h) in another process, and what it says; and
   where the data of programs and libraries ends.

   The files that the process has mapped say where the table can be: in the
   initialised data of its program and its libraries, where the linker put it.
   The process's own memory is read at these addresses only, for what is read
   there becomes resident. */

#ifndef HEAP_TABLE_H
#define HEAP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "mappings.h"
#include "process_map.h"

struct range {
  uint64_t start, end;
  enum part part;
};

/* In the order of their addresses; none overlap or touch one of their part.  Of
   code there is what no file has. */
struct ranges {
  struct range* items;
  size_t length, room;
};

/* Sets [places], unless they were found for the same mappings; reads the table
   into [map], which is zero, and [ranges], which is empty; those are to be
   freed. */
enum table heap_table_read(pid_t pid, const struct mappings* m,
                           struct places* places, struct ranges* ranges,
                           struct process_map* map);

/* Is there a table of a program that does not run yet in the [size] bytes of a
   file? */
bool heap_table_is_in(const char* data, size_t size);

#endif /* HEAP_TABLE_H */
