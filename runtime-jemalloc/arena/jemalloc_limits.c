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

#define _GNU_SOURCE /* mincore */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_limits.h"
#include "jemalloc_thread.h"

#define SECOND 1000000000ull /* ns */

static bool is_finite(int resource) {
  struct rlimit limit;
  return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

static bool read_strict(void) {
  char setting = '0';
  int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  if (read(fd, &setting, 1) != 1) setting = '0';
  close(fd);
  return setting == '2';
}

/* The setting, read again if it is older than a second.  Threads that read it
   at once write the same. */
static bool look_at_strict(struct caml_limits* limits) {
  uint64_t now = caml_heap_now(), last = atomic_load(&limits->strict_read);
  if (last == 0 || now > last + SECOND) {
    atomic_store(&limits->strict, read_strict());
    atomic_store(&limits->strict_read, now);
  }
  return atomic_load(&limits->strict);
}

bool caml_limits_charge(struct caml_limits* limits) {
  return atomic_load(&limits->locked) || is_finite(RLIMIT_AS)
    || is_finite(RLIMIT_DATA) || look_at_strict(limits);
}

void caml_limits_found_locked(struct caml_limits* limits) {
  atomic_store(&limits->locked, true);
}

/* Nobody has touched the page yet.  If it is there, it is because it is
   locked. */
void caml_limits_mapped(struct caml_limits* limits, void* p) {
  unsigned char resident = 0;
  assert(p != NULL && caml_is_pages(p, (size_t)sysconf(_SC_PAGESIZE)));
  if (mincore(p, 1, &resident) == 0 && (resident & 1))
    caml_limits_found_locked(limits);
}

void caml_limits_postfork_child(struct caml_limits* limits) {
  atomic_store(&limits->locked, false);
}
