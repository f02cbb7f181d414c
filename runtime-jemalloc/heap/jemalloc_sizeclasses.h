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

/* The size classes of pools, in the place of caml/sizeclasses.h, whose names
   and types these are.

   Up to 128 words they are OCaml 5.3's.  Above, a block is of the class of as
   many words as go 31, 30, ... 8 times into a pool: jemalloc's classes for
   these are wider, 4 to a doubling, and a heap of blocks of 129 to 511 words
   was a tenth larger than with malloc.  Blocks of 512 to 2,047 words lie so in
   medium pools, of 128 KiB.  What lies in pools is moved by a compaction too;
   on OCaml 5.1, which moves nothing, there are no medium pools: each could stay
   for one block. */

#ifndef CAML_JEMALLOC_SIZECLASSES_H
#define CAML_JEMALLOC_SIZECLASSES_H

#include "caml/version.h"

#define POOL_WSIZE 4096
#define POOL_HEADER_WSIZE 4
#define NUM_SIZECLASSES 80

/* Medium pools: so many words, their first class, the least words of a block
   with its header, and the slots of a pool of the last class */
#define CAML_MEDIUM_POOL_WSIZE 16384
#define CAML_MEDIUM_SIZECLASS 56
#define CAML_MEDIUM_LEAST 512
#define CAML_MEDIUM_LEAST_SLOTS 8

/* Words of the largest block of a pool, with its header */
#if OCAML_VERSION < 50200
#define SIZECLASS_MAX (CAML_MEDIUM_LEAST - 1)
#else
#define SIZECLASS_MAX 2047
#endif

#if OCAML_VERSION >= 50500 /* before, in shared_heap.c */
typedef unsigned char sizeclass;
#endif

/* Words of a slot of the class */
static const unsigned int wsize_sizeclass[NUM_SIZECLASSES] = {
  1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 17, 19, 22, 25, 28, 32, 33, 37, 42,
  47, 53, 59, 65, 73, 81, 89, 99, 108, 118, 128, 132, 136, 141, 146, 151, 157,
  163, 170, 177, 186, 194, 204, 215, 227, 240, 255, 272, 292, 314, 341, 372,
  409, 454, 511, 528, 546, 564, 585, 606, 630, 655, 682, 712, 744, 780, 819,
  862, 910, 963, 1023, 1092, 1170, 1260, 1365, 1489, 1638, 1820, 2047 };

/* Words of a pool that are in no slot */
static const unsigned char wastage_sizeclass[NUM_SIZECLASSES] = {
  0, 0, 0, 0, 2, 0, 4, 4, 2, 0, 4, 12, 12, 7, 0, 17, 4, 28, 0, 22, 18, 3, 11,
  21, 62, 4, 42, 87, 33, 96, 80, 124, 0, 12, 3, 4, 15, 10, 17, 12, 21, 0, 18,
  12, 7, 6, 12, 12, 12, 4, 10, 0, 0, 2, 6, 4, 12, 0, 24, 0, 18, 0, 5, 12, 4,
  12, 0, 0, 2, 0, 9, 12, 0, 0, 0, 0, 1, 0, 0, 4 };

/* The class of a block of less than CAML_MEDIUM_LEAST words, by its words with
   the header: see caml/heap_pools.h */
static const unsigned char sizeclass_wsize[CAML_MEDIUM_LEAST] = {
  255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 13, 13, 14,
  14, 14, 15, 15, 15, 16, 16, 16, 17, 17, 17, 17, 18, 19, 19, 19, 19, 20,
  20, 20, 20, 20, 21, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 23, 23, 23,
  23, 23, 23, 24, 24, 24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 25, 26,
  26, 26, 26, 26, 26, 26, 26, 27, 27, 27, 27, 27, 27, 27, 27, 28, 28, 28,
  28, 28, 28, 28, 28, 28, 28, 29, 29, 29, 29, 29, 29, 29, 29, 29, 30, 30,
  30, 30, 30, 30, 30, 30, 30, 30, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
  32, 32, 32, 32, 33, 33, 33, 33, 34, 34, 34, 34, 34, 35, 35, 35, 35, 35,
  36, 36, 36, 36, 36, 37, 37, 37, 37, 37, 37, 38, 38, 38, 38, 38, 38, 39,
  39, 39, 39, 39, 39, 39, 40, 40, 40, 40, 40, 40, 40, 41, 41, 41, 41, 41,
  41, 41, 41, 41, 42, 42, 42, 42, 42, 42, 42, 42, 43, 43, 43, 43, 43, 43,
  43, 43, 43, 43, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 45, 45, 45,
  45, 45, 45, 45, 45, 45, 45, 45, 45, 46, 46, 46, 46, 46, 46, 46, 46, 46,
  46, 46, 46, 46, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47,
  47, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48,
  49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49, 49,
  49, 49, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50,
  50, 50, 50, 50, 50, 50, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51,
  51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 52, 52, 52,
  52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 52,
  52, 52, 52, 52, 52, 52, 52, 52, 52, 52, 53, 53, 53, 53, 53, 53, 53, 53,
  53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53,
  53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 54, 54, 54, 54, 54, 54, 54,
  54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54,
  54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54,
  54, 54, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55,
  55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55,
  55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55, 55,
  55, 55, 55, 55, 55 };

#endif /* CAML_JEMALLOC_SIZECLASSES_H */
