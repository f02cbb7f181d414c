/* Blocks that count how many of them were finalised; and how many have been marked. */

#define CAML_INTERNALS

#include <stdatomic.h>
#include <caml/custom.h>
#include <caml/domain.h>
#include <caml/mlvalues.h>

static atomic_int finalised;

static void finalise(value block) {
  (void)block;
  atomic_fetch_add(&finalised, 1);
}

static struct custom_operations operations = {
  "runtime-jemalloc.counted", finalise, custom_compare_default,
  custom_hash_default, custom_serialize_default, custom_deserialize_default,
  custom_compare_ext_default, custom_fixed_length_default
};

value compact_counted(value unit) {
  (void)unit;
  return caml_alloc_custom(&operations, 8, 0, 1);
}

value compact_finalised(value unit) {
  (void)unit;
  return Val_int(atomic_load(&finalised));
}

value compact_marked(value unit) {
  (void)unit;
  return Val_long(Caml_state->stat_blocks_marked);
}
