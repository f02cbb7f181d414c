/* C code that takes blocks of the major heap with pointers into it at hand */

#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

static value filled(mlsize_t wosize) {
  value v = caml_alloc_shr(wosize, 0);
  for (mlsize_t i = 0; i < wosize; i++) Field(v, i) = Val_long(i);
  return v;
}

value alloc_shr(value words);
value alloc_shr(value words) {
  return filled(Long_val(words));
}

/* The first is garbage. */
value alloc_shr_twice(value words);
value alloc_shr_twice(value words) {
  filled(Long_val(words));
  return filled(Long_val(words));
}
