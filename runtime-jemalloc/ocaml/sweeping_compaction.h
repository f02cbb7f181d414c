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

/* The first phase of a compaction: sweeps the pools that it moves blocks from
   and to, each in the moment that it is to be used, and is in the cache.
   Included by shared_heap.c alone, whose static data it is about. */

#ifndef CAML_HEAP_JEMALLOC

static inline pool* sweep_and_evacuate(struct caml_heap_state* heap)
{
  (void)heap;
  return NULL;
}

static inline pool* left_to_evacuate(struct caml_heap_state* heap,
                                     sizeclass sz)
{
  return heap->unswept_avail_pools[sz];
}

#else

#include "caml/heap_interrupt.h"
#include "heap_survey.h"

static pool* pop_pool(pool** list)
{
  pool* p = *list;
  if (p != NULL) *list = p->next;
  return p;
}

static void push_pool(pool** list, pool* p)
{
  p->next = *list;
  *list = p;
}

/* The owner of pools that were evacuated, or are about to be: no domain, nor
   that of an adopted pool, which is NULL at times */
#define COMPACTION ((caml_domain_state*)&pool_freelist)

/* Nothing but its old blocks' new addresses is read of it from now on. */
static void push_evacuated(pool** evacuated, pool* p)
{
  p->owner = COMPACTION;
  caml_heap_note_evacuated((value)p, caml_pool_wsize(p->sz));
  push_pool(evacuated, p);
}

static pool* pop_pool_of(pool** first, pool** second)
{
  return pop_pool(*first != NULL ? first : second);
}

/* How many blocks are free from the one with this header on */
static mlsize_t free_from(header_t hd)
{
#if OCAML_VERSION < 50500
  return hd == 0;
#else
  return POOL_BLOCK_FREE_HD(hd) ? Wosize_hd(hd) + 1 : 0;
#endif
}

/* Without branches on what cannot be predicted */
static mlsize_t count_alive(pool* p, sizeclass sz)
{
  mlsize_t count = 0, wh = wsize_sizeclass[sz], run;
  status alive = caml_global_heap_state.UNMARKED;
  header_t* end = POOL_END(p);
  for (header_t* hp = POOL_FIRST_BLOCK(p, sz); hp + wh <= end;
       hp += wh * (run > 0 ? run : 1)) {
    header_t hd = Hd_hp(hp);
    run = free_from(hd);
    count += (run == 0) & Has_status_hd(hd, alive);
  }
  return count;
}

static mlsize_t count_all(pool* p, sizeclass sz)
{
  mlsize_t words = (mlsize_t)(POOL_END(p) - POOL_FIRST_BLOCK(p, sz));
  return words / wsize_sizeclass[sz];
}

/* How many of its blocks are free then: if not all of them, and the pool given
   back, it is the first of [avail_pools]. */
static mlsize_t sweep_pool(struct caml_heap_state* heap, pool* p, sizeclass sz)
{
  pool* list = NULL;
  push_pool(&list, p);
  pool_sweep(heap, &list, sz, 1);
  return heap->avail_pools[sz] == p ? count_all(p, sz) - count_alive(p, sz) : 0;
}

/* From [avail_pools], which have one.  Not by [pool_allocate]: while it has
   one caller, it is compiled into [caml_shared_try_alloc], which saves 2.6% of
   all instructions of bench/programs/trees.ml. */
static header_t* take_block(struct caml_heap_state* heap, sizeclass sz)
{
  pool* p = heap->avail_pools[sz];
  header_t* block = (header_t*)p->next_obj;
  value* next = (value*)block[1];
  CAMLassert(free_from(*block) > 0);
#if OCAML_VERSION >= 50500
  if (free_from(*block) > 1) {
    value* rest = (value*)(block + wsize_sizeclass[sz]);
    rest[0] = POOL_FREE_HEADER(Wosize_hd(*block) - 1);
    rest[1] = (value)next;
    next = rest;
  }
#endif
  p->next_obj = next;
  if (next == NULL)
    push_pool(&heap->full_pools[sz], pop_pool(&heap->avail_pools[sz]));
  return block;
}

/* To [avail_pools], which have room for it.  A block that has moved is MARKED,
   which no other is, and its first field says where to. */
static void move_block(struct caml_heap_state* heap, header_t* hp, header_t hd,
                       sizeclass sz)
{
  header_t* to = take_block(heap, sz);
  memcpy(to, hp, Bhsize_hd(hd));
  Field(Val_hp(hp), 0) = Val_hp(to);
  *hp = With_status_hd(hd, caml_global_heap_state.MARKED);
}

/* Nothing may read what is left of it. */
static void poison_block(header_t* hp, sizeclass sz)
{
#ifdef DEBUG
  for (mlsize_t i = 0; i < wsize_sizeclass[sz]; i++) hp[i] = Debug_free_major;
#else
  (void)hp;
  (void)sz;
#endif
}

static void discard_block(struct caml_heap_state* heap, header_t* hp,
                          header_t hd,
                          sizeclass sz)
{
  CAMLassert(Has_status_hd(hd, caml_global_heap_state.GARBAGE));
  if (Tag_hd(hd) == Custom_tag && Custom_ops_val(Val_hp(hp))->finalize != NULL)
    caml_heap_finalise(Val_hp(hp));
  heap->stats.pool_live_blocks--;
  heap->stats.pool_live_words -= Whsize_hd(hd);
  heap->stats.pool_frag_words -= wsize_sizeclass[sz] - Whsize_hd(hd);
  poison_block(hp, sz);
}

/* Has it moved?  If not, it is garbage, and gone. */
static bool evacuate_block(struct caml_heap_state* heap, header_t* hp,
                           header_t hd, sizeclass sz)
{
  bool alive = Has_status_hd(hd, caml_global_heap_state.UNMARKED);
  if (alive)
    move_block(heap, hp, hd, sz);
  else
    discard_block(heap, hp, hd, sz);
  return alive;
}

/* How many blocks have moved? */
static mlsize_t evacuate_pool(struct caml_heap_state* heap, pool* from,
                              sizeclass sz)
{
  mlsize_t moved = 0, wh = wsize_sizeclass[sz], run;
  header_t* end = POOL_END(from);
  for (header_t* hp = POOL_FIRST_BLOCK(from, sz); hp + wh <= end;
       hp += wh * (run > 0 ? run : 1)) {
    header_t hd = Hd_hp(hp);
    run = free_from(hd);
    if (run == 0) moved += evacuate_block(heap, hp, hd, sz);
  }
  return moved;
}

/* Pools come from both ends: sparse ones to be evacuated, dense ones to move
   blocks to, until there are none between.  [room]: how many blocks are free in
   [avail_pools]. */
static void evacuate_pools(struct caml_heap_state* heap, sizeclass sz,
                           mlsize_t room, pool** dense, pool** sparse,
                           pool** evacuated)
{
  pool *from, *to;
  while ((from = pop_pool_of(sparse, dense)) != NULL) {
    mlsize_t alive = count_alive(from, sz);
    if (alive == count_all(from, sz)) {
      push_pool(&heap->full_pools[sz], from);
      continue;
    }
    while (room < alive && (to = pop_pool_of(dense, sparse)) != NULL)
      room += sweep_pool(heap, to, sz);
    if (room >= alive) {
      evacuate_pool(heap, from, sz);
      push_evacuated(evacuated, from);
      room -= alive;
    } else {
      room += sweep_pool(heap, from, sz);
    }
  }
}

/* With a survey: see heap_survey.h */

static unsigned list_slots(void* pool_, unsigned sz, uint16_t* offsets)
{
  pool* p = pool_;
  mlsize_t wh = wsize_sizeclass[sz], run;
  unsigned n = 0;
  header_t* end = POOL_END(p);
  for (header_t* hp = POOL_FIRST_BLOCK(p, sz); hp + wh <= end;
       hp += wh * (run > 0 ? run : 1)) {
    run = free_from(Hd_hp(hp));
    offsets[n] = (uint16_t)(hp - (header_t*)p);
    n += run == 0;
  }
  return n;
}

/* Was it begun for the calling domain, not for one that had its state before,
   when so many cycles were completed? */
static bool is_survey_of(const struct caml_survey* s, uintnat cycles)
{
  return s->begun && s->cycle == cycles
    && s->domain_id == Caml_state->unique_id;
}

static struct caml_survey* survey_of_cycle(void)
{
  struct caml_survey* s = caml_survey_get(Caml_state);
  static_assert(NUM_SIZECLASSES <= CAML_SURVEY_CLASSES, "");
  if (s != NULL && !is_survey_of(s, caml_major_cycles_completed))
    caml_survey_begin(s, caml_major_cycles_completed, Caml_state->unique_id);
  return s;
}

/* False if there is no memory. */
static bool survey_pool(struct caml_survey* s, pool* p)
{
  return caml_survey_add(s, p, p->next_obj,
                         count_all(p, (sizeclass)s->sizeclass), &list_slots);
}

/* One that has been filled since it was to be the next is in another list. */
static bool is_in_list(const pool* next)
{
  return next != NULL && next->next_obj != NULL;
}

/* Goes on with its size class. */
static bool survey_next(struct caml_survey* s, struct caml_heap_state* heap)
{
  pool* p = s->next;
  if (!is_in_list(p)) p = heap->avail_pools[s->sizeclass];
  if (p != NULL && !survey_pool(s, p)) return false;
  s->next = p == NULL ? NULL : p->next;
  if (s->next == NULL) caml_survey_end_class(s);
  return true;
}

bool caml_heap_survey(intnat words)
{
  struct caml_heap_state* heap = Caml_state->shared_heap;
  struct caml_survey* s = survey_of_cycle();
  CAMLassert(Caml_state->sweeping_done);
  /* of a medium pool as much: it has few headers */
  for (; s != NULL && s->sizeclass < NUM_SIZECLASSES; words -= POOL_WSIZE) {
    if (words <= 0 || caml_heap_interrupted()) return false;
    if (!survey_next(s, heap)) return true;
    caml_heap_chunk_done(POOL_WSIZE);
  }
  return true;
}

/* What has just been swept, and is in the cache, is first in the list: up to
   two pools at a time.  Those for which there is no memory are walked through
   later. */
void caml_heap_survey_swept(unsigned sz)
{
  struct caml_survey* s = survey_of_cycle();
  pool* first = Caml_state->shared_heap->avail_pools[sz];
  if (s == NULL || first == NULL || first == s->next || s->sizeclass > sz)
    return;
  while (s->sizeclass < sz) caml_survey_end_class(s);
  if (!survey_pool(s, first)) return;
  if (first->next != NULL && first->next != s->next)
    survey_pool(s, first->next);
  s->next = first;
}

/* Of the blocks to be moved, so many are fetched at a time. */
#define BLOCKS_AHEAD 8

/* Block [i] of the pool, or of the one that comes after it; NULL if that is not
   known. */
static const header_t* block_ahead(const struct caml_survey* s,
                                   const struct caml_surveyed_pool* p,
                                   unsigned i)
{
  const uint16_t* offsets;
  if (i >= p->count) {
    i -= p->count;
    p = p->next;
  }
  if (p == NULL || i >= p->count) return NULL;
  offsets = caml_survey_slots(s, p);
  return offsets == NULL ? NULL : (const header_t*)p->pool + offsets[i];
}

/* Moves what lives, and discards what does not.  How many have moved? */
static mlsize_t evacuate_slots(struct caml_heap_state* heap,
                               const struct caml_survey* s,
                               const struct caml_surveyed_pool* from,
                               const uint16_t* offsets, sizeclass sz)
{
  mlsize_t moved = 0;
  for (unsigned i = 0; i < from->count; i++) {
    header_t* hp = (header_t*)from->pool + offsets[i];
    header_t hd = Hd_hp(hp);
    __builtin_prefetch(block_ahead(s, from, i + BLOCKS_AHEAD), 1);
    CAMLassert(free_from(hd) == 0);
    moved += evacuate_block(heap, hp, hd, sz);
  }
  return moved;
}

static mlsize_t evacuate_surveyed(struct caml_heap_state* heap,
                                  const struct caml_survey* s,
                                  const struct caml_surveyed_pool* from,
                                  sizeclass sz)
{
  const uint16_t* offsets = caml_survey_slots(s, from);
  return offsets == NULL ? evacuate_pool(heap, from->pool, sz)
    : evacuate_slots(heap, s, from, offsets, sz);
}

/* Lets blocks be moved to the pool, whose free slots are as the last sweep left
   them.  How many are they? */
static size_t open_pool(struct caml_heap_state* heap,
                        const struct caml_surveyed_pool* to, sizeclass sz)
{
  pool* p = to->pool;
  CAMLassert(to->count < count_all(p, sz));
  p->owner = heap->owner;
  push_pool(&heap->avail_pools[sz], p);
  return count_all(p, sz) - to->count;
}

/* As [evacuate_pools], for pools that a survey knows: the sparsest are
   evacuated.  What is garbage since it was made counts until it is found; and
   where blocks are moved to it stays.  Returns how many blocks are free in
   [avail_pools] then. */
static mlsize_t evacuate_in_order(struct caml_heap_state* heap,
                                  const struct caml_survey* s,
                                  struct caml_pool_order* order, sizeclass sz,
                                  pool** evacuated)
{
  struct caml_surveyed_pool *from, *to;
  mlsize_t room = 0;
  while ((from = caml_pool_order_sparse(order)) != NULL) {
    while (room < from->count && (to = caml_pool_order_dense(order)) != NULL)
      room += open_pool(heap, to, sz);
    if (room >= from->count) {
      room -= evacuate_surveyed(heap, s, from, sz);
      push_evacuated(evacuated, from->pool);
    } else {
      room += open_pool(heap, from, sz);
    }
  }
  return room;
}

/* Takes the pools that are as they were surveyed from [list]. */
static void take_surveyed(struct caml_heap_state* heap, struct caml_survey* s,
                          sizeclass sz, pool** list,
                          struct caml_pool_order* order)
{
  size_t n, taken = 0;
  struct caml_surveyed_pool* known = caml_survey_pools(s, sz, &n);
  pool *p, *others = NULL;
  for (size_t i = 0; i < n; i++) __builtin_prefetch(known[i].pool, 1);
  for (size_t i = 0; i < n; i++) {
    p = known[i].pool;
    if (p->owner != heap->owner || p->next_obj != known[i].free) continue;
    p->owner = COMPACTION;
    caml_pool_order_add(order, &known[i], count_all(p, sz));
    taken++;
  }
  caml_heap_note_surveyed(taken);
  while ((p = pop_pool(list)) != NULL)
    if (p->owner == COMPACTION) taken--; else push_pool(&others, p);
  *list = others;
  CAMLassert(taken == 0); /* all of them were in the list */
}

static mlsize_t evacuate_surveyed_class(struct caml_heap_state* heap,
                                        struct caml_survey* s, sizeclass sz,
                                        pool** evacuated)
{
  struct caml_pool_order order = { { NULL } };
  if (s == NULL) return 0;
  take_surveyed(heap, s, sz, &heap->unswept_avail_pools[sz], &order);
  return evacuate_in_order(heap, s, &order, sz, evacuated);
}

static void move_pools(pool** from, pool** to)
{
  pool* p;
  while ((p = pop_pool(from)) != NULL) push_pool(to, p);
}

static void evacuate_class(struct caml_heap_state* heap, sizeclass sz,
                           bool all, struct caml_survey* survey,
                           pool** evacuated)
{
  pool *dense = NULL, *sparse = NULL;
  mlsize_t room = evacuate_surveyed_class(heap, survey, sz, evacuated);
  if (all) move_pools(&heap->unswept_full_pools[sz], &dense);
  move_pools(&heap->unswept_avail_pools[sz], &sparse);
  evacuate_pools(heap, sz, room, &dense, &sparse, evacuated);
  move_pools(&heap->full_pools[sz], &heap->unswept_full_pools[sz]);
  move_pools(&heap->avail_pools[sz], &heap->unswept_avail_pools[sz]);
}

/* One made in the cycle that ends, for a compaction that takes the pools as
   they were swept in that */
static struct caml_survey* survey_for(enum caml_compaction how)
{
  struct caml_survey* s = caml_survey_find(Caml_state);
  return how == CAML_COMPACTION_SWEEPS_AVAILABLE && s != NULL
    && is_survey_of(s, caml_major_cycles_completed - 1) ? s : NULL;
}

/* Returns the pools that have been evacuated, to be released once nothing
   points into them.  By each domain, at the beginning of its part of a
   compaction. */
static pool* sweep_and_evacuate(struct caml_heap_state* heap)
{
  enum caml_compaction how = caml_heap_compaction(CAML_CYCLE_COMPACTS);
  struct caml_survey* survey = survey_for(how);
  pool* evacuated = NULL;
  CAMLassert(how >= CAML_COMPACTION_SWEEPS_AVAILABLE);
  for (sizeclass sz = 1; sz < NUM_SIZECLASSES; sz++)
    evacuate_class(heap, sz, how == CAML_COMPACTION_SWEEPS_ALL, survey,
                   &evacuated);
  caml_survey_forget(survey);
  while (heap->unswept_large != NULL) large_alloc_sweep(heap);
  heap->unswept_large = heap->swept_large;
  heap->swept_large = NULL;
  return evacuated;
}

/* The pools that OCaml's own evacuation, which comes next, is to look at: none.
   It would move blocks that have been moved already, and those would be lost:
   who points to where they were first is told where they went then, no
   further. */
static inline pool* left_to_evacuate(struct caml_heap_state* heap,
                                     sizeclass sz)
{
  (void)heap;
  (void)sz;
  return NULL;
}

#endif /* CAML_HEAP_JEMALLOC */
