/* Starts an OCaml program and shuts it down.  Prints how many KiB of private
   writable memory the process has gained while it ran and after it, address
   space and RSS; exits with 1 if the place of a block of the heap, small or
   large, is still mapped then, with 2 or 3 if something else is wrong.  A fork
   afterwards has to do nothing for it. */

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <caml/callback.h>
#include <caml/mlvalues.h>
#include "mapped.h"

struct memory {
  long mapped_kib;
  long rss_kib;
};

/* Of all mappings but the C heap, which malloc keeps for itself */
static struct memory private_memory(void) {
  FILE* f = fopen("/proc/self/smaps", "r");
  struct memory sum = { 0, 0 };
  char line[512];
  int counted = 0;
  long kib;
  while (fgets(line, sizeof(line), f)) {
    if (strchr(line, '-') && strstr(line, "p ") && !strstr(line, "kB"))
      counted = strstr(line, " rw-p 00000000 00:00 ") && !strchr(line, '[');
    if (!counted) continue;
    if (sscanf(line, "Size: %ld kB", &kib) == 1) sum.mapped_kib += kib;
    if (sscanf(line, "Rss: %ld kB", &kib) == 1) sum.rss_kib += kib;
  }
  fclose(f);
  return sum;
}

static int forks(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char** argv) {
  struct memory before = private_memory(), during, after;
  value small, large;
  (void)argc;
  caml_startup(argv);
  during = private_memory();
  small = *caml_named_value("small");
  large = Field(*caml_named_value("large"), 0);
  if (!is_mapped(small) || !is_mapped(large)) return 2;
  caml_shutdown();
  after = private_memory();
  if (!forks()) return 3;
  printf("during %ld %ld after %ld %ld\n",
         during.mapped_kib - before.mapped_kib,
         during.rss_kib - before.rss_kib,
         after.mapped_kib - before.mapped_kib,
         after.rss_kib - before.rss_kib);
  return is_mapped(small) || is_mapped(large);
}
