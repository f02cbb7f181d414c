/* Values in C code across a blocking section, and threads that OCaml does not
   know. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <caml/alloc.h>
#include <caml/callback.h>
#include <caml/custom.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/signals.h>
#include <caml/threads.h>

/* Waits [seconds] and returns the block that it was given, which has moved. */
value foreign_hold(value block, value seconds) {
  CAMLparam1(block);
  value* root = malloc(sizeof(value));
  value held;
  *root = block;
  caml_register_generational_global_root(root);
  caml_release_runtime_system();
  sleep((unsigned)Int_val(seconds));
  caml_acquire_runtime_system();
  held = *root;
  caml_remove_generational_global_root(root);
  free(root);
  CAMLreturn(held == block ? held : Val_unit);
}

/* The numbers of those that were finalised, and was it ever on another thread than the
   program's? */
static long sum;
static int elsewhere;
static pthread_t program;

static void finalise(value block) {
  sum += *(long*)Data_custom_val(block);
  if (!pthread_equal(program, pthread_self())) elsewhere = 1;
}

static struct custom_operations operations = {
  "runtime-jemalloc.test", finalise, custom_compare_default,
  custom_hash_default, custom_serialize_default, custom_deserialize_default,
  custom_compare_ext_default, custom_fixed_length_default
};

/* The size is that of a small block, or a large one. */
value foreign_custom(value number, value size) {
  value block = caml_alloc_custom(&operations, (uintnat)Long_val(size), 0, 1);
  program = pthread_self();
  *(long*)Data_custom_val(block) = Long_val(number);
  return block;
}

static long slow;

/* Longer than what one slice is to do */
static void finalise_slowly(value block) {
  (void)block;
  usleep(2000);
  slow++;
}

static struct custom_operations slow_operations = {
  "runtime-jemalloc.test.slow", finalise_slowly, custom_compare_default,
  custom_hash_default, custom_serialize_default, custom_deserialize_default,
  custom_compare_ext_default, custom_fixed_length_default
};

value foreign_slow(value unit) {
  (void)unit;
  return caml_alloc_custom(&slow_operations, sizeof(long), 0, 1);
}

value foreign_slow_finalised(value unit) {
  (void)unit;
  return Val_long(slow);
}

/* The sum of the numbers of those that were finalised; -1 if any was on another thread
   than the program's. */
value foreign_finalised(value unit) {
  (void)unit;
  return Val_long(elsewhere ? -1 : sum);
}

/* Forks in a blocking section, as C libraries do, when it has lasted so many
   microseconds; the child takes the runtime again. */
value foreign_forks(value microseconds) {
  int status;
  pid_t child;
  caml_release_runtime_system();
  usleep((unsigned)Int_val(microseconds));
  child = fork();
  caml_acquire_runtime_system();
  if (child == 0) {
    alarm(60);
    caml_alloc_string(1000000);
    _exit(0);
  }
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) abort();
  return Val_unit;
}

static void* call(void* times) {
  caml_c_thread_register();
  for (int i = 0; i < *(int*)times; i++) {
    caml_acquire_runtime_system();
    caml_callback(*caml_named_value("work"), Val_int(i));
    caml_release_runtime_system();
    usleep(2000);
  }
  caml_c_thread_unregister();
  return NULL;
}

/* Has a thread of its own call [work] so many times, and waits for it. */
value foreign_calls(value times) {
  int n = Int_val(times);
  pthread_t thread;
  caml_release_runtime_system();
  pthread_create(&thread, NULL, call, &n);
  pthread_join(thread, NULL);
  caml_acquire_runtime_system();
  return Val_unit;
}
