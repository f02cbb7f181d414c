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


#include <stdlib.h>
#include "descendants.h"

static int by_parent(const void* a, const void* b) {
  const struct process* x = a;
  const struct process* y = b;
  return x->parent < y->parent ? -1 : x->parent > y->parent;
}

/* Of those in [all] the first whose parent is [parent] or greater */
static size_t first_child(const struct process* all, size_t n, pid_t parent) {
  size_t low = 0;
  while (low < n) {
    size_t middle = low + (n - low) / 2;
    if (all[middle].parent < parent) low = middle + 1;
    else n = middle;
  }
  return low;
}

/* Each is found once, though numbers that are used again while the processes
   are listed can make a circle. */
size_t descendants(struct process* all, size_t n, pid_t root,
                   struct process* found) {
  size_t length = 0;
  pid_t parent = root;
  qsort(all, n, sizeof(*all), by_parent);
  for (size_t next = 0; ; next++) {
    size_t i = first_child(all, n, parent);
    for (; i < n && all[i].parent == parent && !all[i].found; i++) {
      all[i].found = true;
      if (all[i].pid != root) found[length++] = all[i];
    }
    if (next == length) return length;
    parent = found[next].pid;
  }
}
