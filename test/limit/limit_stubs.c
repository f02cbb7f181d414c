/* C code that takes blocks of the major heap with pointers into it at hand, and
   finalisers that fork */

#include <sys/wait.h>
#include <unistd.h>
#include <caml/alloc.h>
#include <caml/custom.h>
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

/* Of those called within [custom_that_forks], each 100th forks. */
static int allocating, called, forks;

static void finalise(value v) {
  pid_t pid;
  (void)v;
  if (!allocating || called++ % 100 != 0) return;
  pid = fork();
  if (pid == 0) _exit(0);
  if (pid > 0 && waitpid(pid, NULL, 0) == pid) forks++;
}

static struct custom_operations forking = {
  "forking", finalise, custom_compare_default, custom_hash_default,
  custom_serialize_default, custom_deserialize_default,
  custom_compare_ext_default, custom_fixed_length_default
};

value custom_that_forks(value words);
value custom_that_forks(value words) {
  value v;
  allocating = 1;
  v = caml_alloc_custom(&forking, sizeof(value) * Long_val(words), 0, 1);
  allocating = 0;
  return v;
}

value forks_in_allocation(value unit);
value forks_in_allocation(value unit) {
  (void)unit;
  return Val_int(forks);
}
