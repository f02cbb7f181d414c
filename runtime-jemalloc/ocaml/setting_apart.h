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

/* Taking what a heap has out of its lists, for the part that is shared after a
   fork (caml/heap_share.h), and giving it back.  Included by shared_heap.c
   alone, whose static data it is about. */

#include "caml/heap_domain.h" /* names of before 5.3 */
#include "heap_share_part.h"
#include "heap_survey.h"

/* What is in no list of a domain's any more, and is not listed as shared yet.
   Its pools and large blocks are written by neither. */
static struct caml_heap_state set_apart;

static void append_pools(pool** first, pool** second)
{
  if (*second == NULL) return;
  while (*first != NULL) first = &(*first)->next;
  *first = *second;
  *second = NULL;
}

static void append_large(large_alloc** first, large_alloc** second)
{
  if (*second == NULL) return;
  while (*first != NULL) first = &(*first)->next;
  *first = *second;
  *second = NULL;
}

static void append_heap(struct caml_heap_state* first,
                        struct caml_heap_state* second)
{
  for (int i = 0; i < NUM_SIZECLASSES; i++) {
    append_pools(&first->avail_pools[i], &second->avail_pools[i]);
    append_pools(&first->full_pools[i], &second->full_pools[i]);
    append_pools(&first->unswept_avail_pools[i],
                 &second->unswept_avail_pools[i]);
    append_pools(&first->unswept_full_pools[i], &second->unswept_full_pools[i]);
  }
  append_large(&first->swept_large, &second->swept_large);
  append_large(&first->unswept_large, &second->unswept_large);
  caml_accum_heap_stats(&first->stats, &second->stats);
  memset(&second->stats, 0, sizeof(second->stats));
}

void caml_share_set_apart(struct caml_heap_state* heap)
{
  struct caml_heap_state empty = { .next_to_sweep = heap->next_to_sweep,
                                   .owner = heap->owner };
  caml_survey_cancel(caml_survey_find(heap->owner));
  append_heap(heap, &set_apart);
  set_apart = *heap;
  *heap = empty;
  heap->stats.pool_max_words = set_apart.stats.pool_max_words;
  heap->stats.large_max_words = set_apart.stats.large_max_words;
}

void caml_share_take_back(struct caml_heap_state* heap)
{
  append_heap(heap, &set_apart);
}

const struct heap_stats* caml_share_apart_stats(void)
{
  return &set_apart.stats;
}

static bool list_pools(pool* p, sizeclass sz, caml_share_lister list)
{
  for (; p != NULL; p = p->next)
    if (!list(p, sz)) return false;
  return true;
}

static bool list_large(large_alloc* a, caml_share_lister list)
{
  for (; a != NULL; a = a->next)
    if (!list(a, 0)) return false;
  return true;
}

bool caml_share_list_apart(caml_share_lister list)
{
  for (sizeclass sz = 1; sz < NUM_SIZECLASSES; sz++)
    if (!(list_pools(set_apart.avail_pools[sz], sz, list)
          && list_pools(set_apart.full_pools[sz], sz, list)
          && list_pools(set_apart.unswept_avail_pools[sz], sz, list)
          && list_pools(set_apart.unswept_full_pools[sz], sz, list)))
      return false;
  return list_large(set_apart.swept_large, list)
    && list_large(set_apart.unswept_large, list);
}

void caml_share_forget_apart(void)
{
  memset(&set_apart, 0, sizeof(set_apart));
}

void caml_share_orphan_pool(void* p, unsigned sz)
{
  struct pool* a = p;
  caml_plat_lock_blocking(&pool_freelist.lock);
  a->owner = NULL;
  if (a->next_obj != NULL) {
    a->next = pool_freelist.global_avail_pools[sz];
    pool_freelist.global_avail_pools[sz] = a;
  } else {
    a->next = pool_freelist.global_full_pools[sz];
    pool_freelist.global_full_pools[sz] = a;
  }
  caml_plat_unlock(&pool_freelist.lock);
}

void caml_share_orphan_large(void* p)
{
  large_alloc* a = p;
  caml_plat_lock_blocking(&pool_freelist.lock);
  a->next = pool_freelist.global_large;
  pool_freelist.global_large = a;
  caml_plat_unlock(&pool_freelist.lock);
}

void caml_share_orphan_stats(const struct heap_stats* stats)
{
  caml_plat_lock_blocking(&pool_freelist.lock);
  caml_accum_heap_stats(&pool_freelist.stats, stats);
  caml_plat_unlock(&pool_freelist.lock);
}
