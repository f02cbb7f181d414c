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

/* Compactions at the end of a major cycle when too much of the heap is unused.
   Written by one domain, inside a stop-the-world section. */

#ifndef CAML_HEAP_OVERHEAD_H
#define CAML_HEAP_OVERHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "caml/heap_memory.h"

/* Xmax_overhead, from here on: no compaction that nobody asked for, as in OCaml 4 */
#define CAML_OVERHEAD_NEVER 1000000

struct caml_overhead {
  uint64_t allocated[2]; /* bytes, since the program began, at the ends of cycles: the
                            last, the one before */
  struct caml_marks marks; /* at the last's end */
  size_t counted;        /* bytes in blocks counted as marked in the last */
  size_t not_counted;    /* and not, in the one before */
  size_t begun;          /* bytes in blocks not known to be garbage, at the last's end */
  double survival;       /* the part of these marked in the last */
  uint64_t seems_since;  /* too much is unused, ns; 0: it does not seem so */
  /* Since it is to be known */
  int cycles;            /* that have hurried, or do; 0: none */
  double hurry;          /* the part of a cycle's work that a slice has to do */
  size_t suspicious;     /* bytes in use */
  uint64_t suspected;    /* since when, ns */
  /* A compaction */
  bool compacting;       /* the cycle that has ended ends with ours */
  uint64_t began;        /* at the end of the last cycle, ns */
  size_t before;         /* bytes in use */
  /* Until the next */
  unsigned doublings;
  uint64_t not_before;   /* ns */
};

/* A compaction has ended, ours or another.  What ours freed is left to the decay,
   which does not stop the program. */
void caml_overhead_compacted(struct caml_overhead* overhead);

#endif /* CAML_HEAP_OVERHEAD_H */
