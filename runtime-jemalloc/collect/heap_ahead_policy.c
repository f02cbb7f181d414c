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

#include "heap_ahead_policy.h"

/* A slice of less than this, a tenth of a ms to a ms, is not worth waking up a
   thread for, which takes some 20 us of CPU time. */
#define LEAST_WORDS 0x4000

/* After so many failures in a row one slice in 2^8 is tried. */
#define MOST_FAILURES 8

static intptr_t to_be_done(intptr_t work, intptr_t owed) {
  intptr_t ahead = owed < 0 ? -owed : 0;
  return work - ahead >= LEAST_WORDS ? work - ahead : 0;
}

/* Counts the slice, if it is one that nothing is done ahead of. */
static bool passes(struct caml_ahead_policy* p) {
  return atomic_load(&p->let_pass) > 0
    && atomic_fetch_sub(&p->let_pass, 1) > 0;
}

void caml_ahead_slice(struct caml_ahead_policy* p, intptr_t work,
                      intptr_t owed) {
  intptr_t words = to_be_done(work, owed);
  if (words > 0 && passes(p)) words = 0;
  atomic_store(&p->words, words);
}

void caml_ahead_done(struct caml_ahead_policy* p, intptr_t words) {
  if (caml_ahead_is_wanted(p)) atomic_fetch_sub(&p->words, words);
}

void caml_ahead_all_done(struct caml_ahead_policy* p) {
  atomic_store(&p->words, 0);
}

void caml_ahead_tried(struct caml_ahead_policy* p, bool found) {
  if (found)
    p->failures = 0;
  else if (p->failures < MOST_FAILURES)
    p->failures++;
  atomic_store(&p->let_pass, (1 << p->failures) - 1);
  if (!found) caml_ahead_all_done(p);
}
