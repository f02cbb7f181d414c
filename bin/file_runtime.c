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


#define _GNU_SOURCE /* memmem */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file_runtime.h"
#include "heap_table.h"
#include "tool.h"

/* SIGBUS: the file is shorter than it was. */
static void cut_off(int number) {
  static const char line[] =
    "runtime-jemalloc: the file was cut while it was read\n";
  (void)number;
  if (write(STDERR_FILENO, line, strlen(line)) < 0) _exit(EXIT_USAGE);
  _exit(EXIT_USAGE);
}

static struct contents contents_of(const char* path) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat s;
  void* data = NULL;
  if (file < 0 || fstat(file, &s) != 0)
    wrong_use("%s: %s", path, strerror(errno));
  if (!S_ISREG(s.st_mode)) wrong_use("%s: not a file", path);
  signal(SIGBUS, cut_off);
  if (s.st_size > 0)
    data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (data == MAP_FAILED) wrong_use("%s: %s", path, strerror(errno));
  close(file);
  return (struct contents){ data, (size_t)s.st_size };
}

/* Bytecode: behind all else the file has a table of its sections, by name and
   length, and a magic number: the program's name of its runtime is either in
   front of the sections or one of them. */

#define MAGIC "Caml1999X"
#define MAGIC_LENGTH 12
#define ENTRY 8 /* a name of 4 bytes and a length */

static uint32_t big_endian(const char* p) {
  uint32_t number = 0;
  for (int i = 0; i < 4; i++) number = number << 8 | (unsigned char)p[i];
  return number;
}

static bool is_bytecode(struct contents c) {
  return c.size >= MAGIC_LENGTH + 4
    && memcmp(c.data + c.size - MAGIC_LENGTH, MAGIC, strlen(MAGIC)) == 0;
}

/* The name of a file, not of a directory; some letters may follow. */
static bool names_ours(const char* p, size_t size) {
  static const char name[] = "ocamlrun_jemalloc";
  const char* end = p + size;
  while ((p = memmem(p, (size_t)(end - p), name, strlen(name))) != NULL) {
    p += strlen(name);
    while (p < end && (isalnum((unsigned char)*p) || *p == '_')) p++;
    if (p == end || *p != '/') return true;
  }
  return false;
}

static bool runs_on_ours(struct contents c) {
  uint64_t end = c.size - MAGIC_LENGTH - 4; /* of what is not looked at yet */
  uint32_t sections = big_endian(c.data + end);
  if (sections > end / ENTRY) return false;
  end -= sections * (uint64_t)ENTRY;
  for (const char* entry = c.data + end + sections * (uint64_t)ENTRY;
       sections > 0; sections--) {
    uint32_t length;
    entry -= ENTRY;
    length = big_endian(entry + 4);
    if (length > end) return false;
    end -= length;
    if (memcmp(entry, "RNTM", 4) == 0 && names_ours(c.data + end, length))
      return true;
  }
  return names_ours(c.data, end);
}

static bool begins_with(struct contents c, const char* text) {
  return c.size >= strlen(text) && memcmp(c.data, text, strlen(text)) == 0;
}

struct file_runtime runtime_of(struct contents c) {
  if (heap_table_is_in(c.data, c.size))
    return (struct file_runtime){ "with the runtime in it", true };
  if (is_bytecode(c))
    return (struct file_runtime){ "bytecode", runs_on_ours(c) };
  return (struct file_runtime){
    begins_with(c, "\177ELF") ? "native" : "not a program", false
  };
}

struct file_runtime file_runtime(const char* path) {
  struct contents c = contents_of(path);
  struct file_runtime r = runtime_of(c);
  if (c.size > 0) munmap((void*)c.data, c.size);
  return r;
}
