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
   Included by shared_heap.c alone, whose static data it is about; what that
   does then finds each size class with a pool or two that have free blocks. */

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

static void evacuate_pool(struct caml_heap_state* heap, pool* from,
                          sizeclass sz)
{
  mlsize_t wh = wsize_sizeclass[sz], run;
  header_t* end = POOL_END(from);
  for (header_t* hp = POOL_FIRST_BLOCK(from, sz); hp + wh <= end;
       hp += wh * (run > 0 ? run : 1)) {
    header_t hd = Hd_hp(hp);
    run = free_from(hd);
    if (run > 0) continue;
    CAMLassert(!Has_status_hd(hd, caml_global_heap_state.MARKED));
    CAMLassert(!Has_status_hd(hd, NOT_MARKABLE));
    if (Has_status_hd(hd, caml_global_heap_state.UNMARKED))
      move_block(heap, hp, hd, sz);
    else
      discard_block(heap, hp, hd, sz);
  }
}

/* Pools come from both ends: sparse ones to be evacuated, dense ones to move
   blocks to, until there are none between. */
static void evacuate_pools(struct caml_heap_state* heap, sizeclass sz,
                           pool** dense, pool** sparse, pool** evacuated)
{
  pool *from, *to;
  mlsize_t room = 0; /* blocks free in avail_pools */
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
      push_pool(evacuated, from);
      room -= alive;
    } else {
      room += sweep_pool(heap, from, sz);
    }
  }
}

static void move_pools(pool** from, pool** to)
{
  pool* p;
  while ((p = pop_pool(from)) != NULL) push_pool(to, p);
}

static void evacuate_class(struct caml_heap_state* heap, sizeclass sz,
                           bool all, pool** evacuated)
{
  pool *dense = NULL, *sparse = NULL;
  if (all) move_pools(&heap->unswept_full_pools[sz], &dense);
  move_pools(&heap->unswept_avail_pools[sz], &sparse);
  evacuate_pools(heap, sz, &dense, &sparse, evacuated);
  move_pools(&heap->full_pools[sz], &heap->unswept_full_pools[sz]);
  move_pools(&heap->avail_pools[sz], &heap->unswept_avail_pools[sz]);
}

/* Returns the pools that have been evacuated, to be released once nothing
   points into them.  By each domain, at the beginning of its part of a
   compaction. */
static pool* sweep_and_evacuate(struct caml_heap_state* heap)
{
  enum caml_compaction how = caml_heap_compaction(CAML_CYCLE_COMPACTS);
  pool* evacuated = NULL;
  if (how == CAML_COMPACTION_PLAIN) return NULL;
  for (sizeclass sz = 1; sz < NUM_SIZECLASSES; sz++)
    evacuate_class(heap, sz, how == CAML_COMPACTION_SWEEPS_ALL, &evacuated);
  while (heap->unswept_large != NULL) large_alloc_sweep(heap);
  heap->unswept_large = heap->swept_large;
  heap->swept_large = NULL;
  return evacuated;
}
