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


/* The mappings of a process, as smaps has them.  What is read here may be a
   hostile process's: read it where it can be given up (look.h). */

#ifndef MAPPINGS_H
#define MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In bytes */
struct part_size {
  unsigned mappings;
  uint64_t size, rss, pss, huge, lazy_free;
};

/* One mapping, a line of smaps and those below it */
struct mapping {
  uint64_t start, end, offset, inode;
  char device[16];
  char perms[5];
  bool file;
  char name[32]; /* as far as it matters */
  char* path;    /* of a file that is mapped executable, or NULL; owned */
  struct part_size size;
};

/* In the order of their addresses */
struct mappings {
  struct mapping* items;
  size_t length, room;
  unsigned paths;
};

/* [m] is empty.  Returns 0 or errno: ESRCH if there is no such process, ENODATA
   if it has no memory of its own, ENOENT if the kernel does not show it,
   EACCES if we may not look. */
int mappings_read(pid_t pid, struct mappings* m);
void mappings_free(struct mappings* m);

/* [p], which has been allocated; the process ends if it is NULL. */
void* must(void* p);

#endif /* MAPPINGS_H */
