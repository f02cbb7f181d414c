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


/* gnuplot draws; it is started only when it is needed. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "samples.h"
#include "tool.h"

static bool has_gnuplot(void) {
  const char* path = getenv("PATH");
  char program[4096];
  while (path != NULL && *path != '\0') {
    int length = (int)strcspn(path, ":");
    snprintf(program, sizeof(program), "%.*s/gnuplot", length, path);
    if (access(program, X_OK) == 0) return true;
    path += length + (path[length] == ':');
  }
  return false;
}

void plot_check(const char* path) {
  size_t length = strlen(path);
  if (length < 5 || strcmp(path + length - 4, ".svg") != 0)
    wrong_use("--plot %s: it draws SVG, into a file whose name ends in .svg",
              path);
  if (strpbrk(path, "'\n") != NULL)
    wrong_use("--plot %s: the name may hold no quote and no newline", path);
  if (!has_gnuplot())
    wrong_use("--plot needs gnuplot: apt-get install gnuplot-nox");
}

/* In '' a quote is doubled, for gnuplot. */
static void print_quoted(FILE* out, const char* text) {
  putc('\'', out);
  for (; *text != '\0'; text++) {
    if (*text == '\'') putc('\'', out);
    putc(*text == '\n' ? ' ' : *text, out);
  }
  putc('\'', out);
}

/* To gnuplot a name that begins with | is a command. */
static void print_script(FILE* out, const struct samples* samples,
                         const char* title, const char* path) {
  fputs("$data << end\n", out);
  samples_print(samples, out);
  fprintf(out,
          "end\n"
          "set terminal svg size 960,540 font 'sans-serif,13' "
          "background 'white'\n"
          "set output '%s%s'\n"
          "set datafile separator '\\t'\n"
          "set key outside below horizontal\n"
          "set grid back linecolor '#dddddd'\n"
          "set border 3\n"
          "set tics nomirror\n"
          "set xlabel 'seconds'\n"
          "set ylabel 'MiB'\n"
          "set xrange [0:*]\n"
          "set yrange [0:*]\n"
          "set title ", *path == '/' ? "" : "./", path);
  print_quoted(out, title);
  fputs(" noenhanced\n"
          "plot $data skip 1 using 1:3 with lines linewidth 2 "
          "linecolor '#1b6ca8' title 'PSS', "
          "'' skip 1 using 1:4 with lines linewidth 2 "
          "linecolor '#2f9e44' title 'heap in use', "
          "'' skip 1 using 1:5 with lines linewidth 2 "
          "linecolor '#e8590c' title 'free pages that are resident', "
          "'' skip 1 using 1:6 with lines linewidth 2 dashtype 2 "
          "linecolor '#868e96' title 'of these muzzy'\n", out);
}

/* What gnuplot cannot write it does not mention.  Of what is no file, or may
   not be read, it is not known. */
static bool is_whole(const char* path) {
  static const char last[] = "</svg>";
  char end[32] = "";
  struct stat s;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  bool whole = file < 0 || fstat(file, &s) != 0 || !S_ISREG(s.st_mode);
  if (!whole && s.st_size >= (off_t)sizeof(end)
      && pread(file, end, sizeof(end) - 1, s.st_size - (off_t)sizeof(end) + 1)
         > 0)
    whole = strstr(end, last) != NULL;
  if (file >= 0) close(file);
  return whole;
}

/* A gnuplot that ends before it has read all is seen by its status. */
void plot(const struct samples* samples, const char* title, const char* path) {
  FILE* gnuplot;
  int status;
  signal(SIGPIPE, SIG_IGN);
  gnuplot = popen("gnuplot -", "w");
  if (gnuplot != NULL) print_script(gnuplot, samples, title, path);
  status = gnuplot == NULL ? -1 : pclose(gnuplot);
  if (status != 0) fail("gnuplot could not draw %s", path);
  if (!is_whole(path)) fail("gnuplot could not write all of %s", path);
}
