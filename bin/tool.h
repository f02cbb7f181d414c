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

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define EXIT_USAGE 2

/* Each takes its own name as argv[0], and returns the exit status. */
int config_command(int argc, char** argv);
int knobs_command(int argc, char** argv);
int map_command(int argc, char** argv);
int run_command(int argc, char** argv);

/* One line on stderr, then exit status 2; or 1. */
_Noreturn void wrong_use(const char* format, ...)
  __attribute__((format(printf, 1, 2)));
_Noreturn void fail(const char* format, ...)
  __attribute__((format(printf, 1, 2)));

/* getopt_long has said in one line what is wrong: exit status 2. */
_Noreturn void wrong_option(void);

/* A number of at least [least] that is all of [text]; wrong use otherwise. */
double number_argument(const char* option, const char* text, double least);

/* The number of a process that is all of [text]; wrong use otherwise. */
pid_t pid_argument(const char* text);

/* Fails if what was printed so far cannot be written. */
void flush_output(void);

/* Seconds, of CLOCK_MONOTONIC */
double now(void);

#endif /* TOOL_H */
