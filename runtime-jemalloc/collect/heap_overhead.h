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

/* Does a major cycle end with a compaction, since too much of the heap is
   unused?  Independent of OCaml's runtime and of its clock, so that it can be
   tested alone.  Called by one domain, inside a stop-the-world section. */

#ifndef CAML_HEAP_OVERHEAD_H
#define CAML_HEAP_OVERHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds.  Both go forward only. */
struct caml_overhead_clock {
  uint64_t (*now)(void);
  uint64_t (*busy)(void); /* while the process had a processor, all threads
                             together */
};

/* What is measured at the end of a cycle, bytes */
struct caml_overhead_measures {
  size_t in_use;      /* pools and large blocks */
  size_t blocks;      /* in blocks, garbage that has not been swept among them
                         */
  size_t counted;     /* in blocks counted as marked, if that is [known]; else
                         [blocks] */
  size_t lost;        /* in pools, to their headers and the sizes of blocks */
  uint64_t allocated; /* since the program began */
  bool known;
};

/* The cycle that has ended */
struct caml_overhead_cycle {
  intptr_t max_overhead;   /* percent; 0 and CAML_OVERHEAD_NEVER need no cycle
                              */
  intptr_t space_overhead; /* percent */
  size_t between; /* bytes that the program allocates from one slice to the
                     next */
  uint64_t most_stop; /* ns: a compaction that would take longer is not begun */
  bool others;    /* somebody else's, or it may not end with a compaction */
};

/* All zero at first */
struct caml_overhead {
  uint64_t allocated[2]; /* bytes, since the program began, at the ends of
                            cycles: the last, the one before */
  size_t counted;        /* bytes in blocks counted as marked in the last */
  size_t not_counted;    /* and not, in the one before */
  size_t begun;          /* bytes in blocks not known to be garbage, at the
                            last's end */
  double survival;       /* the part of these marked in the last */
  uint64_t ended;        /* when the last did, ns; 0: it was not looked at */
  uint64_t seems_since;  /* too much is unused, ns; 0: it does not seem so */
  /* Since it is to be known */
  int cycles;            /* that were accelerated, or are; 0: none */
  double least_slice;    /* the part of a cycle's work that each slice does */
  size_t suspicious;     /* bytes in use */
  uint64_t suspected;    /* since when, ns */
  uint64_t busy;         /* by then, ns */
  /* A compaction */
  bool compacting;       /* the cycle that has ended ends with ours */
  uint64_t decided;      /* when, ns */
  uint64_t decided_busy; /* ns by then */
  size_t before;         /* bytes in use then */
  size_t reads;          /* bytes, about */
  double stop;           /* of the last ones, ns a byte read; 0: there was none
                            */
  /* Until the next */
  unsigned doublings;
  uint64_t not_before;   /* ns */
};

/* Is the heap, of so many bytes in use, too small for anything to be decided?
   Then it need not be measured, and [caml_overhead_skip] forgets what was. */
bool caml_overhead_is_small(const struct caml_overhead* overhead,
                            size_t in_use);
void caml_overhead_skip(struct caml_overhead* overhead);

/* Sets [compacting], if the cycle is to end with a compaction, and
   [least_slice] for the next. */
void caml_overhead_cycle_ended(struct caml_overhead* overhead,
                               const struct caml_overhead_clock* clock,
                               const struct caml_overhead_cycle* cycle,
                               const struct caml_overhead_measures* measures);

/* Sets [compacting], whatever is unused, and however long it takes. */
void caml_overhead_compact(struct caml_overhead* overhead,
                           const struct caml_overhead_clock* clock,
                           size_t in_use);

/* The compaction has ended: [returned] of the bytes in use are free. */
void caml_overhead_compacted(struct caml_overhead* overhead,
                             const struct caml_overhead_clock* clock,
                             size_t returned);

#endif /* CAML_HEAP_OVERHEAD_H */
