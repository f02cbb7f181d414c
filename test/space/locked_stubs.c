/* Locks the memory of the process, present and to come.  False if it may not. */

#include <sys/mman.h>
#include <caml/mlvalues.h>

value lock_all(value unit);

value lock_all(value unit) {
  (void)unit;
  return Val_bool(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
}
