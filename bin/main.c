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


/* runtime-jemalloc(1): which subcommand */

#define _GNU_SOURCE /* vasprintf */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "text.h"
#include "tool.h"

static void report(const char* format, va_list arguments) {
  char* text;
  if (vasprintf(&text, format, arguments) < 0) return;
  fprintf(stderr, "runtime-jemalloc: %s\n", one_line(text));
  free(text);
}

void complain(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(format, arguments);
  va_end(arguments);
}

void wrong_use(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(format, arguments);
  va_end(arguments);
  exit(EXIT_USAGE);
}

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(format, arguments);
  va_end(arguments);
  exit(EXIT_FAILURE);
}

/* What getopt_long would say has the word as it is, newlines and all. */
int next_option(int argc, char** argv, const char* order,
                const struct option* options) {
  int c;
  opterr = 0;
  c = getopt_long(argc, argv, order, options, NULL);
  if (c != '?') return c;
  if (optopt != 0 && optopt < OPTION_JSON) /* a char: below 0 too */
    wrong_use("%s has no option -%c", argv[0], optopt);
  if (optopt == 0)
    wrong_use("%s has no option %s, or several that begin so", argv[0],
              argv[optind - 1]);
  if (strchr(argv[optind - 1], '=') != NULL)
    wrong_use("%s %s: it takes no value", argv[0], argv[optind - 1]);
  wrong_use("%s %s: its value is missing", argv[0], argv[optind - 1]);
}

double number_argument(const char* option, const char* text, double least) {
  char* end;
  double number = strtod(text, &end);
  if (end == text || *end != '\0' || !(number >= least) || number > 1e9)
    wrong_use("%s %s: it takes a number from %g to 1e9", option, text, least);
  return number;
}

pid_t pid_argument(const char* text) {
  char* end;
  long pid = strtol(text, &end, 10);
  if (end == text || *end != '\0' || pid <= 0 || pid != (pid_t)pid)
    wrong_use("%s: it takes the number of a process", text);
  return (pid_t)pid;
}

/* Why an earlier write failed nobody knows by now. */
void flush_output(void) {
  if (fflush(stdout) != 0)
    fail("cannot write to the standard output: %s", strerror(errno));
  if (ferror(stdout)) fail("cannot write to the standard output");
}

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct timespec timespec_of(double seconds) {
  struct timespec t = { .tv_sec = (time_t)seconds };
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  return t;
}

static int version(int argc, char** argv) {
  if (argc > 1) wrong_use("version takes no arguments, not %s", argv[1]);
  puts("runtime-jemalloc " VERSION);
  return EXIT_SUCCESS;
}

static int help(int argc, char** argv) {
  (void)argc;
  (void)argv;
  puts("usage: runtime-jemalloc COMMAND\n"
       "\n"
       "  version              the version of this tool\n"
       "  config [--json]      which OCaml, which jemalloc, which flags\n"
       "  config [--json] FILE\n"
       "                       which runtime a program or library is on\n"
       "  config [--json] PID  the memory limit of a running process\n"
       "  knobs [--json]       what OCAMLRUNPARAM=Xname=value sets\n"
       "  map [--json] [--watch SECONDS] [--timeout SECONDS] PID\n"
       "                       the memory of a running process, part by part\n"
       "  run [--decay MS] [--knob NAME=VALUE]... [--interval MS]\n"
       "      [--plot FILE.svg] [--samples FILE] [--json] PROGRAM "
       "[ARGUMENT]...\n"
       "                       runs it, and says what memory it took\n"
       "\n"
       "See runtime-jemalloc(1) and runtime-jemalloc-knobs(7).");
  return EXIT_SUCCESS;
}

static const struct {
  const char* name;
  int (*run)(int argc, char** argv);
} commands[] = {
  { "version", version }, { "--version", version },
  { "config", config_command },
  { "knobs", knobs_command },
  { "map", map_command },
  { "run", run_command },
  { "help", help }, { "--help", help }, { "-h", help },
};

static bool is_help(const char* argument) {
  return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* The exit status */
static int dispatch(int argc, char** argv) {
  if (argc < 2)
    wrong_use("which command? version, config, knobs, map, run or help");
  for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
    if (strcmp(argv[1], commands[i].name) == 0) {
      if (argc > 2 && is_help(argv[2])) return help(0, NULL);
      return commands[i].run(argc - 1, argv + 1);
    }
  }
  wrong_use("%s: no such command; there are version, config, knobs, map, run "
            "and help", argv[1]);
}

int main(int argc, char** argv) {
  int status = dispatch(argc, argv);
  flush_output();
  return status;
}
