/* resident_when_allocated(words, tag): how many of the block's bytes are in pages that
   are there before it has written any but the header. */

#include <string.h>
#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include "smaps.h"

value resident_when_allocated(value words, value tag) {
  mlsize_t n = Unsigned_long_val(words);
  value block = caml_alloc_shr(n, (tag_t)Unsigned_long_val(tag));
  size_t bytes = smaps_resident((void*)block, Bsize_wsize(n));
  memset((void*)block, 1, Bsize_wsize(n)); /* integers; a string without an end */
  return Val_long(bytes);
}

value can_populate(value unit) {
  (void)unit;
  return Val_bool(smaps_can_populate());
}
