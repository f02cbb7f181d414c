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

/* A bit for each page of a frame.  A run is some pages in a row, [n] > 0 from
   [first] on.  No function here is for other threads to see. */

#ifndef CAML_JEMALLOC_PAGE_BITS_H
#define CAML_JEMALLOC_PAGE_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include "jemalloc_assert.h"

/* The pages of a frame, where the kernel's are of 4 KiB; where they are larger,
   there are fewer. */
#define CAML_FRAME_PAGES 512u
#define CAML_FRAME_WORDS (CAML_FRAME_PAGES / 64)

struct caml_page_bits { uint64_t words[CAML_FRAME_WORDS]; };

/* Those of the [i]th word that are in the run */
static inline uint64_t caml_page_bits_mask(unsigned i, unsigned first,
                                           unsigned n) {
  unsigned from = first > 64 * i ? first - 64 * i : 0, to = first + n - 64 * i;
  assert(n > 0 && first + n <= CAML_FRAME_PAGES);
  assert(i >= first / 64 && i <= (first + n - 1) / 64);
  return (~(uint64_t)0 << from) & (to < 64 ? ((uint64_t)1 << to) - 1
                                           : ~(uint64_t)0);
}

static inline void caml_page_bits_set(struct caml_page_bits* bits,
                                      unsigned first, unsigned n) {
  for (unsigned i = first / 64; i <= (first + n - 1) / 64; i++)
    bits->words[i] |= caml_page_bits_mask(i, first, n);
}

static inline void caml_page_bits_clear(struct caml_page_bits* bits,
                                        unsigned first, unsigned n) {
  for (unsigned i = first / 64; i <= (first + n - 1) / 64; i++)
    bits->words[i] &= ~caml_page_bits_mask(i, first, n);
}

/* How many of the run are set */
static inline unsigned caml_page_bits_count(const struct caml_page_bits* bits,
                                            unsigned first, unsigned n) {
  unsigned sum = 0;
  for (unsigned i = first / 64; i <= (first + n - 1) / 64; i++)
    sum += (unsigned)__builtin_popcountll(bits->words[i]
                                          & caml_page_bits_mask(i, first, n));
  return sum;
}

/* The first from [from] on that is set, or with [not] ~0 that is not;
   CAML_FRAME_PAGES if there is none */
static inline unsigned caml_page_bits_find(const struct caml_page_bits* bits,
                                           unsigned from, uint64_t not) {
  unsigned i = from / 64;
  uint64_t word;
  if (from >= CAML_FRAME_PAGES) return CAML_FRAME_PAGES;
  word = (bits->words[i] ^ not) & (~(uint64_t)0 << from % 64);
  while (word == 0) {
    if (++i == CAML_FRAME_WORDS) return CAML_FRAME_PAGES;
    word = bits->words[i] ^ not;
  }
  return i * 64 + (unsigned)__builtin_ctzll(word);
}

/* The next run of set bits, from [from] on: where it begins, and in [n] how
   long it is.  CAML_FRAME_PAGES if there is none. */
static inline unsigned caml_page_bits_run(const struct caml_page_bits* bits,
                                          unsigned from, unsigned* n) {
  unsigned first = caml_page_bits_find(bits, from, 0);
  *n = caml_page_bits_find(bits, first, ~(uint64_t)0) - first;
  return first;
}

/* How many bits before [from] are not set, up to the next that is */
static inline unsigned caml_page_bits_before(const struct caml_page_bits* bits,
                                             unsigned from) {
  unsigned i = from / 64;
  uint64_t word = from % 64 == 0 ? 0
    : bits->words[i] & (((uint64_t)1 << from % 64) - 1);
  while (word == 0) {
    if (i-- == 0) return from;
    word = bits->words[i];
  }
  return from - (i * 64 + 64 - (unsigned)__builtin_clzll(word));
}

#endif /* CAML_JEMALLOC_PAGE_BITS_H */
