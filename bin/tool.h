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


/* What the subcommands of runtime-jemalloc(1) share. */

#ifndef TOOL_H
#define TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define EXIT_USAGE 2

/* Of all commands, for getopt_long: none is a letter. */
enum {
  OPTION_JSON = 256, OPTION_MAN, OPTION_TIMEOUT, OPTION_WATCH, OPTION_DECAY,
  OPTION_KNOB, OPTION_INTERVAL, OPTION_PLOT, OPTION_SAMPLES
};

/* Each takes its own name as argv[0], and returns the exit status. */
int config_command(int argc, char** argv);
int knobs_command(int argc, char** argv);
int map_command(int argc, char** argv);
int run_command(int argc, char** argv);

/* One line on stderr, whatever is in the words that it is about */
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* The same, then exit status 2; or 1 */
_Noreturn void wrong_use(const char* format, ...)
  __attribute__((format(printf, 1, 2)));
_Noreturn void fail(const char* format, ...)
  __attribute__((format(printf, 1, 2)));

/* The next option, or -1, as getopt_long; [order] is "+" if what follows the
   first operand is none of ours, else "".  Wrong use if there is no such
   option, or its value is missing, or it takes none. */
int next_option(int argc, char** argv, const char* order,
                const struct option* options);

/* A number from [least] to 1e9 that is all of [text]; wrong use otherwise. */
double number_argument(const char* option, const char* text, double least);

/* The number of a process that is all of [text]; wrong use otherwise. */
pid_t pid_argument(const char* text);

/* Fails if what was printed so far cannot be written. */
void flush_output(void);

/* Seconds, of CLOCK_MONOTONIC */
double now(void);
struct timespec timespec_of(double seconds);

#endif /* TOOL_H */
