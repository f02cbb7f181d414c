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

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "heap_survey.h"

/* A pool of which more than one part in so many is in use is not worth a list
   of its slots: to read it all is hardly more. */
#define LISTED_PART 2

/* One for each domain that was ever surveyed, by its state, which the next
   domain of that number has again */
static struct caml_survey* _Atomic surveys;

struct caml_survey* caml_survey_find(const void* domain) {
  struct caml_survey* s = atomic_load(&surveys);
  while (s != NULL && s->domain != domain) s = s->next_survey;
  return s;
}

struct caml_survey* caml_survey_get(const void* domain) {
  struct caml_survey* s = caml_survey_find(domain);
  if (s != NULL) return s;
  s = calloc(1, sizeof(*s));
  if (s == NULL) return NULL;
  s->domain = domain;
  s->next_survey = atomic_load(&surveys);
  while (!atomic_compare_exchange_weak(&surveys, &s->next_survey, s)) { }
  return s;
}

void caml_survey_begin(struct caml_survey* s, uintptr_t cycle,
                       int domain_id) {
  s->begun = true;
  s->cycle = cycle;
  s->domain_id = domain_id;
  s->sizeclass = 0;
  s->next = NULL;
  s->pools.length = s->slots.length = 0;
  s->classes[0] = 0;
}

/* NULL if there is no memory */
static void* append(struct caml_survey_array* a, size_t n, size_t size) {
  if (a->length + n > a->room) {
    size_t room = 2 * a->room + n;
    void* data = realloc(a->data, room * size);
    if (data == NULL) return NULL;
    a->data = data;
    a->room = room;
  }
  a->length += n;
  return (char*)a->data + (a->length - n) * size;
}

bool caml_survey_add(struct caml_survey* s, void* pool, const void* free,
                     size_t slots,
                     unsigned (*list)(void*, unsigned, uint16_t*)) {
  size_t first = s->slots.length;
  uint16_t* offsets = append(&s->slots, slots, sizeof(*offsets));
  struct caml_surveyed_pool* entry = append(&s->pools, 1, sizeof(*entry));
  unsigned n;
  if (offsets == NULL || entry == NULL) return false;
  n = list(pool, s->sizeclass, offsets);
  assert(n <= slots);
  s->slots.length = first;
  if (n > slots / LISTED_PART)
    first = CAML_SURVEY_NOT_LISTED;
  else
    s->slots.length += n;
  *entry = (struct caml_surveyed_pool){ pool, free, first, n, NULL };
  return true;
}

void caml_survey_end_class(struct caml_survey* s) {
  assert(s->sizeclass < CAML_SURVEY_CLASSES);
  s->classes[++s->sizeclass] = s->pools.length;
  s->next = NULL;
}

struct caml_surveyed_pool* caml_survey_pools(struct caml_survey* s,
                                             unsigned sizeclass,
                                             size_t* count) {
  struct caml_surveyed_pool* pools = s->pools.data;
  size_t end = sizeclass < s->sizeclass
    ? s->classes[sizeclass + 1] : s->pools.length;
  *count = sizeclass <= s->sizeclass ? end - s->classes[sizeclass] : 0;
  return *count == 0 ? NULL : pools + s->classes[sizeclass];
}

const uint16_t* caml_survey_slots(const struct caml_survey* s,
                                  const struct caml_surveyed_pool* pool) {
  return pool->first == CAML_SURVEY_NOT_LISTED
    ? NULL : (const uint16_t*)s->slots.data + pool->first;
}

static void free_array(struct caml_survey_array* a) {
  free(a->data);
  *a = (struct caml_survey_array){ NULL, 0, 0 };
}

void caml_survey_cancel(struct caml_survey* s) {
  if (s != NULL) s->begun = false;
}

void caml_survey_forget(struct caml_survey* s) {
  if (s == NULL) return;
  s->begun = false;
  free_array(&s->pools);
  free_array(&s->slots);
}

void caml_survey_forget_all(void) {
  struct caml_survey* s = atomic_load(&surveys);
  for (; s != NULL; s = s->next_survey) caml_survey_forget(s);
}

/* The order */

void caml_pool_order_add(struct caml_pool_order* o,
                         struct caml_surveyed_pool* pool, size_t slots) {
  size_t part = pool->count * CAML_SURVEY_PARTS / (slots + 1);
  assert(pool->count <= slots);
  pool->next = o->parts[part];
  o->parts[part] = pool;
}

static struct caml_surveyed_pool* take(struct caml_surveyed_pool** part) {
  struct caml_surveyed_pool* pool = *part;
  *part = pool->next;
  return pool;
}

struct caml_surveyed_pool* caml_pool_order_sparse(struct caml_pool_order* o) {
  for (int i = 0; i < CAML_SURVEY_PARTS; i++)
    if (o->parts[i] != NULL) return take(&o->parts[i]);
  return NULL;
}

struct caml_surveyed_pool* caml_pool_order_dense(struct caml_pool_order* o) {
  for (int i = CAML_SURVEY_PARTS - 1; i >= 0; i--)
    if (o->parts[i] != NULL) return take(&o->parts[i]);
  return NULL;
}
