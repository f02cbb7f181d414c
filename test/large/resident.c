/* resident_when_allocated(words, tag): how many of the block's bytes are in pages that
   are there before it has written any but the header. */

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

static size_t resident(const void* p, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)p & -page;
  size_t n = ((uintptr_t)p + size - start + page - 1) / page, sum = 0;
  unsigned char* there = malloc(n);
  if (there == NULL || mincore((void*)start, n * page, there) != 0) abort();
  for (size_t i = 0; i < n; i++) sum += there[i] & 1;
  free(there);
  return sum * page;
}

value resident_when_allocated(value words, value tag) {
  mlsize_t n = Unsigned_long_val(words);
  value block = caml_alloc_shr(n, (tag_t)Unsigned_long_val(tag));
  size_t bytes = resident((void*)block, Bsize_wsize(n));
  memset((void*)block, 1, Bsize_wsize(n)); /* integers; a string without an end */
  return Val_long(bytes);
}

/* Has the kernel MADV_POPULATE_WRITE, as since Linux 5.14? */
value can_populate(value unit) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void* p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)unit;
  return Val_bool(p != MAP_FAILED && madvise(p, page, 23) == 0);
}
