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

/* Where the system says that memory is short:
     1. what the service manager names (systemd's protocol:
        MEMORY_PRESSURE_WATCH, MEMORY_PRESSURE_WRITE), and only that;
     2. memory.pressure of the process's cgroup (version 2);
     3. proc/pressure/memory, for the whole machine.
   From files under a root directory, so that it can be tested alone.  What
   cannot be opened, or refuses what is written, is passed over. */

#ifndef CAML_JEMALLOC_PRESSURE_H
#define CAML_JEMALLOC_PRESSURE_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor that stays open.  The program may close it, as daemons close all
   that they do not know, and open something of its own by the same number: it
   is to be asked each time whether it still is what was opened. */
struct caml_descriptor {
  int number;   /* -1: none */
  dev_t device; /* of what was opened, as the next */
  ino_t inode;  /* all of Linux's anonymous ones, as an eventfd's, are alike */
};

/* Takes [fd], and moves it to a number that programs hardly come to, on any
   account none of the standard streams: the program may have been started
   without them, or close and open them itself.  It is closed on exec.  None if
   there is no such number, or if [fd] is -1. */
struct caml_descriptor caml_descriptor_take(int fd);

bool caml_descriptor_is_own(const struct caml_descriptor* descriptor);

/* Closes it if it is ours.  May be called twice. */
void caml_descriptor_close(struct caml_descriptor* descriptor);

struct caml_pressure_source {
  struct caml_descriptor at;
  short events; /* that poll is to wait for */
};

/* Finds one.  [watch] and [write] are the values of the two variables, or NULL;
   [root] is as for [caml_container_find].  False if there is none. */
bool caml_pressure_open(const char* root, const char* watch, const char* write,
                        struct caml_pressure_source* source);

/* Takes what [revents] of poll say.  False if the source has ended, or the
   program has closed it. */
bool caml_pressure_take_sign(const struct caml_pressure_source* source,
                             short revents);

#endif /* CAML_JEMALLOC_PRESSURE_H */
