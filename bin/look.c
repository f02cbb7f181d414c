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


/* A child reads, and is killed if it takes too long: a reader of another
   process's memory waits in the kernel for a page that userfaultfd or FUSE does
   not bring, or for a lock that the process has, and nothing but SIGKILL ends
   that. */

#define _GNU_SOURCE /* pipe2, syscall */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "look.h"
#include "tool.h"

/* An answer comes whole. */
_Static_assert(sizeof(struct look) <= PIPE_BUF, "a pipe may divide an answer");

/* Not all C libraries have a function for it. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static bool close_files(unsigned first, unsigned last) {
  return syscall(SYS_close_range, first, last, 0) == 0;
}

static void close_listed_but(int kept) {
  DIR* files = opendir("/proc/self/fd");
  struct dirent* entry;
  if (files == NULL) return;
  while ((entry = readdir(files)) != NULL) {
    int file = atoi(entry->d_name);
    if (*entry->d_name != '.' && file != kept && file != dirfd(files))
      close(file);
  }
  closedir(files);
}

/* Kernels before 5.9 cannot close a range, and in some containers none may. */
static void close_all_but(int kept) {
  if (!close_files((unsigned)kept + 1, UINT_MAX)
      || (kept > 0 && !close_files(0, (unsigned)kept - 1)))
    close_listed_but(kept);
}

/* If it is left it holds no file of ours: who reads our output waits for it. */
static _Noreturn void answer(struct look* looks, size_t n, int to,
                             pid_t parent) {
  sigset_t all;
  close_all_but(to);
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(EXIT_FAILURE);
  for (struct look* l = looks; l < looks + n; l++) {
    if (l->error != ETIMEDOUT)
      l->error = process_map_read(l->pid, &l->places, &l->map);
    if (write(to, l, sizeof(*l)) != sizeof(*l)) _exit(EXIT_FAILURE);
  }
  _exit(EXIT_SUCCESS);
}

/* Is there something to read, or the end?  Signals may come meanwhile. */
static bool ready(int from, double seconds) {
  struct pollfd p = { .fd = from, .events = POLLIN };
  double end = now() + seconds;
  int n;
  do {
    double left = (end - now()) * 1000;
    n = poll(&p, 1, left >= INT_MAX ? INT_MAX : left > 0 ? (int)left + 1 : 0);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

/* Once the pipe is closed it ends.  One that cannot be killed, since it waits
   for FUSE, is left; who waits for all children finds it. */
static void stop(pid_t reader, int from) {
  struct look rest;
  kill(reader, SIGKILL);
  while (ready(from, 0.1)) {
    if (read(from, &rest, sizeof(rest)) > 0) continue;
    waitpid(reader, NULL, 0);
    return;
  }
}

/* Returns how many have answered: all, or all before one that does not. */
static size_t collect(int from, struct look* looks, size_t n, double seconds,
                      int* error) {
  for (size_t done = 0; done < n; done++) {
    *error = ETIMEDOUT;
    if (!ready(from, seconds)) return done;
    *error = ECHILD;
    if (read(from, &looks[done], sizeof(*looks)) <= 0) return done;
  }
  return n;
}

static size_t ask(struct look* looks, size_t n, double seconds, int* error) {
  pid_t parent = getpid(), reader;
  size_t done = 0;
  int pipe[2];
  *error = pipe2(pipe, O_CLOEXEC) == 0 ? 0 : errno;
  if (*error != 0) return 0;
  reader = fork();
  if (reader == 0) answer(looks, n, pipe[1], parent);
  *error = errno;
  close(pipe[1]);
  if (reader > 0) {
    done = collect(pipe[0], looks, n, seconds, error);
    stop(reader, pipe[0]);
  }
  close(pipe[0]);
  return done;
}

void look(struct look* looks, size_t n, double seconds) {
  for (size_t at = 0; at < n; ) {
    int error;
    at += ask(looks + at, n - at, seconds, &error);
    if (at < n) looks[at++].error = error;
  }
}

/* Root that may not is in a container, or the process is more privileged. */
static _Noreturn void may_not_look(pid_t pid) {
  if (geteuid() == 0)
    fail("root may not look into process %ld here: CAP_SYS_PTRACE is missing, "
         "or the kernel protects the process", (long)pid);
  fail("process %ld is another user's, or protects itself: ask as root",
       (long)pid);
}

void look_failed(const struct look* l, double limit) {
  long pid = l->pid;
  switch (l->error) {
    case ESRCH: fail("there is no process %ld", pid);
    case ENODATA:
      fail("process %ld has no memory of its own: it has ended, or it is the "
           "kernel's", pid);
    case ENOENT:
      fail("there is a process %ld, but no /proc/%ld/smaps: is /proc mounted, "
           "and not with hidepid?", pid, pid);
    case EACCES: case EPERM: may_not_look(l->pid);
    case ETIMEDOUT:
      fail("process %ld cannot be read within %g s: see --timeout", pid, limit);
    case ECHILD: fail("the reader of process %ld was killed: is there "
                      "memory for it?", pid);
    default: fail("process %ld: %s", pid, strerror(l->error));
  }
}

void look_or_fail(struct look* l, double seconds) {
  look(l, 1, seconds);
  if (l->error != 0) look_failed(l, seconds);
}
