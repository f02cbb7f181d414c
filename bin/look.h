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


/* Looks at processes that may be hostile. */

#ifndef LOOK_H
#define LOOK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "process_map.h"

struct look {
  pid_t pid;
  uint64_t start;       /* of the process; free to the caller */
  struct places places; /* zero before the first look */
  int error;            /* of the last look; ETIMEDOUT: there is no other */
  struct process_map map;
};

/* Seconds that a process gets.  To read smaps took 16 ms for each GiB of small
   pages, on a virtual machine: 300 GiB. */
#define LOOK_SECONDS 5

/* Sets [places], [error] and [map] of each: as process_map_read, or ETIMEDOUT
   after so many seconds, or ECHILD if the reader died. */
void look(struct look* looks, size_t n, double seconds);

/* One line on stderr that says why the last look failed, and exit status 1. */
_Noreturn void look_failed(const struct look* l, double seconds);

/* One look that succeeds, or that. */
void look_or_fail(struct look* l, double seconds);

#endif /* LOOK_H */
