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

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_process.h"

/* Of two threads that write at once each field has one's. */
static struct { _Atomic size_t resident, anonymous, address_space, data; } last;

static struct caml_process remember(struct caml_process p) {
  atomic_store(&last.resident, p.resident);
  atomic_store(&last.anonymous, p.anonymous);
  atomic_store(&last.address_space, p.address_space);
  atomic_store(&last.data, p.data);
  return p;
}

static struct caml_process last_read(void) {
  return (struct caml_process){
    .resident = atomic_load(&last.resident),
    .anonymous = atomic_load(&last.anonymous),
    .address_space = atomic_load(&last.address_space),
    .data = atomic_load(&last.data), .stale = true
  };
}

static struct caml_process read_from(int fd) {
  char text[128];
  size_t size, resident, shared, data;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  ssize_t length = read(fd, text, sizeof(text) - 1);
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

struct caml_process caml_process_read(void) {
  struct caml_process p = { 0 };
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == EMFILE || errno == ENFILE ? last_read() : p;
  p = read_from(fd);
  close(fd);
  return remember(p);
}
