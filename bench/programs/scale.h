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

/* What scale_trace.c writes and scale.c reads. */

#ifndef SCALE_H
#define SCALE_H

#include <stdbool.h>
#include <stdint.h>

#define SCALE_MEDIUM_POOL 1

struct scale_event {
  uint64_t began; /* ns of the thread's own time */
  uint32_t took;  /* ns */
  uint16_t domain;
  bool put;       /* or got */
  uint64_t block; /* its address */
  uint64_t size;  /* bytes; 0: a pool; SCALE_MEDIUM_POOL */
};

#endif /* SCALE_H */
