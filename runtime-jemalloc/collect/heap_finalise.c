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

/* Finalisers of custom blocks are C functions of any library.  Where only one
   domain runs, OCaml calls them on the threads that run it, and nowhere in
   their blocking sections: a library may be bound to its thread, or hold a
   lock in the section that its finaliser takes.  Nor may they look at the heap
   while a compaction moves it.  So what the runtime's own thread finds to be
   dead, or a compaction, is copied, and finalised at the end of Gc.compact or
   in the next slices that are not that thread's, a millisecond's worth in
   each.  The thread asks for such a slice of each domain that it leaves while
   there are some. */

#define CAML_INTERNALS

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "caml/bigarray.h"
#include "caml/custom.h"
#include "caml/domain_state.h"
#include "caml/heap_finalise.h"
#include "caml/mlvalues.h"
#include "heap_collect.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_share_part.h"

struct caml_dead_block {
  struct caml_dead_block* next;
  void (*finaliser)(value);
  header_t header;
  char data[];
};

#define SLICE_NS 1000000ull

static struct {
  pthread_mutex_t lock; /* nothing is locked after it */
  struct caml_dead_block *first, **last;
  _Atomic bool some;
} postponed = { .lock = PTHREAD_MUTEX_INITIALIZER };

void caml_heap_finalise_prefork(void) {
  pthread_mutex_lock(&postponed.lock);
}

void caml_heap_finalise_postfork_parent(void) {
  pthread_mutex_unlock(&postponed.lock);
}

void caml_heap_finalise_postfork_child(void) {
  pthread_mutex_init(&postponed.lock, NULL);
}

static void append(struct caml_dead_block* dead) {
  pthread_mutex_lock(&postponed.lock);
  if (postponed.first == NULL) postponed.last = &postponed.first;
  *postponed.last = dead;
  postponed.last = &dead->next;
  atomic_store(&postponed.some, true);
  pthread_mutex_unlock(&postponed.lock);
}

/* NULL if there is none */
static struct caml_dead_block* take_first(void) {
  struct caml_dead_block* dead;
  pthread_mutex_lock(&postponed.lock);
  dead = postponed.first;
  if (dead != NULL) postponed.first = dead->next;
  atomic_store(&postponed.some, postponed.first != NULL);
  pthread_mutex_unlock(&postponed.lock);
  return dead;
}

static bool compacting(void) {
  return caml_collector.compaction != CAML_COMPACTION_NONE;
}

/* Does the runtime's own thread work in the place of the domain? */
static bool in_place_of_domain(void) {
  return atomic_load(&caml_heap_idle.in_place_of) == Caml_state;
}

/* False if there is no memory. */
static bool postpone(void (*finaliser)(value), value block) {
  mlsize_t wosize = Wosize_val(block);
  struct caml_dead_block* dead = malloc(sizeof(*dead) + Bsize_wsize(wosize));
  if (dead == NULL) return false;
  dead->next = NULL;
  dead->finaliser = finaliser;
  dead->header = Caml_out_of_heap_header(wosize, Custom_tag);
  memcpy(dead->data, Op_val(block), Bsize_wsize(wosize));
  append(dead);
  return true;
}

/* The runtime's own bigarrays are but freed, on whatever thread: their memory,
   which may be large, does not wait for the program to run again; but that, if
   it is back, does not wait for them. */
static bool is_better_later(void (*finaliser)(value)) {
  return (in_place_of_domain() || compacting())
    && (finaliser != caml_ba_finalize || caml_idle_is_awaited(&caml_heap_idle));
}

/* It may fork, in the middle of a sweep or a slice. */
static void call(void (*finaliser)(value), value block) {
  caml_share_hold();
  finaliser(block);
  caml_share_release();
}

void caml_heap_finalise(value block) {
  void (*finaliser)(value) = Custom_ops_val(block)->finalize;
  bool later = is_better_later(finaliser);
  if (!later || !postpone(finaliser, block)) call(finaliser, block);
}

/* False if there is none left. */
static bool finalise_first(void) {
  struct caml_dead_block* dead = take_first();
  if (dead == NULL) return false;
  call(dead->finaliser, Val_hp(&dead->header));
  free(dead);
  return true;
}

bool caml_heap_has_postponed(void) {
  return atomic_load(&postponed.some);
}

void caml_heap_finalise_postponed(void) {
  if (in_place_of_domain()) return;
  while (finalise_first()) {}
}

void caml_heap_finalise_some(void) {
  uint64_t began;
  if (!caml_heap_has_postponed() || in_place_of_domain()) return;
  began = caml_heap_now();
  while (finalise_first() && caml_heap_now() - began < SLICE_NS) {}
}
