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

#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "jemalloc_assert.h"
#include "jemalloc_container.h"
#include "jemalloc_pressure.h"

/* A tenth of a window of two seconds in which some task waited for memory, as
   systemd takes it.  The kernel grants windows of whole multiples of two
   seconds to anybody, others to root alone.  With the zero: the kernel takes
   the last byte for one. */
static const char trigger[] = "some 200000 2000000";

/* Of what is written */
#define MOST_DATA 256

static int of_base64(char c) {
  static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char* digit = c == '\0' ? NULL : strchr(digits, c);
  return digit == NULL ? -1 : (int)(digit - digits);
}

/* Returns the length of the data; -1 if the text is not Base64 (RFC 4648), or
   of more than MOST_DATA bytes. */
static int decode(const char* text, unsigned char* data) {
  unsigned bits = 0, n_bits = 0;
  int length = 0, digit;
  for (; (digit = of_base64(*text)) >= 0; text++) {
    bits = bits << 6 | (unsigned)digit;
    n_bits += 6;
    if (n_bits < 8) continue;
    if (length == MOST_DATA) return -1;
    n_bits -= 8;
    data[length++] = (unsigned char)(bits >> n_bits);
  }
  while (*text == '=') text++;
  return *text == '\0' && n_bits < 6 ? length : -1;
}

/* From here on programs have none of their own as a rule.  The kernel's table
   of a process grows by a few KiB for it. */
#define LEAST_NUMBER 200

/* A lower one where the process may not have so many */
static int move_up(int fd) {
  int up;
  assert(fd >= 0);
  up = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_NUMBER);
  if (up < 0 && fd > STDERR_FILENO) return fd;
  if (up < 0) up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(fd);
  return up;
}

struct caml_descriptor caml_descriptor_take(int fd) {
  struct caml_descriptor descriptor = { .number = fd < 0 ? -1 : move_up(fd) };
  struct stat s;
  if (descriptor.number >= 0 && fstat(descriptor.number, &s) == 0) {
    descriptor.device = s.st_dev;
    descriptor.inode = s.st_ino;
  }
  assert(descriptor.number < 0 || descriptor.number > STDERR_FILENO);
  return descriptor;
}

bool caml_descriptor_is_own(const struct caml_descriptor* descriptor) {
  struct stat s;
  assert(descriptor->number == -1 || descriptor->number > STDERR_FILENO);
  return descriptor->number >= 0 && fstat(descriptor->number, &s) == 0
    && s.st_dev == descriptor->device && s.st_ino == descriptor->inode;
}

void caml_descriptor_close(struct caml_descriptor* descriptor) {
  if (caml_descriptor_is_own(descriptor)) close(descriptor->number);
  descriptor->number = -1;
}

/* A socket whose peer has gone is not to end the program by SIGPIPE. */
static ssize_t write_some(int fd, const void* data, size_t length) {
  ssize_t written;
  assert(fd > STDERR_FILENO && length > 0);
  written = send(fd, data, length, MSG_NOSIGNAL);
  return written < 0 && errno == ENOTSOCK ? write(fd, data, length) : written;
}

/* Nothing to write is written, too. */
static bool write_all(int fd, const void* data, int length) {
  assert(length >= 0 && length <= MOST_DATA);
  return length == 0 || write_some(fd, data, (size_t)length) == length;
}

static int connect_to(const char* path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;
  if (strlen(path) >= sizeof(address.sun_path)) return -1;
  strcpy(address.sun_path, path);
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0
      && connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* Returns the descriptor, or -1. */
static int open_path(const char* path, short* events) {
  struct stat s;
  assert(path[0] == '/');
  if (stat(path, &s) != 0) return -1;
  *events = S_ISREG(s.st_mode) ? POLLPRI : POLLIN;
  if (S_ISSOCK(s.st_mode)) return connect_to(path);
  return S_ISREG(s.st_mode) || S_ISFIFO(s.st_mode)
    ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
}

static bool watch_path(const char* path, const void* data, int length,
                       struct caml_pressure_source* source) {
  source->at = caml_descriptor_take(open_path(path, &source->events));
  if (source->at.number < 0) return false;
  if (write_all(source->at.number, data, length)) return true;
  caml_descriptor_close(&source->at);
  return false;
}

static bool watch_named(const char* path, const char* text,
                        struct caml_pressure_source* source) {
  unsigned char data[MOST_DATA];
  int length = text == NULL ? 0 : decode(text, data);
  return path[0] == '/' && strcmp(path, "/dev/null") != 0 && length >= 0
    && watch_path(path, data, length, source);
}

static bool watch_below(const char* directory, const char* name,
                        struct caml_pressure_source* source) {
  char path[CAML_CONTAINER_PATH + 32];
  int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
  return (size_t)length < sizeof(path)
    && watch_path(path, trigger, sizeof(trigger), source);
}

/* The innermost that tells: the root of all cgroups has no such file. */
static bool watch_cgroup(const char* root,
                         struct caml_pressure_source* source) {
  struct caml_container container = { .levels = 0 };
  caml_container_find(root, &container);
  for (unsigned i = 0; i < container.levels; i++)
    if (!container.level[i].v1
        && watch_below(container.level[i].path, "memory.pressure", source))
      return true;
  return false;
}

bool caml_pressure_open(const char* root, const char* watch, const char* write,
                        struct caml_pressure_source* source) {
  assert(root != NULL && source != NULL);
  source->at.number = -1;
  if (watch != NULL) return watch_named(watch, write, source);
  return watch_cgroup(root, source)
    || watch_below(root, "proc/pressure/memory", source);
}

/* What is in a FIFO or a socket is thrown away.  An end of file: nobody writes
   any more. */
static bool drain(int fd) {
  char data[MOST_DATA];
  ssize_t length;
  while ((length = read(fd, data, sizeof(data))) > 0) {}
  return length < 0;
}

bool caml_pressure_take_sign(const struct caml_pressure_source* source,
                             short revents) {
  if (revents & (POLLERR | POLLNVAL) || !caml_descriptor_is_own(&source->at))
    return false;
  return !(revents & (POLLIN | POLLHUP)) || drain(source->at.number);
}
