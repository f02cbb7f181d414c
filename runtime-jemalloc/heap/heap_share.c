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

/* See heap_share_part.h. */

#define CAML_INTERNALS

#include <string.h>
#include "caml/domain.h"
#include "caml/gc_stats.h"
#include "caml/major_gc.h"
#include "caml/memory.h"
#include "caml/misc.h"
#include "caml/roots.h"
#include "caml/shared_heap.h"
#include "heap_jemalloc.h"
#include "heap_pool_layout.h"
#include "heap_share_pages.h"
#include "heap_share_part.h"

/* A pool or a large block, and how the blocks in it are coloured that were
   garbage when it was set apart: their fields may dangle.  Pools begin at
   multiples of CAML_POOL_SIZE, large blocks of 16. */
typedef uintptr_t piece;
#define IS_LARGE ((piece)1)
#define GARBAGE_SHIFT 1
#define SIZECLASS_SHIFT 3

struct caml_share_pages* _Atomic caml_share_pages;
_Atomic bool caml_share_is_apart;

static struct {
  struct caml_ranked_mutex lock;
  struct caml_share_written* part; /* whose pages are [caml_share_pages] */
  piece* pieces;
  size_t n_pieces, room;
  struct heap_stats stats;
  _Atomic bool asked;      /* to share */
  _Atomic bool to_be_given_back;
  bool forking;            /* in this fork the heap is shared */
  bool lost;               /* there was a fork, and it is not known what had
                              been written */
  status garbage;          /* of what is listed */
  uintptr_t low, high;     /* and its bounds */
  struct plug* plugs;
  scan_roots_hook next_hook;
  bool has_hook;
} share;

struct plug { struct plug* next; void* block; size_t size; };

/* What marking does about the part in the cycle under way, step by step, in
   this order */
enum stage {
  STAGE_NONE,    /* there is no part, or all is done */
  STAGE_READS,   /* which pages were written */
  STAGE_SCANS,   /* the blocks on them */
  STAGE_COLOURS  /* the headers, to give the part back as the cycle ends */
};

static struct {
  enum stage stage;
  size_t piece;    /* the next */
  uintptr_t page;  /* the next of a large piece; 0: its first */
  bool gives_back; /* at the end of the cycle */
  bool was_asked;  /* to */
} marking;

_Atomic bool caml_share_marks;

static void set_stage(enum stage stage) {
  marking.stage = stage;
  marking.piece = 0;
  marking.page = 0;
  atomic_store(&caml_share_marks, stage != STAGE_NONE);
}

static void lock(void) {
  caml_ranked_mutex_lock(&share.lock);
}

static void unlock(void) {
  caml_ranked_mutex_unlock(&share.lock);
}

/* Pieces */

static bool is_large(piece p) {
  return (p & IS_LARGE) != 0;
}

static unsigned sizeclass_of(piece p) {
  return p >> SIZECLASS_SHIFT & 0xff;
}

static status garbage_of(piece p) {
  return (p >> GARBAGE_SHIFT & 3) << HEADER_COLOR_SHIFT;
}

static piece with_garbage(piece p, status s) {
  return (p & ~((piece)3 << GARBAGE_SHIFT))
    | (piece)(s >> HEADER_COLOR_SHIFT) << GARBAGE_SHIFT;
}

static char* address_of(piece p) {
  return (char*)(p & (is_large(p) ? ~(piece)15 : -(piece)CAML_POOL_SIZE));
}

static header_t* header_at(piece p, size_t bytes) {
  return (header_t*)((uintptr_t)address_of(p) + bytes);
}

static header_t* large_block(piece p) {
  return header_at(p, CAML_LARGE_HEADER);
}

static size_t size_of(piece p) {
  return is_large(p) ? CAML_LARGE_HEADER + Bhsize_hd(Hd_hp(large_block(p)))
    : Bsize_wsize(caml_pool_wsize(sizeclass_of(p)));
}

static header_t* first_block(piece p) {
  return header_at(p, 0) + CAML_POOL_FIRST_BLOCK(sizeclass_of(p));
}

static bool is_garbage_in(piece p, header_t hd) {
  return Has_status_hd(hd, garbage_of(p));
}

static header_t* pool_end(piece p) {
  return header_at(p, size_of(p));
}

/* A slot that is free; since 5.5, that and so many behind it are. */
#if OCAML_VERSION < 50500

static bool is_free(header_t hd) {
  return hd == 0;
}

static mlsize_t slots_from(header_t* hp) {
  (void)hp;
  return 1;
}

#else

static bool is_free(header_t hd) {
  return Tag_hd(hd) == No_scan_tag && Has_status_hd(hd, NOT_MARKABLE);
}

static mlsize_t slots_from(header_t* hp) {
  return is_free(Hd_hp(hp)) ? Wosize_hd(Hd_hp(hp)) + 1 : 1;
}

#endif

/* Setting apart */

static _Thread_local int holds;

void caml_share_hold(void) {
  holds++;
}

void caml_share_release(void) {
  CAMLassert(holds > 0);
  holds--;
}

/* All of a heap that no other domain has a part of, or had one: nobody else
   writes to it now, and what is in no list of this domain's is not the heap's.
   But for a finaliser's: see [caml_share_hold]. */
static bool is_sole(void) {
  return Caml_state_opt != NULL && !caml_domain_is_multicore() && holds == 0;
}

static bool is_wanted(void) {
  intnat least = caml_heap_knob_get(CAML_KNOB_fork_share);
  size_t size = caml_heap_in_use() + atomic_load(&caml_heap.in_use.shared);
  return atomic_load(&share.asked) || (least >= 0 && size >= (size_t)least);
}

static void move_in_use(_Atomic size_t* from, _Atomic size_t* to, size_t n) {
  atomic_fetch_sub(from, n);
  atomic_fetch_add(to, n);
}

static void set_apart(void) {
  struct caml_heap_state* heap = Caml_state->shared_heap;
  struct caml_heap_in_use* in_use = &caml_heap.in_use;
  struct caml_in_use_shard* shard = caml_in_use_shard(in_use, 0);
  struct caml_in_use_sum sum = caml_in_use_sum(in_use);
  caml_ranked_mutex_assert_held(&share.lock);
  move_in_use(&shard->pools, &in_use->shared, sum.pools);
  move_in_use(&shard->large, &in_use->shared, sum.large);
  caml_share_set_apart(heap);
  if (share.part != NULL) caml_share_written_forget(share.part);
  share.lost = false;
  atomic_store(&caml_share_is_apart, true);
}

static void give_in_use(const struct heap_stats* s) {
  struct caml_heap_in_use* in_use = &caml_heap.in_use;
  struct caml_in_use_shard* shard = caml_in_use_shard(in_use, 0);
  move_in_use(&in_use->shared, &shard->pools,
              Bsize_wsize((size_t)s->pool_words));
  move_in_use(&in_use->shared, &shard->large,
              Bsize_wsize((size_t)s->large_words));
}

/* In the parent its private part is set apart only if it has become as large
   as the shared one, which is not collected: so that is no more than twice what
   the heap ever was. */
static bool is_to_be_set_apart(void) {
  return share.part == NULL || atomic_load(&caml_share_is_apart)
    || caml_heap_in_use() >= atomic_load(&caml_heap.in_use.shared);
}

void caml_share_init(void) {
  caml_ranked_mutex_init(&share.lock, CAML_RANK_SHARE);
}

/* What nobody shared is to be shared again. */
static void keep_part(void) {
  if (!marking.gives_back || marking.was_asked) return;
  marking.gives_back = false;
  if (marking.stage == STAGE_COLOURS) set_stage(STAGE_NONE);
}

/* Pages that are written, and not looked at yet, will seem to be shared. */
static void lose(void) {
  share.lost = true;
  if (share.part != NULL) share.part->all = true;
}

bool caml_share_has_some(void) {
  return share.part != NULL || atomic_load(&caml_share_is_apart);
}

void caml_share_prefork(void) {
  bool exists;
  lock();
  exists = caml_share_has_some();
  share.forking = is_sole()
    && (exists || (is_wanted() && caml_share_can_tell()));
  if (share.forking) keep_part();
  if (share.forking && is_to_be_set_apart())
    set_apart();
  else if (share.forking)
    caml_share_written_note(share.part);
  else if (exists)
    lose();
}

static void forked(void) {
  if (share.part != NULL) caml_share_written_forked(share.part);
}

void caml_share_postfork_parent(void) {
  forked();
  unlock();
}

/* To a child all that it inherits is shared. */
void caml_share_postfork_child(void) {
  caml_ranked_mutex_postfork_child(&share.lock);
  lock();
  forked();
  if (share.forking) set_apart();
  unlock();
}

/* Listing */

static bool add_piece(piece p) {
  if (share.n_pieces == share.room) {
    size_t room = share.room == 0 ? 1024 : 2 * share.room;
    piece* pieces = caml_stat_resize_noexc(share.pieces, room * sizeof(piece));
    if (pieces == NULL) return false;
    share.pieces = pieces;
    share.room = room;
  }
  share.pieces[share.n_pieces++] = p;
  return true;
}

static bool list_piece(void* at, unsigned sizeclass) {
  piece p = with_garbage((piece)at, share.garbage)
    | (sizeclass > 0 ? (piece)sizeclass << SIZECLASS_SHIFT : IS_LARGE);
  uintptr_t start = (uintptr_t)at, end = start + size_of(p);
  if (start < share.low) share.low = start;
  if (end > share.high) share.high = end;
  return add_piece(p);
}

static void begin_list(void) {
  share.low = UINTPTR_MAX;
  share.high = 0;
  if (share.part != NULL) {
    share.low = share.part->pages.start;
    share.high = share.low + share.part->pages.size;
  }
  /* nothing has been coloured anew since it was set apart */
  share.garbage = caml_global_heap_state.GARBAGE;
}

/* The part with all pieces that are listed; NULL without memory */
static struct caml_share_written* make_part(void) {
  uintptr_t start = share.low & -(uintptr_t)(64 * CAML_SHARE_PAGE);
  struct caml_share_written* part = caml_stat_alloc_noexc(sizeof(*part));
  if (part == NULL) return NULL;
  if (!caml_share_written_make(part, start, share.high)) {
    caml_stat_free(part);
    return NULL;
  }
  for (size_t i = 0; i < share.n_pieces; i++)
    caml_share_written_add(part, (uintptr_t)address_of(share.pieces[i]),
                           size_of(share.pieces[i]));
  part->all = share.lost;
  return part;
}

static void free_part(struct caml_share_written* part) {
  if (part == NULL || !caml_domain_alone()) return; /* others may look at it */
  caml_share_written_free(part);
  caml_stat_free(part);
}

/* Less than that part of it is shared: then it is not worth it. */
#define LITTLE_PART 8

static bool is_little_shared(const struct caml_share_written* part,
                             size_t pages) {
  return part->shared < pages / LITTLE_PART;
}

static void scan_roots(scanning_action f, scanning_action_flags flags,
                       void* data, caml_domain_state* domain);

/* Once it is there, it stays: others may have one that calls it. */
static void have_hook(void) {
  if (share.has_hook) return;
  share.has_hook = true;
  share.next_hook = atomic_load(&caml_scan_roots_hook);
  while (!atomic_compare_exchange_strong(&caml_scan_roots_hook,
                                         &share.next_hook, scan_roots)) {}
}

static void commit(struct caml_share_written* part) {
  struct caml_share_written* before = share.part;
  caml_accum_heap_stats(&share.stats, caml_share_apart_stats());
  caml_share_forget_apart();
  have_hook();
  share.part = part;
  /* all that there was is in it: nothing leads out */
  if (marking.gives_back && marking.was_asked) caml_share_ask_back();
  marking.gives_back = false;
  set_stage(STAGE_NONE);
  atomic_store(&caml_share_pages, &part->pages);
  free_part(before);
}

static void take_back(size_t listed) {
  share.n_pieces = listed;
  give_in_use(caml_share_apart_stats());
  caml_share_take_back(Caml_state->shared_heap);
}

/* [may_take_back]: the calling domain is the one whose heap that was, and in
   the middle of nothing.  False without memory. */
static bool settle(bool may_take_back) {
  size_t listed = share.n_pieces, sample = 0;
  struct caml_share_written* part = NULL;
  caml_ranked_mutex_assert_held(&share.lock);
  begin_list();
  if (caml_share_list_apart(list_piece) && share.n_pieces > 0)
    part = make_part();
  if (part != NULL && may_take_back) sample = caml_share_written_sample(part);
  if (may_take_back && (part == NULL || is_little_shared(part, sample))) {
    if (part != NULL) free_part(part);
    take_back(listed);
  } else if (part != NULL) {
    commit(part);
  } else {
    share.n_pieces = listed;
    return false;
  }
  atomic_store(&caml_share_is_apart, false);
  return true;
}

bool caml_share_is_listed(bool may_take_back) {
  bool listed = true;
  if (!caml_share_is_unlisted()) return true;
  lock();
  if (atomic_load(&caml_share_is_apart)) listed = settle(may_take_back);
  unlock();
  return listed;
}

/* Without memory to list it, it is marked: its page is copied, no more. */
static void darken_unlisted(void* state, value v) {
  bool was;
  lock();
  was = atomic_exchange(&caml_share_is_apart, false);
  caml_darken(state, v, NULL);
  atomic_store(&caml_share_is_apart, was);
  unlock();
}

void caml_share_darken(void* state, value v) {
  if (caml_share_is_listed(false)) caml_darken(state, v, NULL);
  else darken_unlisted(state, v);
}

void caml_share_settle(void) {
  if (!caml_share_is_listed(share.part == NULL && caml_domain_alone()))
    caml_fatal_error("no memory for what a forked process shares of the heap");
}

bool caml_share_touches(const void* block, size_t size) {
  const struct caml_share_pages* pages = atomic_load(&caml_share_pages);
  return pages != NULL
    && (caml_share_has_page(pages, (uintptr_t)block)
        || caml_share_has_page(pages, (uintptr_t)block + size - 1));
}

void caml_share_plug(void* block, size_t size) {
  struct plug* plug = caml_stat_alloc_noexc(sizeof(*plug));
  if (plug == NULL) return; /* it is in use for good */
  *plug = (struct plug){ NULL, block, size };
  lock();
  plug->next = share.plugs;
  share.plugs = plug;
  unlock();
}

static void pull_plugs(void) {
  struct plug* plug;
  while ((plug = share.plugs) != NULL) {
    share.plugs = plug->next;
    caml_arena_put_cached(&caml_heap.arena, 0, plug->block, plug->size);
    caml_stat_free(plug);
  }
}

/* Roots: what leads out of the part */

struct scan {
  scanning_action f;
  void* data;
  const struct caml_share_pages* pages;
  size_t words;
};

static void scan_fields(struct scan* s, value* from, value* to) {
  for (; from < to; from++) {
    value v = *(volatile value*)from; /* another domain may be writing it */
    if (Is_block(v) && !caml_share_has_page(s->pages, (uintnat)v))
      s->f(s->data, v, from);
  }
}

/* Of the block, the fields in [from, to).  The stack of a suspended fiber leads
   to nothing new: it changes only while it runs, and one that is added to it
   later was running before there was the continuation. */
static void scan_block(struct scan* s, piece p, header_t* hp, value* from,
                       value* to) {
  header_t hd = Hd_hp(hp);
  value v = Val_hp(hp);
  value *start = (value*)Op_val(v), *end = start + Wosize_hd(hd);
  if (Tag_hd(hd) >= No_scan_tag || Tag_hd(hd) == Cont_tag
      || is_garbage_in(p, hd)) return;
  if (Tag_hd(hd) == Closure_tag) start += Start_env_closinfo(Closinfo_val(v));
  scan_fields(s, from > start ? from : start, to < end ? to : end);
}

/* The last block of a pool, from [hp] on, that begins before [at] or there */
static header_t* skip_to(header_t* hp, header_t* at, mlsize_t words) {
#if OCAML_VERSION < 50500
  return hp < at ? hp + (at - hp) / words * words : hp;
#else
  while (hp + words * slots_from(hp) <= at) hp += words * slots_from(hp);
  return hp;
#endif
}

/* Returns the last block that it has come to, which may reach into the next
   page. */
static header_t* scan_pool_page(struct scan* s, piece p, header_t* hp,
                                header_t* page) {
  mlsize_t words = wsize_sizeclass[sizeclass_of(p)], step;
  header_t* to = page + Wsize_bsize(CAML_SHARE_PAGE);
  header_t *end = pool_end(p), *last = hp = skip_to(hp, page, words);
  for (; hp < to && hp + words <= end; hp += words * step) {
    last = hp;
    step = slots_from(hp);
    if (!is_free(Hd_hp(hp)))
      scan_block(s, p, hp, (value*)page, (value*)to);
  }
  s->words += Wsize_bsize(CAML_SHARE_PAGE);
  return last;
}

static void scan_pool(struct scan* s, piece p) {
  header_t *start = header_at(p, 0), *hp = first_block(p);
  unsigned n = (unsigned)(size_of(p) >> CAML_SHARE_PAGE_LOG);
  uint64_t written = caml_share_written_bits(share.part, (uintptr_t)start, n);
  for (; written != 0; written &= written - 1)
    hp = scan_pool_page(s, p, hp, start + __builtin_ctzll(written)
                                          * Wsize_bsize(CAML_SHARE_PAGE));
}

/* What a step of the marking does, words */
#define STEP_WORDS 4096

/* Looks at a page of a large piece, from [page] on or from its first if that is
   0, and on up to a step's work.  Returns where to go on; 0: nowhere. */
static uintptr_t scan_large(struct scan* s, piece p, uintptr_t page) {
  uintptr_t start = (uintptr_t)address_of(p), end = start + size_of(p);
  if (page == 0) page = start & -CAML_SHARE_PAGE;
  for (; page < end && s->words < STEP_WORDS; page += CAML_SHARE_PAGE) {
    s->words++;
    if (!caml_share_written_bits(share.part, page, 1)) continue;
    scan_block(s, p, large_block(p), (value*)page,
               (value*)(page + CAML_SHARE_PAGE));
    s->words += Wsize_bsize(CAML_SHARE_PAGE);
  }
  return page < end ? page : 0;
}

/* Likewise; a pool is looked at whole. */
static uintptr_t scan_piece(struct scan* s, piece p, uintptr_t page) {
  if (is_large(p)) return scan_large(s, p, page);
  scan_pool(s, p);
  return 0;
}

/* All at once */
static void scan_part(struct scan* s) {
  uintptr_t page = 0;
  caml_share_written_read(share.part);
  for (size_t i = 0; i < share.n_pieces; i += page == 0) {
    s->words = 0;
    page = scan_piece(s, share.pieces[i], page);
  }
}

/* Steps of the marking */

static void begin_marking(void) {
  caml_share_written_begin(share.part);
  marking.gives_back = false;
  set_stage(STAGE_READS);
}

/* Looking at the pages takes some 25 ns each, of which marking does some three
   words.  Counted as if it were more, so that collecting a private part that is
   much smaller than the shared one takes a fifth of the time that it takes
   otherwise, for the same allocation: the cycles are longer. */
#define PAGE_WORK 16

static size_t read_some(void) {
  size_t n = caml_share_written_step(share.part);
  if (n > 0) return PAGE_WORK * n;
  marking.was_asked = atomic_exchange(&share.to_be_given_back, false);
  marking.gives_back =
    marking.was_asked || is_little_shared(share.part, share.part->count);
  set_stage(STAGE_SCANS);
  return 0;
}

/* True: there are no more pieces. */
static bool next_piece(void) {
  marking.piece++;
  return marking.piece == share.n_pieces;
}

static size_t scan_some(void) {
  struct scan s = { .f = caml_darken, .data = Caml_state };
  bool ended = false;
  s.pages = atomic_load(&caml_share_pages);
  while (s.words < STEP_WORDS && !ended) {
    s.words++;
    marking.page = scan_piece(&s, share.pieces[marking.piece], marking.page);
    ended = marking.page == 0 && next_piece();
  }
  if (ended) set_stage(marking.gives_back ? STAGE_COLOURS : STAGE_NONE);
  return s.words;
}

/* Garbage is unmarked, so that the end of the cycle finds it; what was not
   known to be garbage is alive until the next has found out.  Another domain
   may be changing the tag of a lazy value. */
static void colour(piece p, header_t* hp) {
  _Atomic header_t* at = (_Atomic header_t*)hp;
  header_t hd = atomic_load(at), to;
  if (is_free(hd)) return;
  to = is_garbage_in(p, hd) ? caml_global_heap_state.UNMARKED
    : caml_global_heap_state.MARKED;
  while (!atomic_compare_exchange_weak(at, &hd, With_status_hd(hd, to))) {}
}

static void colour_pool(piece p) {
  mlsize_t words = wsize_sizeclass[sizeclass_of(p)];
  header_t* hp = first_block(p);
  while (hp + words <= pool_end(p)) {
    colour(p, hp);
    hp += words * slots_from(hp);
  }
}

static size_t colour_some(void) {
  piece* p = &share.pieces[marking.piece];
  if (is_large(*p)) colour(*p, large_block(*p));
  else colour_pool(*p);
  *p = with_garbage(*p, caml_global_heap_state.UNMARKED);
  if (next_piece()) set_stage(STAGE_NONE);
  return is_large(*p) ? 1 : STEP_WORDS;
}

/* The work is taken from the budget.  False: there was none. */
static bool do_step(intnat* budget) {
  switch (marking.stage) {
    case STAGE_READS: *budget -= (intnat)read_some(); return true;
    case STAGE_SCANS: *budget -= (intnat)scan_some(); return true;
    case STAGE_COLOURS: *budget -= (intnat)colour_some(); return true;
    case STAGE_NONE: break;
  }
  return false;
}

bool caml_share_mark_some(intnat* budget) {
  bool some;
  lock();
  some = do_step(budget);
  unlock();
  return some;
}

/* Roots of the part */

/* The part's roots are the first domain's, which there is as long as the
   process.  Marking can put them off: what a field held as the cycle began is
   still there, or was darkened as the field was overwritten, whatever block
   that is in; what it holds since was alive then or is new, and marked. */
static void scan_roots(scanning_action f, scanning_action_flags flags,
                       void* data, caml_domain_state* domain) {
  struct scan s = { .f = f, .data = data };
  if (share.next_hook != NULL) share.next_hook(f, flags, data, domain);
  s.pages = atomic_load(&caml_share_pages);
  if (domain->id != 0 || (flags & SCANNING_ONLY_YOUNG_VALUES)) return;
  if (f == caml_darken && s.pages == NULL)
    atomic_store(&share.to_be_given_back, false);
  if (s.pages == NULL) return;
  lock();
  if (f == caml_darken) begin_marking();
  else scan_part(&s);
  unlock();
}

/* Giving back */

static void give_back(void) {
  struct caml_share_written* part = share.part;
  for (size_t i = 0; i < share.n_pieces; i++) {
    piece p = share.pieces[i];
    if (is_large(p)) caml_share_orphan_large(address_of(p));
    else caml_share_orphan_pool(address_of(p), sizeclass_of(p));
  }
  caml_share_orphan_stats(&share.stats);
  give_in_use(&share.stats);
  memset(&share.stats, 0, sizeof(share.stats));
  atomic_store(&caml_share_pages, NULL);
  share.part = NULL;
  share.n_pieces = 0;
  pull_plugs();
  free_part(part);
}

void caml_share_cycle_ended(void) {
  if (!caml_share_exists()) return;
  lock();
  CAMLassert(!atomic_load(&caml_share_is_apart));
  CAMLassert(marking.stage == STAGE_NONE);
  if (marking.gives_back) give_back();
  marking.gives_back = false;
  unlock();
}

void caml_share_ask(bool asked) {
  atomic_store(&share.asked, asked);
  if (!asked) caml_share_ask_back();
}

void caml_share_ask_back(void) {
  atomic_store(&share.to_be_given_back, true);
}

void caml_share_end(void) {
  atomic_store(&caml_share_pages, NULL);
  atomic_store(&caml_share_is_apart, false);
  caml_share_forget_apart();
  share.n_pieces = 0;
  share.part = NULL;
  share.plugs = NULL;
  set_stage(STAGE_NONE);
}
