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

struct caml_pressure_source {
  int fd;       /* -1: none */
  short events; /* that poll is to wait for */
};

/* Finds one.  [watch] and [write] are the values of the two variables, or NULL;
   [root] is as for [caml_container_find].  False if there is none. */
bool caml_pressure_open(const char* root, const char* watch, const char* write,
                        struct caml_pressure_source* source);

/* Takes what [revents] of poll say.  False if the source has ended. */
bool caml_pressure_take_sign(const struct caml_pressure_source* source,
                             short revents);

/* A descriptor that stays open is not to be one of the standard streams: the
   program may have been started without them, or close and open them itself.
   Returns [fd], or else a copy that is none of these and is closed on exec, and
   closes [fd].  -1 if there is no such copy, or if [fd] is -1. */
int caml_pressure_above_streams(int fd);

/* May be called twice. */
void caml_pressure_close(struct caml_pressure_source* source);

#endif /* CAML_JEMALLOC_PRESSURE_H */
