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

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_process.h"

struct caml_process caml_process_read(void) {
  char text[128];
  size_t size, resident, shared, data;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (fd >= 0) close(fd);
  if (length < 0) return (struct caml_process){ 0 };
  assert((size_t)length < sizeof(text));
  text[length] = '\0';
  if (sscanf(text, "%zu %zu %zu %*u %*u %zu", &size, &resident, &shared, &data)
      != 4)
    return (struct caml_process){ 0 };
  return (struct caml_process){
    .resident = resident * page, .address_space = size * page,
    .anonymous = resident > shared ? (resident - shared) * page : 0,
    .data = data * page
  };
}
