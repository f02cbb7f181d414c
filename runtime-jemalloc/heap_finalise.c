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

/* Finalisers of custom blocks are C functions of any library.  Where only one domain
   runs, OCaml calls them on the threads that run it, and nowhere in their blocking
   sections: a library may be bound to its thread, or hold a lock in the section that
   its finaliser takes.  Nor may they look at the heap while a compaction moves it.  So
   what the runtime's own thread finds to be dead, or a compaction, is copied, and
   finalised at the end of Gc.compact or in the next slice that is not that thread's. */

#define CAML_INTERNALS

#include <stdlib.h>
#include <string.h>
#include "caml/bigarray.h"
#include "caml/domain_state.h"
#include "caml/heap_memory.h"
#include "caml/mlvalues.h"
#include "heap_jemalloc.h"

struct caml_dead_block {
  struct caml_dead_block* next;
  void (*finaliser)(value);
  header_t header;
  char data[];
};

static bool compacting(void) {
  return caml_heap.sweep != CAML_SWEEP_NOTHING;
}

/* Does the runtime's own thread work in the place of the domain? */
static bool in_place_of_domain(void) {
  return atomic_load(&caml_heap.idle.in_place_of) == Caml_state;
}

/* False if there is no memory. */
static bool postpone(void (*finaliser)(value), value block) {
  mlsize_t wosize = Wosize_val(block);
  struct caml_dead_block* dead = malloc(sizeof(*dead) + Bsize_wsize(wosize));
  if (dead == NULL) return false;
  dead->finaliser = finaliser;
  dead->header = Caml_out_of_heap_header(wosize, Custom_tag);
  memcpy(dead->data, Op_val(block), Bsize_wsize(wosize));
  dead->next = atomic_load(&caml_heap.dead_blocks);
  while (!atomic_compare_exchange_weak(&caml_heap.dead_blocks, &dead->next, dead)) {}
  return true;
}

/* The runtime's own bigarrays are but freed, on whatever thread: their memory, which
   may be large, does not wait for the program to run again. */
void caml_heap_finalise(void (*finaliser)(value), value block) {
  bool later = finaliser != caml_ba_finalize && (in_place_of_domain() || compacting());
  if (!later || !postpone(finaliser, block)) finaliser(block);
}

void caml_heap_finalise_postponed(void) {
  struct caml_dead_block* dead;
  if (atomic_load(&caml_heap.dead_blocks) == NULL || in_place_of_domain()) return;
  dead = atomic_exchange(&caml_heap.dead_blocks, NULL);
  while (dead != NULL) {
    struct caml_dead_block* next = dead->next;
    dead->finaliser(Val_hp(&dead->header));
    free(dead);
    dead = next;
  }
}
