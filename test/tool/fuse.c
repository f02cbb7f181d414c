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

/* A process whose table leads to a page of a FUSE file that never comes: a
   reader cannot even be killed.  As hostile.c; needs root. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "heap_map.h"

struct caml_heap_map caml_heap_map = {
  .magic = CAML_HEAP_MAP_MAGIC,
  .version = CAML_HEAP_MAP_VERSION,
  .n_mappings = 1,
};

static void must(const char* what, int failed) {
  if (!failed) return;
  printf("%s: %s\n", what, strerror(errno));
  exit(EXIT_FAILURE);
}

static void reply(int device, uint64_t unique, int error, void* data,
                  size_t size) {
  struct fuse_out_header header = {
    .len = (uint32_t)(sizeof(header) + size), .error = error, .unique = unique
  };
  struct iovec parts[] = { { &header, sizeof(header) }, { data, size } };
  if (writev(device, parts, 2) < 0) _exit(EXIT_FAILURE);
}

/* Of the root directory, 1, or of the file, 2 */
static struct fuse_attr attributes(uint64_t node) {
  return (struct fuse_attr){
    .ino = node, .nlink = 1, .size = 4096, .blksize = 4096,
    .mode = node == 1 ? S_IFDIR | 0700 : S_IFREG | 0600
  };
}

static void serve(int device, const struct fuse_in_header* request) {
  struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 4096 };
  struct fuse_entry_out entry = { .nodeid = 2, .attr = attributes(2) };
  struct fuse_attr_out attr = { .attr = attributes(request->nodeid) };
  struct fuse_open_out open = { .fh = 0 };
  uint64_t unique = request->unique;
  switch (request->opcode) {
    case FUSE_INIT: reply(device, unique, 0, &init, sizeof(init)); break;
    case FUSE_LOOKUP: reply(device, unique, 0, &entry, sizeof(entry)); break;
    case FUSE_GETATTR: reply(device, unique, 0, &attr, sizeof(attr)); break;
    case FUSE_OPEN: reply(device, unique, 0, &open, sizeof(open)); break;
    case FUSE_READ: case FUSE_FORGET: case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; /* no answer is due, or none is given */
    default: reply(device, unique, -ENOSYS, NULL, 0);
  }
}

static _Noreturn void serve_all(int device) {
  static _Alignas(8) char request[FUSE_MIN_READ_BUFFER + 4096];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (read(device, request, sizeof(request)) > 0)
    serve(device, (const struct fuse_in_header*)request);
  _exit(EXIT_SUCCESS);
}

/* A page of a file; the file system has no name when it is mapped. */
static void* map_page(int device) {
  char options[64];
  void* page;
  int file;
  snprintf(options, sizeof(options),
           "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  must("mkdir", mkdir("mounted", 0700) != 0);
  must("mount of FUSE",
       mount("test", "mounted", "fuse", MS_NOSUID, options) != 0);
  if (fork() == 0) serve_all(device);
  file = open("mounted/file", O_RDONLY);
  umount2("mounted", MNT_DETACH);
  must("a file of FUSE", file < 0);
  page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
  must("mmap", page == MAP_FAILED);
  return page;
}

int main(void) {
  int device = open("/dev/fuse", O_RDWR);
  must("/dev/fuse", device < 0);
  caml_heap_map.used = (uint64_t)(uintptr_t)map_page(device);
  caml_heap_map.self = (uint64_t)(uintptr_t)&caml_heap_map;
  close(device);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) continue;
  return EXIT_SUCCESS;
}
