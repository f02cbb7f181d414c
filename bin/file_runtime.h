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


/* Which runtime a program, a library or an object file is on */

#ifndef FILE_RUNTIME_H
#define FILE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

struct file_runtime {
  const char* kind; /* what file it is, in words */
  bool ours;
};

struct contents {
  const char* data;
  size_t size;
};

/* Of a file that has these */
struct file_runtime runtime_of(struct contents c);

/* Does not return if the file cannot be read: exit status 2. */
struct file_runtime file_runtime(const char* path);

#endif /* FILE_RUNTIME_H */
