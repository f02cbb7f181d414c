/* For domains.ml: the other domain runs on for a while after the runtime has
   cleaned up. */

#include <stdlib.h>
#include <unistd.h>
#include <caml/mlvalues.h>

static void wait_a_little(void) {
  usleep(10000);
}

value exit_slowly(value unit) {
  atexit(wait_a_little);
  return unit;
}
