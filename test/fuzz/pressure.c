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

/* libFuzzer: what the service manager says of where to watch memory, and what
   to write there.  The input is a byte that says what there is, the end of a
   path, a byte of 0, and the text to write.  Nothing of the files that the
   kernel has for it is read. */

#define _GNU_SOURCE /* mkdtemp, memrchr */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "jemalloc_pressure.h"

#define MOST_DATA 256 /* as in jemalloc_pressure.c */

static char root[] = "/tmp/fuzz.XXXXXX";
static int listener;

static const char* const names[] = { "fifo", "file", "socket", "folder" };
#define N_NAMES (sizeof(names) / sizeof(names[0]))
enum { FIFO, REGULAR, SOCKET, FOLDER };

static const char* path_of(size_t i) {
  static char path[64];
  snprintf(path, sizeof(path), "%s/%s", root, names[i]);
  return path;
}

static void remove_root(void) {
  for (size_t i = 0; i < N_NAMES; i++) remove(path_of(i));
  rmdir(root);
}

/* Base64 again, in another way */

static const char digits[] =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The number of digits of [text]; -1 if it is not for us */
static int n_digits(const char* text) {
  size_t n = strspn(text, digits);
  if (text[n + strspn(text + n, "=")] != '\0') return -1;
  return n % 4 == 1 || n * 3 / 4 > MOST_DATA ? -1 : (int)n;
}

static unsigned bit(const char* text, int i) {
  return (unsigned)(strchr(digits, text[i / 6]) - digits) >> (5 - i % 6) & 1;
}

static void check_data(const char* text, const uint8_t* data, int length) {
  if (length != n_digits(text) * 6 / 8) abort();
  for (int i = 0; i < 8 * length; i++)
    if ((data[i / 8] >> (7 - i % 8) & 1u) != bit(text, i)) abort();
}

/* What was written to the source [i] */
static int written(size_t i, const struct caml_pressure_source* s,
                   uint8_t* data, size_t size) {
  int peer, length;
  if (i == REGULAR) return (int)pread(s->at.number, data, size, 0);
  if (i == FIFO) return (int)read(s->at.number, data, size);
  peer = accept(listener, NULL, NULL);
  length = (int)recv(peer, data, size, MSG_DONTWAIT);
  close(peer);
  return length;
}

static void check_source(size_t i, const char* text,
                         struct caml_pressure_source* s) {
  uint8_t data[4096];
  int length;
  if (s->at.number <= STDERR_FILENO
      || fcntl(s->at.number, F_GETFD) != FD_CLOEXEC) abort();
  length = written(i, s, data, sizeof(data));
  check_data(text, data, length < 0 ? 0 : length);
  caml_pressure_take_sign(s, s->events);
}

/* No path leads out of the directory. */
static void watch_any(char* path, const char* text,
                      struct caml_pressure_source* s) {
  char all[8192];
  if (strstr(path, "..") != NULL) return;
  snprintf(all, sizeof(all), "%s/no/%s", root, path);
  if (caml_pressure_open(root, all, text, s)) abort();
  if (path[0] != '/' && caml_pressure_open(root, path, text, s)) abort();
}

static void try_input(unsigned kind, char* path, const char* text) {
  struct caml_pressure_source s = { .at = { .number = 1000 } }; /* nobody's */
  size_t i = kind % (N_NAMES + 1);
  if (truncate(path_of(REGULAR), 0) != 0) abort();
  if (i == N_NAMES) {
    watch_any(path, text, &s);
  } else if (caml_pressure_open(root, path_of(i), text, &s)) {
    check_source(i, text, &s);
  } else if (s.at.number != -1 || (i != FOLDER && n_digits(text) >= 0)) {
    abort();
  }
  caml_descriptor_close(&s.at);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* copy = malloc(size + 1); /* exact, for the address sanitizer */
  if (copy == NULL) abort();
  memcpy(copy, data, size);
  copy[size] = '\0';
  if (size > 1) {
    size_t length = strlen(copy + 1);
    try_input((unsigned char)copy[0], copy + 1,
              length + 2 < size ? copy + length + 2 : "");
  }
  free(copy);
  return 0;
}

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int file;
  (void)argc;
  (void)argv;
  if (mkdtemp(root) == NULL || mkfifo(path_of(FIFO), 0600) != 0
      || mkdir(path_of(FOLDER), 0700) != 0)
    abort();
  file = open(path_of(REGULAR), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  strcpy(address.sun_path, path_of(SOCKET));
  if (file < 0 || listener < 0
      || bind(listener, (struct sockaddr*)&address, sizeof(address)) != 0
      || listen(listener, 8) != 0)
    abort();
  close(file);
  return atexit(remove_root);
}
