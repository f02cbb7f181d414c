/* For the C of these tests: is the place of [block] in the heap mapped? */

#ifndef MAPPED_H
#define MAPPED_H

#include <stdio.h>
#include <caml/mlvalues.h>

static int is_mapped(value block) {
  FILE* f = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned long first, end;
  int found = 0;
  while (fgets(line, sizeof(line), f))
    if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
      found |= first <= (unsigned long)block && (unsigned long)block < end;
  fclose(f);
  return found;
}

#endif
