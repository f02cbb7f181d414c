/* A custom block of three words whose first finaliser, once it is armed, forks.
   The child waits until its parent has ended. */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <caml/alloc.h>
#include <caml/custom.h>
#include <caml/mlvalues.h>

static int armed, forked;

static void finalise(value v) {
  (void)v;
  if (!armed || forked) return;
  forked = 1;
  if (fork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sleep(100);
  _exit(0);
}

static struct custom_operations forker = {
  "forker", finalise, custom_compare_default, custom_hash_default,
  custom_serialize_default, custom_deserialize_default,
  custom_compare_ext_default, custom_fixed_length_default
};

value forker_make(value unit);
value forker_make(value unit) {
  (void)unit;
  return caml_alloc_custom(&forker, 16, 0, 1);
}

/* From now on the first that is finalised forks.  Has one? */
value forker_arm(value unit);
value forker_arm(value unit) {
  (void)unit;
  armed = 1;
  return Val_unit;
}

value forker_has_forked(value unit);
value forker_has_forked(value unit) {
  (void)unit;
  return Val_bool(forked);
}
