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

/* Standing in for a domain: a thread of the runtime does collector's work in
   the place of the domain's own threads while these are all in blocking
   sections.  Included by domain.c alone, whose static data it is about. */

#include "caml/gc_stats.h"

#if OCAML_VERSION < 50300
#define MAX_DOMAINS Max_domains
#else
#define MAX_DOMAINS ((int)caml_params->max_domains)
#endif

/* A domain that is being made or is ending has [all_domains_lock]. */
enum caml_domain_loan caml_domain_borrow(int i)
{
  enum caml_domain_loan result = CAML_DOMAIN_BUSY;
  dom_internal* d;
  if (i >= MAX_DOMAINS) return CAML_DOMAIN_LAST;
  if (!caml_plat_try_lock(&all_domains_lock)) return CAML_DOMAIN_BUSY;
  d = &all_domains[i];
  if (!d->interruptor.running) {
    result = CAML_DOMAIN_NONE;
  } else if (caml_plat_try_lock(&d->domain_lock)) {
    result = CAML_DOMAIN_BORROWED;
    domain_self = d;
    caml_state = d->state;
  }
  caml_plat_unlock(&all_domains_lock);
  return result;
}

bool caml_domain_all_take_part(void)
{
  return (uintnat)stw_request.num_domains
    == atomic_load(&caml_num_domains_running);
}

/* in no header */
extern void caml_accum_orphan_alloc_stats(struct alloc_stats* acc);

struct caml_marks caml_domain_marks(struct gc_stats* stats)
{
  struct caml_marks marks = { 0, 0 };
  struct gc_stats of_one;
  memset(stats, 0, sizeof(*stats));
  caml_accum_orphan_heap_stats(&stats->heap_stats);
  caml_accum_orphan_alloc_stats(&stats->alloc_stats);
  for (int i = 0; i < stw_request.num_domains; i++) {
    caml_domain_state* d = stw_request.participating[i];
    marks.blocks += d->stat_blocks_marked;
    marks.domains += (uintnat)d->unique_id + 1;
    caml_collect_heap_stats_sample(d->shared_heap, &of_one.heap_stats);
    caml_accum_heap_stats(&stats->heap_stats, &of_one.heap_stats);
    caml_collect_alloc_stats_sample(d, &of_one.alloc_stats);
    caml_accum_alloc_stats(&stats->alloc_stats, &of_one.alloc_stats);
  }
  return marks;
}

bool caml_domain_finalisers_wait(void)
{
  for (int i = 0; i < stw_request.num_domains; i++)
    if (stw_request.participating[i]->final_info->todo_head != NULL)
      return true;
  return false;
}

void caml_domain_return(void)
{
  dom_internal* d = domain_self;
  domain_self = NULL;
  caml_state = NULL;
  caml_plat_unlock(&d->domain_lock);
}
