/**************************************************************************/
/*                                                                        */
/*                            runtime-jemalloc                            */
/*                                                                        */
/*   Copyright 2026 the runtime-jemalloc developers                       */
/*                                                                        */
/*   All rights reserved.  This file is distributed under the terms of    */
/*   the GNU Lesser General Public License version 2.1, with the          */
/*   special exception on linking described in the file LICENSE.          */
/*                                                                        */
/**************************************************************************/

/* measure OUTPUT COMMAND ARGUMENT...

   Runs COMMAND and appends one line to the file OUTPUT: its peak RSS in MiB,
   its page faults, its wall time and its CPU time in milliseconds, separated by
   tabs.  The processes that it waits for count too; the peak is that of the
   largest.  Exits as COMMAND does. */

#define _DEFAULT_SOURCE /* wait4 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms(struct timeval t) {
  return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

int main(int argc, char** argv) {
  struct rusage usage;
  int status;
  double start = now_ms();
  pid_t pid;
  FILE* output;

  if (argc < 3) {
    fprintf(stderr, "measure: usage: measure OUTPUT COMMAND ARGUMENT...\n");
    return 2;
  }
  pid = fork();
  if (pid == 0) {
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
    perror("measure");
    return 126;
  }
  output = fopen(argv[1], "a");
  if (output == NULL) {
    perror(argv[1]);
    return 126;
  }
  /* Linux counts ru_maxrss in KiB */
  fprintf(output, "%ld\t%ld\t%.0f\t%.0f\n", usage.ru_maxrss / 1024,
          usage.ru_minflt, now_ms() - start,
          ms(usage.ru_utime) + ms(usage.ru_stime));
  fclose(output);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
