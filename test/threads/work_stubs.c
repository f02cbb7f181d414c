#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <caml/alloc.h>
#include <caml/mlvalues.h>

static __thread char data[TLS_SIZE];

value work_touch_tls(value i) {
  data[TLS_SIZE - 1] = (char)Int_val(i);
  return Val_int(data[TLS_SIZE - 1]);
}

/* To the first processor that the thread may use, and to a policy that a new thread
   inherits: that of the batch, which anybody may have, or a real-time one. */
value work_bind(value unit) {
  struct sched_param param = { .sched_priority = POLICY == SCHED_FIFO };
  cpu_set_t all, one;
  (void)unit;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) return Val_false;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  return Val_bool(sched_setaffinity(0, sizeof(one), &one) == 0
                  && pthread_setschedparam(pthread_self(), POLICY, &param) == 0);
}

value work_unshare_user(value unit) {
  (void)unit;
  return caml_copy_string(unshare(CLONE_NEWUSER) == 0 ? "done"
                          : strerror(errno));
}
