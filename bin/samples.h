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


/* What the memory of a process and its descendants was over time. */

#ifndef SAMPLES_H
#define SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "look.h"

#define MIB (1024. * 1024.)

/* Sums over the processes that were looked into; bytes */
struct sample {
  double seconds; /* since the start */
  unsigned processes, unread; /* that there are, and may not be looked into */
  unsigned on_jemalloc; /* of the processes; other heaps are unknown */
  uint64_t pss;
  uint64_t in_use; /* pools and large blocks */
  uint64_t free;   /* of the major heap: resident and not in use */
  uint64_t muzzy;  /* the part of that which the kernel may take */
};

struct samples {
  struct sample* items;
  size_t length, room;
  struct look* looks; /* of the last sample, by pid */
  size_t n_looks;
};

/* Takes one of [program], a child of ours, and its descendants, those too whose
   parent we are now; none if they have ended, or if there is no memory. */
void samples_take(struct samples* samples, pid_t program, double seconds);

/* Is [pid], a child of ours as [program] is, one that we have from before exec?
   Those are not the program's.  Neither has been waited for. */
bool is_from_before(pid_t pid, pid_t program);

void samples_free(struct samples* samples);

/* Tab-separated, in MiB, with a heading */
void samples_print(const struct samples* samples, FILE* out);

/* The same to a file.  Returns 0 or errno. */
int samples_write(const struct samples* samples, const char* path);

/* Can it be drawn?  Wrong use if not: [path] has to end in .svg, and there has
   to be a gnuplot. */
void plot_check(const char* path);

/* Draws them with gnuplot.  [title] is of the program. */
void plot(const struct samples* samples, const char* title, const char* path);

#endif /* SAMPLES_H */
