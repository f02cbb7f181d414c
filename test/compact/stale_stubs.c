/* C code that breaks OCaml's rule: it keeps pointers into blocks across what
   may move them. */

#include <stdlib.h>
#include <unistd.h>
#include <caml/mlvalues.h>
#include <caml/signals.h>

static value* kept;
static mlsize_t n_kept;

/* Of each block in [blocks] */
value stale_keep(value blocks) {
  n_kept = Wosize_val(blocks);
  kept = malloc(n_kept * sizeof(value));
  for (mlsize_t i = 0; i < n_kept; i++) kept[i] = Field(blocks, i);
  return Val_unit;
}

value stale_sleep(value ms) {
  useconds_t us = (useconds_t)Int_val(ms) * 1000;
  caml_enter_blocking_section();
  usleep(us);
  caml_leave_blocking_section();
  return Val_unit;
}

/* How many have moved since? */
value stale_moved(value blocks) {
  intnat n = 0;
  for (mlsize_t i = 0; i < n_kept; i++) n += kept[i] != Field(blocks, i);
  return Val_long(n);
}

/* Reads where they were. */
value stale_read(value unit) {
  volatile value v;
  (void)unit;
  for (mlsize_t i = 0; i < n_kept; i++) v = Field(kept[i], 0);
  (void)v;
  return Val_unit;
}
