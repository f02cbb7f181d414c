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

/* What the process takes of the memory that it may take. */

#ifndef CAML_HEAP_MEMORY_STATE_H
#define CAML_HEAP_MEMORY_STATE_H

#include <stddef.h>
#include <stdint.h>
#include "jemalloc_container.h"

/* Bytes; CAML_NO_LIMIT: no limit */
struct caml_memory_state {
  size_t process, soft, hard;
  size_t pressure_events; /* see heap_relief.h */
  char cgroup[CAML_CONTAINER_PATH]; /* whose limit it is; "": none's */
};

/* The same for other processes, as wide everywhere; UINT64_MAX: no limit.
   [setting] is Xmemory_limit's.  Not to be relied on while it changes. */
struct caml_memory_shown {
  int64_t setting;
  uint64_t process, soft, hard; /* of the last look; 0: there was none */
  char cgroup[CAML_CONTAINER_PATH];
};

extern struct caml_memory_shown caml_memory_shown;

#endif /* CAML_HEAP_MEMORY_STATE_H */
