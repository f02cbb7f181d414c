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


/* A process's descendants among all that there are. */

#ifndef DESCENDANTS_H
#define DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
  pid_t pid, parent;
  uint64_t start; /* clock ticks since boot; a pid may be used again */
  bool found;     /* false */
};

/* Puts those of [root], without itself, into [found], which has room for all
   [n].  Returns how many there are.  Sorts [all] by parent: n log n steps. */
size_t descendants(struct process* all, size_t n, pid_t root,
                   struct process* found);

#endif /* DESCENDANTS_H */
