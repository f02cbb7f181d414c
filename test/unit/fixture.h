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

/* An arena of its own for each test: T(f) runs f with one. */

#ifndef FIXTURE_H
#define FIXTURE_H

#include "jemalloc_arena.h"
#include "smaps.h"

#define MIB ((size_t)1 << 20)
#define POOL CAML_POOL_SIZE

static struct caml_arena arena;

static int setup(void** state) {
  (void)state;
  if (caml_arena_create(&arena, CAML_THP_SYSTEM) != NULL) return -1;
  return caml_arena_set_dirty_decay(&arena, 1000)
    && caml_arena_set_muzzy_decay(&arena, 1000) ? 0 : -1;
}

static int teardown(void** state) {
  (void)state;
  return caml_arena_destroy(&arena) ? 0 : -1;
}

/* Skips the test where the kernel cannot do as it is told to. */
static inline void need_populate(void) {
  if (!smaps_can_populate()) {
    print_message("# no MADV_POPULATE_WRITE before Linux 5.14\n");
    skip();
  }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif /* FIXTURE_H */
