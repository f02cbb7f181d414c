/* Stubs of Runtime_jemalloc: [caml_heap_control] is weak, since a stock runtime
   has none.  What may wait releases the domain lock. */

#define CAML_INTERNALS /* for heap_knobs.h */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/signals.h>
#include "heap_control.h"

#pragma weak caml_heap_control

#define MIB_MAX 16

value runtime_jemalloc_available(value unit) {
  (void)unit;
  return Val_bool(&caml_heap_control != NULL
                  && caml_heap_control.version == CAML_HEAP_CONTROL_VERSION);
}

/* What is more than an OCaml integer is the largest: of limits, none. */
static value size_value(size_t n) {
  return Val_long(n > (size_t)Max_long ? Max_long : (intnat)n);
}

/* Statistics: an array, in the order of the table */

#define STORE(name, unit, help) Field(result, i++) = size_value(s.name);
#define STORE_HOOK(name, help)                                                \
  Field(result, i++) = Val_long(s.name##_calls);                              \
  Field(result, i++) = Val_long(s.name##_bytes);                              \
  Field(result, i++) = Val_long(s.name##_failures);                           \
  Field(result, i++) = Val_long(s.name##_nanoseconds);

value runtime_jemalloc_statistics(value unit) {
  struct caml_heap_statistics s;
  bool done;
  value result;
  mlsize_t i = 0;
  (void)unit;
  caml_enter_blocking_section();
  done = caml_heap_control.statistics(&s);
  caml_leave_blocking_section();
  if (!done) caml_failwith("Runtime_jemalloc.statistics: no memory for them");
  result = caml_alloc(sizeof(s) / sizeof(size_t), 0);
  CAML_HEAP_STATISTICS(STORE)
  CAML_EXTENT_HOOKS(STORE_HOOK)
  return result;
}

value runtime_jemalloc_in_use(value unit) {
  (void)unit;
  return Val_long(caml_heap_control.in_use());
}

/* Limit.state_unchecked */
value runtime_jemalloc_memory(value now) {
  CAMLparam1(now);
  CAMLlocal2(cgroup, result);
  struct caml_memory_state s;
  bool look = Bool_val(now);
  caml_enter_blocking_section();
  caml_heap_control.memory(look, &s);
  caml_leave_blocking_section();
  cgroup = caml_copy_string(s.cgroup);
  result = caml_alloc_small(5, 0);
  Field(result, 0) = Val_long(s.process);
  Field(result, 1) = size_value(s.soft);
  Field(result, 2) = size_value(s.hard);
  Field(result, 3) = cgroup;
  Field(result, 4) = Val_long(s.pressure_events);
  CAMLreturn(result);
}

value runtime_jemalloc_purge(value lazily) {
  bool done, lazy = Bool_val(lazily);
  caml_enter_blocking_section();
  done = caml_heap_control.purge(lazy);
  caml_leave_blocking_section();
  return Val_bool(done);
}

value runtime_jemalloc_decay(value unit) {
  bool done;
  (void)unit;
  caml_enter_blocking_section();
  done = caml_heap_control.decay();
  caml_leave_blocking_section();
  return Val_bool(done);
}

/* [caml_share_ask] */
value runtime_jemalloc_share(value share) {
  caml_heap_control.share(Bool_val(share));
  return Val_unit;
}

/* Knobs */

static struct caml_heap_knob* knob(value index) {
  return &caml_heap_control.knobs[Long_val(index)];
}

value runtime_jemalloc_knob_count(value unit) {
  (void)unit;
  return Val_long(caml_heap_control.n_knobs);
}

value runtime_jemalloc_knob_get(value index) {
  return Val_long((intnat)atomic_load(&knob(index)->value));
}

/* "", or what is wrong */
value runtime_jemalloc_knob_set(value index, value v) {
  enum caml_heap_knob_index i = Long_val(index);
  intnat n = Long_val(v);
  char wrong[CAML_HEAP_KNOB_MESSAGE] = ""; /* stays so if it is set */
  /* background_purge waits for the thread to end */
  caml_enter_blocking_section();
  caml_heap_control.knob_set(i, n, wrong);
  caml_leave_blocking_section();
  return caml_copy_string(wrong);
}

/* A row of the table, as Knob.row */
value runtime_jemalloc_knob(value index) {
  CAMLparam1(index);
  CAMLlocal1(result);
  const struct caml_heap_knob* k = knob(index);
  result = caml_alloc(8, 0);
  Store_field(result, 0, caml_copy_string(k->name));
  Store_field(result, 1, caml_copy_string(k->unit));
  Store_field(result, 2, Val_long(k->initial));
  Store_field(result, 3, Val_long(k->least));
  Store_field(result, 4, Val_long(k->greatest));
  Store_field(result, 5, caml_copy_string(k->words));
  Store_field(result, 6, Val_bool(k->when == CAML_KNOB_ANY_TIME));
  Store_field(result, 7, caml_copy_string(k->help));
  CAMLreturn(result);
}

/* mallctl */

/* Mallctl.ty, in its order */
enum type { BOOL, INT, UNSIGNED, SIZE, SSIZE, UINT64, STRING, COMMAND };

union number {
  bool boolean;
  int integer;
  unsigned natural;
  size_t size;
  ssize_t ssize;
  uint64_t uint64;
  const char* string;
};

static size_t size_of(enum type type) {
  switch (type) {
    case BOOL: return sizeof(bool);
    case INT: return sizeof(int);
    case UNSIGNED: return sizeof(unsigned);
    case SIZE: return sizeof(size_t);
    case SSIZE: return sizeof(ssize_t);
    case UINT64: return sizeof(uint64_t);
    case STRING: return sizeof(const char*);
    default: return 0;
  }
}

static value of_number(enum type type, const union number* n) {
  switch (type) {
    case BOOL: return Val_bool(n->boolean);
    case INT: return Val_long(n->integer);
    case UNSIGNED: return Val_long(n->natural);
    case SIZE: return size_value(n->size);
    case SSIZE: return Val_long(n->ssize);
    case UINT64: return caml_copy_int64((int64_t)n->uint64);
    case STRING: return caml_copy_string(n->string == NULL ? "" : n->string);
    default: return Val_unit;
  }
}

/* Of a type that may be set.  A string is a copy, to be freed. */
static void to_number(enum type type, value v, union number* n) {
  switch (type) {
    case BOOL: n->boolean = Bool_val(v); break;
    case UNSIGNED: n->natural = (unsigned)Long_val(v); break;
    case SIZE: n->size = (size_t)Long_val(v); break;
    case SSIZE: n->ssize = (ssize_t)Long_val(v); break;
    case UINT64: n->uint64 = (uint64_t)Int64_val(v); break;
    case STRING: n->string = caml_stat_strdup(String_val(v)); break;
    default: break;
  }
}

/* Who holds such a copy enters a blocking section by [..._no_pending]: a signal
   handler that raises there would leave it. */

/* What a name or a MIB, an int array, is in C; the name is to be freed. */
struct path {
  char* name; /* NULL if it is a MIB */
  size_t mib[MIB_MAX];
  size_t length;
};

static void path_of(value v, struct path* path) {
  path->name = NULL;
  if (Tag_val(v) == String_tag) {
    path->name = caml_stat_strdup(String_val(v));
  } else {
    path->length = Wosize_val(v);
    for (mlsize_t i = 0; i < path->length; i++)
      path->mib[i] = Long_val(Field(v, i));
  }
}

static int control(const struct path* path, void* old, size_t* old_size,
                   void* new, size_t new_size) {
  int error;
  caml_enter_blocking_section_no_pending();
  if (path->name != NULL)
    error = caml_heap_control.mallctl(path->name, old, old_size, new, new_size);
  else
    error = caml_heap_control.mallctlbymib(path->mib, path->length, old,
                                           old_size, new, new_size);
  caml_leave_blocking_section();
  return error;
}

/* The names of errors that mallctl(3) lists, and those of other errors */
static value error_result(int error) {
  CAMLparam0();
  CAMLlocal2(text, result);
  const char* name = error == EINVAL ? "EINVAL" : error == ENOENT ? "ENOENT"
    : error == EPERM ? "EPERM" : error == EFAULT ? "EFAULT"
    : error == ENOTSUP ? "ENOTSUP" : strerror(error);
  text = caml_copy_string(name);
  result = caml_alloc_small(1, 1);
  Field(result, 0) = text;
  CAMLreturn(result);
}

static value ok_result(value v) {
  CAMLparam1(v);
  value result = caml_alloc_small(1, 0);
  Field(result, 0) = v;
  CAMLreturn(result);
}

/* ty -> name or MIB -> ('a, string) result */
value runtime_jemalloc_mallctl_get(value ty, value where) {
  enum type type = Long_val(ty);
  struct path path;
  union number n = { .uint64 = 0 };
  size_t size = size_of(type);
  int error;
  path_of(where, &path);
  error = size > 0 ? control(&path, &n, &size, NULL, 0)
    : control(&path, NULL, NULL, NULL, 0);
  caml_stat_free(path.name);
  return error == 0 ? ok_result(of_number(type, &n)) : error_result(error);
}

value runtime_jemalloc_mallctl_set(value ty, value where, value v) {
  enum type type = Long_val(ty);
  struct path path;
  union number n = { .uint64 = 0 };
  size_t size = size_of(type);
  int error;
  path_of(where, &path);
  to_number(type, v, &n);
  error = control(&path, NULL, NULL, size > 0 ? &n : NULL, size);
  caml_stat_free(path.name);
  if (type == STRING) caml_stat_free((char*)n.string);
  return error == 0 ? ok_result(Val_unit) : error_result(error);
}

value runtime_jemalloc_mallctl_mib(value name) {
  CAMLparam1(name);
  CAMLlocal1(result);
  size_t mib[MIB_MAX], length = MIB_MAX;
  char* copy = caml_stat_strdup(String_val(name));
  int error;
  caml_enter_blocking_section_no_pending();
  error = caml_heap_control.mallctlnametomib(copy, mib, &length);
  caml_leave_blocking_section();
  caml_stat_free(copy);
  if (error != 0) CAMLreturn(error_result(error));
  result = caml_alloc(length, 0);
  for (size_t i = 0; i < length; i++) Field(result, i) = Val_long(mib[i]);
  CAMLreturn(ok_result(result));
}

value runtime_jemalloc_arena(value unit) {
  (void)unit;
  return Val_long(caml_heap_control.arena());
}

/* malloc_stats_print */

struct text {
  char* bytes;
  size_t length, size;
  bool truncated; /* there was no memory */
};

static void append(void* data, const char* s) {
  struct text* t = data;
  size_t length = strlen(s);
  if (t->truncated) return;
  if (t->length + length > t->size) {
    size_t size = 2 * (t->length + length);
    char* bytes = realloc(t->bytes, size);
    if (bytes == NULL) {
      t->truncated = true;
      return;
    }
    t->bytes = bytes;
    t->size = size;
  }
  memcpy(t->bytes + t->length, s, length);
  t->length += length;
}

/* The text as a string; 0, and nothing raised, if there is no memory. */
static value string_of(const struct text* t) {
  mlsize_t words = t->length / sizeof(value) + 1;
  mlsize_t last = words * sizeof(value) - 1;
  value s = t->truncated ? 0 : caml_alloc_shr_noexc(words, String_tag);
  if (s == 0) return 0;
  Field(s, words - 1) = 0;
  Byte(s, last) = (char)(last - t->length);
  memcpy(Bytes_val(s), t->bytes, t->length);
  return s;
}

value runtime_jemalloc_stats_print(value options) {
  struct text text = { NULL, 0, 0, false };
  char* opts = caml_stat_strdup(String_val(options));
  value result;
  caml_enter_blocking_section_no_pending();
  caml_heap_control.stats_print(append, &text, opts);
  caml_leave_blocking_section();
  caml_stat_free(opts);
  result = string_of(&text);
  free(text.bytes);
  if (result == 0) caml_raise_out_of_memory();
  return result;
}
