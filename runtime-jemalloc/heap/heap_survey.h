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

/* A survey of a domain's heap, once that is swept: of each pool that has free
   slots, which ones are not free.  It is made before a compaction, in steps
   that can be interrupted, so that the stop reads the blocks that live instead
   of all slots.

   Until the cycle ends a swept pool is not swept again, nor released: it
   changes only as blocks are allocated from it, and then another of its slots
   is the first free one.  It leaves the domain's lists only as the domain ends,
   and has another owner then, or as it is set apart for forked processes, which
   cancels the survey.

   A survey is its domain's: what is called with one wants the domain's lock. */

#ifndef CAML_HEAP_SURVEY_H
#define CAML_HEAP_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAML_SURVEY_CLASSES 128 /* size classes: the most that there may be */

struct caml_surveyed_pool {
  void* pool;
  const void* free; /* its first free slot */
  size_t first;     /* of its offsets; CAML_SURVEY_NOT_LISTED: there are none */
  unsigned count;   /* of slots that are not free */
  struct caml_surveyed_pool* next; /* about as full; see caml_pool_order */
};
#define CAML_SURVEY_NOT_LISTED SIZE_MAX

/* malloc'ed; grows by doubling */
struct caml_survey_array {
  void* data;
  size_t length, room;
};

/* All zero at first */
struct caml_survey {
  struct caml_survey* next_survey;
  const void* domain;
  int domain_id;      /* another domain may have that state later */
  uintptr_t cycle;    /* how many were completed when it was begun */
  unsigned sizeclass; /* whose pools are looked through now */
  void* next;         /* of these, or the last: the survey's maker's own */
  bool begun;
  size_t classes[CAML_SURVEY_CLASSES + 1]; /* the first of each in [pools] */
  struct caml_survey_array pools; /* struct caml_surveyed_pool */
  struct caml_survey_array slots; /* uint16_t: offsets in a pool, words */
};

/* The survey of a domain, or NULL; and one made if there is none: NULL if there
   is no memory.  From any thread that has the lock of that domain. */
struct caml_survey* caml_survey_find(const void* domain);
struct caml_survey* caml_survey_get(const void* domain);

/* Begins it anew, with size class 0. */
void caml_survey_begin(struct caml_survey* survey, uintptr_t cycle,
                       int domain_id);

/* It holds no longer: pools have been taken out of the domain's lists.  Its
   memory is freed later: a process may be forking.  [survey] may be NULL. */
void caml_survey_cancel(struct caml_survey* survey);

/* Adds a pool of [slots] slots, if need be again.  [list] writes the offsets of
   those that are not free, and returns how many they are.  False if there is no
   memory. */
bool caml_survey_add(struct caml_survey* survey, void* pool, const void* free,
                     size_t slots,
                     unsigned (*list)(void* pool, unsigned sizeclass,
                                      uint16_t* offsets));

/* All pools of the size class have been added. */
void caml_survey_end_class(struct caml_survey* survey);

/* Of a size class: its pools, and how many. */
struct caml_surveyed_pool* caml_survey_pools(struct caml_survey* survey,
                                             unsigned sizeclass, size_t* count);

/* The offsets of a pool's slots that are not free; NULL if they are so many
   that they were not listed. */
const uint16_t* caml_survey_slots(const struct caml_survey* survey,
                                  const struct caml_surveyed_pool* pool);

/* Frees what it holds, or what all do.  [survey] may be NULL. */
void caml_survey_forget(struct caml_survey* survey);
void caml_survey_forget_all(void);

/* Pools in the order of how full they are, to the next of so many parts.  All
   zero at first; no memory is allocated. */
#define CAML_SURVEY_PARTS 64
struct caml_pool_order {
  struct caml_surveyed_pool* parts[CAML_SURVEY_PARTS];
};
void caml_pool_order_add(struct caml_pool_order* order,
                         struct caml_surveyed_pool* pool, size_t slots);

/* Takes one of those with the least, or the most, that is not free; NULL if
   there is none. */
struct caml_surveyed_pool*
caml_pool_order_sparse(struct caml_pool_order* order);
struct caml_surveyed_pool*
caml_pool_order_dense(struct caml_pool_order* order);

#endif /* CAML_HEAP_SURVEY_H */
