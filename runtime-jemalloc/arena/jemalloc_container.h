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

/* The memory limits that the system sets for the process and those that it
   shares them with: of its memory cgroups, version 1 and 2, and of the cgroups
   above these.  From files under a root directory, so that it can be tested
   alone.  What cannot be read, or is not as the kernel writes it, does not
   limit.  But where it is the process that cannot open a file, having no
   descriptor or no memory left, what was known stays. */

#ifndef CAML_JEMALLOC_CONTAINER_H
#define CAML_JEMALLOC_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#define CAML_CONTAINER_LEVELS 16
#define CAML_CONTAINER_PATH 512
#define CAML_NO_LIMIT ((size_t)-1)

/* A level's, bytes */
struct caml_container_limit {
  size_t most;     /* CAML_NO_LIMIT: none */
  size_t kills_at; /* past which the kernel kills, [most] or more; likewise */
  size_t used; /* by all that is in it, without what the kernel caches of files,
                  which it gives up first */
};

/* Directories of cgroups, from the process's own up.  What does not fit is left
   out: a path that is longer, and what is above so many levels. */
struct caml_container {
  unsigned levels;
  struct caml_container_level {
    bool v1;
    char path[CAML_CONTAINER_PATH];
    struct caml_container_limit known; /* as it was last read */
  } level[CAML_CONTAINER_LEVELS];
};

/* Finds the cgroups of the process whose files are in [root]/proc/self, with
   the mounts that are told there: through a namespace too, in which a path may
   be relative to a mount.  [root] is "" for the system's own.  *[container] has
   none, or those that were found last. */
void caml_container_find(const char* root, struct caml_container* container);

/* Reads the limit of a level: memory.max or memory.high, past which the kernel
   does not kill, the lesser, or memory.limit_in_bytes; and what is used of it,
   if there is one. */
struct caml_container_limit
caml_container_read(struct caml_container_level* level);

/* The level that has the greatest part of its limit in use, and its limit in
   *limit; or NULL if none has a limit. */
const struct caml_container_level*
caml_container_tightest(struct caml_container* container,
                        struct caml_container_limit* limit);

#endif /* CAML_JEMALLOC_CONTAINER_H */
