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


/* runtime-jemalloc run: sets the knobs, runs a program, and looks at the memory
   of it and its descendants meanwhile. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include "heap_knobs.h"
#include "samples.h"
#include "text.h"
#include "tool.h"

struct options {
  char parameters[4096]; /* what goes behind OCAMLRUNPARAM's own: ",Xa=b" */
  double interval;       /* seconds */
  const char* plot;
  const char* samples;
  bool json;
};

/* The knobs */

/* A value of the knob's, or wrong use */
static void set_knob(struct options* o, const char* option,
                     const struct caml_heap_knob* knob, const char* text) {
  size_t used = strlen(o->parameters);
  char accepted[128];
  intnat value;
  caml_heap_knob_accepted(knob, accepted, sizeof(accepted));
  if (strchr(text, ',') != NULL
      || !caml_heap_knob_read(knob, text, strlen(text), &value))
    wrong_use("%s %s=%s: it takes %s", option, knob->name, text, accepted);
  if (snprintf(o->parameters + used, sizeof(o->parameters) - used, ",X%s=%s",
               knob->name, text) >= (int)(sizeof(o->parameters) - used))
    wrong_use("too many knobs");
}

/* NAME=VALUE, or wrong use */
static void add_knob(struct options* o, const char* text) {
  size_t length = strcspn(text, "=");
  const struct caml_heap_knob* knob = caml_heap_knob_find(text, length);
  if (knob == NULL || text[length] != '=')
    wrong_use("--knob %s: it takes NAME=VALUE; runtime-jemalloc knobs lists "
              "the names", text);
  set_knob(o, "--knob", knob, text + length + 1);
}

static void add_decay(struct options* o, const char* value) {
  static const char name[] = "dirty_decay_ms";
  set_knob(o, "--decay", caml_heap_knob_find(name, strlen(name)), value);
}

/* Ours come last: of a knob that is there twice, the last counts. */
static void set_parameters(const struct options* o) {
  const char* own = getenv("OCAMLRUNPARAM");
  char* all;
  if (*o->parameters == '\0') return;
  if (own == NULL) own = getenv("CAMLRUNPARAM");
  if (asprintf(&all, "%s%s", own == NULL ? "" : own,
               own == NULL || *own == '\0' ? o->parameters + 1
               : o->parameters) < 0
      || setenv("OCAMLRUNPARAM", all, 1) != 0)
    fail("no memory");
  free(all);
}

/* Signals: the program has them as we were given them, ignored or blocked.  We
   take them, so as to see it end and to pass on what is sent to us. */

static volatile pid_t child; /* for the handler; 0 once it is reaped */

static void forward(int number) {
  int error = errno;
  if (child > 0) kill(child, number);
  errno = error;
}

/* Those of the terminal reach the program by themselves. */
static const struct { int number; void (*handler)(int); } taken[] = {
  { SIGINT, SIG_IGN }, { SIGQUIT, SIG_IGN },
  { SIGHUP, forward }, { SIGTERM, forward },
  { SIGUSR1, forward }, { SIGUSR2, forward },
};

#define N_TAKEN (sizeof(taken) / sizeof(*taken))

struct signals {
  sigset_t blocked;
  struct sigaction child, taken[N_TAKEN];
};

/* Until they are taken they wait.  Ignored, SIGCHLD would never come, nor leave
   a status. */
static void hold_signals(struct signals* inherited) {
  struct sigaction action = { .sa_handler = SIG_DFL };
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (size_t i = 0; i < N_TAKEN; i++) sigaddset(&set, taken[i].number);
  sigprocmask(SIG_BLOCK, &set, &inherited->blocked);
  sigaction(SIGCHLD, &action, &inherited->child);
}

static void take_signals(struct signals* inherited) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < N_TAKEN; i++) {
    struct sigaction action = { .sa_handler = taken[i].handler };
    action.sa_flags = SA_RESTART;
    sigaction(taken[i].number, &action, &inherited->taken[i]);
    sigaddset(&set, taken[i].number);
  }
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* But for SIGCHLD: who starts gnuplot waits for it. */
static void return_signals(const struct signals* inherited) {
  for (size_t i = 0; i < N_TAKEN; i++)
    sigaction(taken[i].number, &inherited->taken[i], NULL);
  sigprocmask(SIG_SETMASK, &inherited->blocked, NULL);
}

/* The program */

static _Noreturn void execute(char** command, const struct options* o,
                              const struct signals* inherited, int report) {
  int error;
  set_parameters(o);
  sigaction(SIGCHLD, &inherited->child, NULL);
  sigprocmask(SIG_SETMASK, &inherited->blocked, NULL);
  execvp(command[0], command);
  error = errno;
  if (write(report, &error, sizeof(error)) < 0) _exit(126);
  _exit(error == ENOENT ? 127 : 126);
}

/* As env(1): 127 if there is no such program, 126 if it cannot be run */
static void start(char** command, const struct options* o,
                  struct signals* inherited) {
  int report[2], error;
  pid_t pid;
  if (pipe2(report, O_CLOEXEC) != 0) fail("pipe: %s", strerror(errno));
  /* What the program leaves behind stays in its tree. */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  hold_signals(inherited);
  pid = fork();
  if (pid < 0) fail("fork: %s", strerror(errno));
  if (pid == 0) execute(command, o, inherited, report[1]);
  child = pid;
  take_signals(inherited);
  close(report[1]);
  if (read(report[0], &error, sizeof(error)) == sizeof(error)) {
    waitpid(pid, NULL, 0);
    complain("cannot run %s: %s", command[0], strerror(error));
    exit(error == ENOENT ? 127 : 126);
  }
  close(report[0]);
}

/* Waits until SIGCHLD, which is blocked, or for that long. */
static void wait_for_child(double seconds) {
  sigset_t set;
  struct timespec t = timespec_of(seconds);
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigtimedwait(&set, NULL, &t);
}

/* What is known at the end without samples */
struct end {
  int status;     /* of the program, wait's */
  double seconds; /* that it took */
  long rss;       /* KiB, of the largest process, at its peak: the kernel counts
                     it, so that programs have one too which end before the
                     first sample */
};

/* Reaps; has the program itself ended?  Once it is reaped its number may be
   another's: until then the handler must know. */
static bool ended(struct end* end) {
  siginfo_t info = { .si_pid = 0 };
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0
         && info.si_pid != 0) {
    bool is_program = info.si_pid == child;
    bool counts = !is_from_before(info.si_pid, child);
    struct rusage usage = { .ru_maxrss = 0 };
    if (is_program) child = 0;
    wait4(info.si_pid, &end->status, 0, &usage);
    if (counts && usage.ru_maxrss > end->rss) end->rss = usage.ru_maxrss;
    if (is_program) return true;
    info.si_pid = 0;
  }
  return false;
}

/* Samples at every interval until the program ends. */
static struct end watch(double interval, struct samples* samples) {
  double began = now(), next = interval;
  struct end end = { 0, 0, 0 };
  while (!ended(&end)) {
    double left = next - (now() - began);
    if (left > 0) {
      wait_for_child(left);
      continue;
    }
    samples_take(samples, child, now() - began);
    next += interval;
    if (next < now() - began) next = now() - began + interval;
  }
  end.seconds = now() - began;
  return end;
}

/* The summary */

struct summary {
  double peak, mean, last; /* bytes */
};

static struct summary summarise(const struct samples* s, size_t field) {
  struct summary r = { 0, 0, 0 };
  for (size_t i = 0; i < s->length; i++) {
    const char* item = (const char*)&s->items[i];
    double bytes = (double)*(const uint64_t*)(item + field);
    if (bytes > r.peak) r.peak = bytes;
    r.mean += bytes / (double)s->length;
    r.last = bytes;
  }
  return r;
}

static struct sample most(const struct samples* s) {
  struct sample r = { .processes = 0 };
  for (size_t i = 0; i < s->length; i++) {
    const struct sample* item = &s->items[i];
    if (item->processes > r.processes) r.processes = item->processes;
    if (item->on_jemalloc > r.on_jemalloc) r.on_jemalloc = item->on_jemalloc;
    if (item->unread > r.unread) r.unread = item->unread;
  }
  return r;
}

static const struct {
  const char* name;
  const char* json;
  size_t field;
} rows[] = {
  { "PSS", "pss", offsetof(struct sample, pss) },
  { "heap in use", "in_use", offsetof(struct sample, in_use) },
  { "free, resident", "free", offsetof(struct sample, free) },
  { "of it muzzy", "muzzy", offsetof(struct sample, muzzy) },
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

/* The rows that say something: the first is of every process. */
static size_t rows_known(const struct samples* s) {
  if (s->length == 0) return 0;
  return most(s).on_jemalloc > 0 ? N_ROWS : 1;
}

/* In the rows there is nothing of such a program but its PSS. */
static void say_what_is_not_known(const struct samples* samples) {
  if (samples->length == 0)
    fprintf(stderr, "it ended before the first sample: see --interval\n");
  else if (most(samples).on_jemalloc == 0)
    fprintf(stderr, "no process was on this runtime: their heaps are not "
            "known\n");
}

static void print_table(const struct samples* samples, const char* program,
                        const struct end* end) {
  int status = end->status;
  print_line(stderr, program);
  fprintf(stderr, ": %s %d after %.2f s, at most %u processes, %zu samples\n",
          WIFEXITED(status) ? "exit status" : "killed by signal",
          WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
          end->seconds, most(samples).processes, samples->length);
  if (most(samples).unread > 0)
    fprintf(stderr, "not counted: at most %u that could not be looked into\n",
            most(samples).unread);
  say_what_is_not_known(samples);
  fprintf(stderr, "%-16s %12s %12s %12s\n", "MiB", "peak", "mean",
          "at the end");
  fprintf(stderr, "%-16s %12.1f\n", "RSS of largest",
          (double)end->rss / 1024);
  for (size_t i = 0; i < rows_known(samples); i++) {
    struct summary s = summarise(samples, rows[i].field);
    fprintf(stderr, "%-16s %12.1f %12.1f %12.1f\n", rows[i].name,
            s.peak / MIB, s.mean / MIB, s.last / MIB);
  }
}

static void print_json(const struct samples* samples, const char* program,
                       const struct end* end) {
  cJSON* object = cJSON_CreateObject();
  int status = end->status;
  add_text(object, "program", program);
  cJSON_AddNumberToObject(object, WIFEXITED(status) ? "exit_status" : "signal",
                          WIFEXITED(status) ? WEXITSTATUS(status)
                          : WTERMSIG(status));
  cJSON_AddNumberToObject(object, "seconds", end->seconds);
  cJSON_AddNumberToObject(object, "processes", most(samples).processes);
  cJSON_AddNumberToObject(object, "unread", most(samples).unread);
  cJSON_AddNumberToObject(object, "on_runtime_jemalloc",
                          most(samples).on_jemalloc);
  cJSON_AddNumberToObject(object, "peak_rss", (double)end->rss * 1024);
  cJSON_AddNumberToObject(object, "samples", (double)samples->length);
  for (size_t i = 0; i < rows_known(samples); i++) {
    struct summary s = summarise(samples, rows[i].field);
    cJSON* row = cJSON_AddObjectToObject(object, rows[i].json);
    cJSON_AddNumberToObject(row, "peak", s.peak);
    cJSON_AddNumberToObject(row, "mean", s.mean);
    cJSON_AddNumberToObject(row, "last", s.last);
  }
  put_json(stderr, object, false);
}

/* Why a file cannot be written, as errno; 0 if it can.  A link may lead to one
   that is not there yet. */
static int write_error(const char* path) {
  struct stat s;
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) {
    close(file);
    unlink(path);
    return 0;
  }
  if (errno != EEXIST) return errno;
  if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return EISDIR;
  return access(path, W_OK) == 0 || errno == ENOENT ? 0 : errno;
}

/* Better now than once the program has ended */
static void check_file(const char* option, const char* path) {
  int error = path == NULL ? 0 : write_error(path);
  if (error != 0) wrong_use("%s %s: %s", option, path, strerror(error));
}

static void parse(int argc, char** argv, struct options* o) {
  static const struct option options[] = {
    { "decay", required_argument, NULL, OPTION_DECAY },
    { "knob", required_argument, NULL, OPTION_KNOB },
    { "interval", required_argument, NULL, OPTION_INTERVAL },
    { "plot", required_argument, NULL, OPTION_PLOT },
    { "samples", required_argument, NULL, OPTION_SAMPLES },
    { "json", no_argument, NULL, OPTION_JSON },
    { NULL, 0, NULL, 0 }
  };
  int c;
  while ((c = next_option(argc, argv, "+", options)) != -1) {
    switch (c) {
      case OPTION_DECAY: add_decay(o, optarg); break;
      case OPTION_KNOB: add_knob(o, optarg); break;
      case OPTION_INTERVAL:
        o->interval = number_argument("--interval", optarg, 1) / 1000;
        break;
      case OPTION_PLOT: o->plot = optarg; break;
      case OPTION_SAMPLES: o->samples = optarg; break;
      default: o->json = true;
    }
  }
  if (optind == argc) wrong_use("run takes a program, and its arguments");
  if (o->plot != NULL) plot_check(o->plot);
  check_file("--plot", o->plot);
  check_file("--samples", o->samples);
}

int run_command(int argc, char** argv) {
  struct options o = { .interval = 0.25 };
  struct samples samples = { NULL, 0, 0, NULL, 0 };
  struct signals inherited;
  struct end end;
  int error;
  parse(argc, argv, &o);
  start(argv + optind, &o, &inherited);
  end = watch(o.interval, &samples);
  return_signals(&inherited);
  (o.json ? print_json : print_table)(&samples, argv[optind], &end);
  if (o.samples != NULL && (error = samples_write(&samples, o.samples)) != 0)
    fail("%s: %s", o.samples, strerror(error));
  if (o.plot != NULL && samples.length > 1)
    plot(&samples, argv[optind], o.plot);
  else if (o.plot != NULL)
    fail("%s is not drawn: the program ended before a second sample", o.plot);
  samples_free(&samples);
  return WIFEXITED(end.status) ? WEXITSTATUS(end.status)
    : 128 + WTERMSIG(end.status);
}
