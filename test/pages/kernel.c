/**************************************************************************/
/*                                                                        */
/*                            runtime-jemalloc                            */
/*                                                                        */
/*   Copyright 2026 the runtime-jemalloc developers                       */
/*                                                                        */
/*   All rights reserved.  This file is distributed under the terms of    */
/*   the GNU Lesser General Public License version 2.1, with the          */
/*   special exception on linking described in the file LICENSE.          */
/* A kernel with pages of KERNEL_PAGE bytes, a multiple of the real ones, as far as a
   program can see it through the C library: preloaded.  It refuses addresses that are
   not at such a page, and maps, unmaps and gives back whole ones.  What is not as on
   such a kernel: pages are still touched one real page at a time. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uintptr_t page(void) {
  static uintptr_t bytes;
  if (bytes == 0) bytes = strtoul(getenv("KERNEL_PAGE"), NULL, 10);
  return bytes;
}

static size_t real_page(void) {
  return (size_t)getauxval(AT_PAGESZ);
}

static bool is_at_page(const void* p) {
  return (uintptr_t)p % page() == 0;
}

static size_t whole(size_t size) {
  return (size + page() - 1) & -page();
}

static long invalid(void) {
  errno = EINVAL;
  return -1;
}

long sysconf(int name) {
  static long (*real)(int);
  if (name == _SC_PAGESIZE) return (long)page();
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "sysconf");
  return real(name);
}

int getpagesize(void) {
  return (int)page();
}

static void* map_at(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
}

static void unmap(char* p, size_t size) {
  if (size > 0) syscall(SYS_munmap, p, size);
}

/* Reserves more than that, cuts off both ends and maps in its place. */
static void* map_aligned(size_t size, int prot, int flags, int fd, off_t offset) {
  size_t all = size + page() - real_page(), before;
  char* p = map_at(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return p;
  before = -(uintptr_t)p & (page() - 1);
  unmap(p, before);
  unmap(p + before + size, all - before - size);
  return map_at(p + before, size, prot, flags | MAP_FIXED, fd, offset);
}

void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if ((size_t)offset % page() != 0
      || ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && !is_at_page(p)))
    return (void*)invalid();
  if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
    return map_at(p, whole(size), prot, flags, fd, offset);
  if (size == 0 || whole(size) < size) return (void*)invalid();
  return map_aligned(whole(size), prot, flags, fd, offset);
}

void* mmap64(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  return mmap(p, size, prot, flags, fd, offset);
}

/* CALL(NAME, PARAMETERS, ARGUMENTS): of whole pages from the first argument */
#define CALL(name, parameters, ...)                                           \
  int name parameters {                                                       \
    if (!is_at_page(p)) return (int)invalid();                                \
    return (int)syscall(SYS_##name, __VA_ARGS__);                             \
  }

CALL(munmap, (void* p, size_t size), p, whole(size))
CALL(mprotect, (void* p, size_t size, int prot), p, whole(size), prot)
CALL(madvise, (void* p, size_t size, int advice), p, whole(size), advice)

/* One byte for each page */
int mincore(void* p, size_t size, unsigned char* there) {
  size_t parts = page() / real_page();
  unsigned char parts_there[256];
  if (!is_at_page(p)) return (int)invalid();
  for (size_t i = 0; i < whole(size) / page(); i++) {
    char* at = (char*)p + i * page();
    if (syscall(SYS_mincore, at, page(), parts_there) != 0) return -1;
    there[i] = memchr(parts_there, 1, parts) != NULL;
  }
  return 0;
}
