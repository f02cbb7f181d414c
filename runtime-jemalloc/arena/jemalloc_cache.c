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

#include <string.h>
#include "jemalloc_assert.h"
#include "jemalloc_cache.h"

/* One in so many puts looks how large the heap is, the first of a shard too. */
#define PUTS 64

/* The debug runtime finds out who writes to a block that is free: what is
   behind [next] is to stay as it is, the header of the OCaml block too. */
#define POISONED 6 /* words */
#define POISON ((uintptr_t)0xD9D9D9D9D9D9D9D9)

struct caml_cached {
  struct caml_cached* next;
  uintptr_t poison[POISONED];
};

#ifdef DEBUG
static void poison(struct caml_cached* block) {
  for (int i = 0; i < POISONED; i++) block->poison[i] = POISON;
}

static bool is_untouched(const struct caml_cached* block) {
  for (int i = 0; i < POISONED; i++)
    if (block->poison[i] != POISON) return false;
  return true;
}
#else
#define poison(block) ((void)(block))
#endif

/* Entering a shard */

static bool try_enter(struct caml_cache_shard* shard) {
  if (atomic_exchange(&shard->entered, true)) return false;
  caml_rank_take(CAML_RANK_CACHE);
  return true;
}

/* The calling thread is in the shard. */
#define assert_entered(shard)                                                 \
  assert(caml_rank_is_held(CAML_RANK_CACHE) && (shard)->entered)

/* What is in there is seen before [caml_background_freed] asks whether the
   thread sleeps. */
static void leave(struct caml_cache_shard* shard) {
  assert_entered(shard);
  caml_rank_drop(CAML_RANK_CACHE);
  atomic_store(&shard->entered, false);
}

/* Raised once for each shard */
static void note_used(struct caml_cache* cache, unsigned n) {
  unsigned used = atomic_load(&cache->used);
  while (used <= n
         && !atomic_compare_exchange_weak(&cache->used, &used, n + 1)) {}
}

/* [used], [entered] and [closed] in this order: see [caml_cache_close]. */
static bool enter_if_free(struct caml_cache* cache, unsigned n) {
  struct caml_cache_shard* shard = &cache->shards[n];
  assert(n < CAML_CACHE_SHARDS);
  note_used(cache, n);
  if (!try_enter(shard)) return false;
  if (atomic_load(&cache->closed) == 0) return true;
  leave(shard);
  return false;
}

static struct caml_cache_shard* enter(struct caml_cache* cache, unsigned n) {
  while (!enter_if_free(cache, n)) caml_wait_a_moment();
  return &cache->shards[n];
}

/* A sum that only who is in the shard changes */
static void add(_Atomic size_t* sum, size_t n) {
  atomic_store_explicit(sum,
                        atomic_load_explicit(sum, memory_order_relaxed) + n,
                        memory_order_relaxed);
}

/* Stacks */

static bool has_some(const struct caml_cache_shard* shard, unsigned class) {
  return shard->some[class / 64] >> class % 64 & 1;
}

static void push(struct caml_cache_shard* shard, unsigned class,
                 struct caml_cached* block) {
  struct caml_cache_stack* stack = &shard->stacks[class];
  assert_entered(shard);
  block->next = stack->top;
  poison(block);
  stack->top = block;
  caml_cache_count_put(&stack->level);
  shard->some[class / 64] |= (uint64_t)1 << class % 64;
  add(&shard->bytes, caml_cache_class_size(class));
}

static void note_empty(struct caml_cache_shard* shard, unsigned class) {
  assert(shard->stacks[class].level.n == 0);
  shard->some[class / 64] &= ~((uint64_t)1 << class % 64);
}

static struct caml_cached* pop(struct caml_cache_shard* shard,
                               unsigned class) {
  struct caml_cache_stack* stack = &shard->stacks[class];
  struct caml_cached* block = stack->top;
  assert_entered(shard);
  assert(has_some(shard, class) && is_untouched(block));
  stack->top = block->next;
  caml_cache_count_get(&stack->level);
  if (stack->top == NULL) note_empty(shard, class);
  add(&shard->bytes, -caml_cache_class_size(class));
  return block;
}

/* The first class from [class] to [last] that has blocks; CAML_CACHE_CLASSES if
   none has */
static unsigned find_some(const struct caml_cache_shard* shard, unsigned class,
                          unsigned last) {
  unsigned word = class / 64, found;
  assert(class <= last && last < CAML_CACHE_CLASSES);
  uint64_t bits = shard->some[word] & -((uint64_t)1 << class % 64);
  while (bits == 0 && word < last / 64) bits = shard->some[++word];
  if (bits == 0) return CAML_CACHE_CLASSES;
  found = word * 64 + (unsigned)__builtin_ctzll(bits);
  return found <= last ? found : CAML_CACHE_CLASSES;
}

static bool is_cached_size(size_t size) {
  return size >= CAML_CACHE_BLOCK_LEAST && size <= CAML_CACHE_BLOCK_MOST;
}

/* The class from [class] on that has the most blocks, the largest of these;
   CAML_CACHE_CLASSES if none has any.  So blocks of as many sizes as possible
   stay.  When blocks of up to 1 MiB were kept, 97% of 16 to 64 KiB were found,
   86% of 20 to 300 KiB (bench/programs/micro.c); where the next larger went, 72
   and 63%. */
static unsigned fullest(const struct caml_cache_shard* shard, unsigned class) {
  const unsigned last = CAML_CACHE_CLASSES - 1;
  unsigned full = CAML_CACHE_CLASSES;
  uint32_t most = 0;
  for (; class <= last; class++) {
    class = find_some(shard, class, last);
    if (class > last) break;
    if (shard->stacks[class].level.n < most) continue;
    most = shard->stacks[class].level.n;
    full = class;
  }
  return full;
}

/* A block that goes: one that is as large as [class], else a smaller one.
   NULL: there is none. */
static struct caml_cached* take_another(struct caml_cache_shard* shard,
                                        unsigned class) {
  unsigned found = fullest(shard, class);
  if (found == CAML_CACHE_CLASSES) found = fullest(shard, 0);
  if (found == CAML_CACHE_CLASSES) return NULL;
  caml_cache_bound_vain(&shard->bound, caml_cache_class_size(found));
  return pop(shard, found);
}

/* A block that serves, or NULL and in [another] one that does not. */
static struct caml_cached* find(struct caml_cache_shard* shard, unsigned class,
                                struct caml_cached** another) {
  unsigned found = find_some(shard, class, caml_cache_last_class(class));
  if (found == CAML_CACHE_CLASSES) {
    add(&shard->misses, 1);
    if (caml_cache_is_too_much(&shard->bound, shard->bytes))
      *another = take_another(shard, class);
    return NULL;
  }
  add(&shard->hits, 1);
  caml_cache_bound_found(&shard->bound, caml_cache_class_size(found));
  return pop(shard, found);
}

void* caml_cache_get(struct caml_cache* cache, unsigned n, size_t size) {
  struct caml_cached *block, *another = NULL;
  assert(cache->extents != NULL);
  if (!is_cached_size(size)) return NULL;
  size = je_nallocx(size, cache->flags); /* as jemalloc would round it up */
  n %= CAML_CACHE_SHARDS;
  if (!is_cached_size(size) || !enter_if_free(cache, n)) return NULL;
  block = find(&cache->shards[n], caml_cache_class(size), &another);
  leave(&cache->shards[n]);
  if (another != NULL) je_dallocx(another, cache->flags);
  return block;
}

/* Shards that keep some, [own] included, which may keep none yet */
static unsigned n_keeping(const struct caml_cache* cache,
                          const struct caml_cache_shard* own) {
  unsigned n = 0, used = atomic_load(&cache->used);
  for (unsigned i = 0; i < used; i++) {
    const struct caml_cache_shard* s = &cache->shards[i];
    n += s == own
      || atomic_load_explicit(&s->bytes, memory_order_relaxed) > 0;
  }
  return n;
}

static void look_at_heap(struct caml_cache* cache,
                         struct caml_cache_shard* shard) {
  assert_entered(shard);
  caml_cache_bound_look(&shard->bound, caml_extents_committed(cache->extents),
                        n_keeping(cache, shard));
}

static size_t class_bytes(const struct caml_cache_shard* shard,
                          unsigned class) {
  return shard->stacks[class].level.n * caml_cache_class_size(class);
}

/* There is no room for a block of [class].  One of the fullest class goes for
   it if that has more bytes than [class] would have: what is kept follows the
   sizes that come and go.  Else NULL. */
static struct caml_cached* take_for(struct caml_cache_shard* shard,
                                    unsigned class) {
  unsigned full = fullest(shard, 0);
  if (full == CAML_CACHE_CLASSES || class_bytes(shard, full)
      <= class_bytes(shard, class) + caml_cache_class_size(class))
    return NULL;
  return pop(shard, full);
}

/* [another]: a block that went for this one, or NULL */
static bool keep(struct caml_cache* cache, struct caml_cache_shard* shard,
                 struct caml_cached* block, size_t size,
                 struct caml_cached** another) {
  unsigned class = caml_cache_class(size);
  assert_entered(shard);
  if (shard->puts++ % PUTS == 0) look_at_heap(cache, shard);
  if (!caml_cache_has_room(&shard->bound, shard->bytes, size))
    *another = take_for(shard, class);
  if (!caml_cache_has_room(&shard->bound, shard->bytes, size)) return false;
  push(shard, class, block);
  return true;
}

bool caml_cache_put(struct caml_cache* cache, unsigned n, void* block,
                    size_t size) {
  struct caml_cached* another = NULL;
  bool kept;
  assert(block != NULL && size > 0);
  if (!is_cached_size(size) || atomic_load(&cache->decay_ms) == 0)
    return false;
  size = je_sallocx(block, cache->flags);
  n %= CAML_CACHE_SHARDS;
  if (!is_cached_size(size) || !enter_if_free(cache, n)) return false;
  kept = keep(cache, &cache->shards[n], block, size, &another);
  leave(&cache->shards[n]);
  if (another != NULL) je_dallocx(another, cache->flags);
  return kept;
}

/* Giving back */

/* Takes the last [n] of a stack, and puts [rest] behind them. */
static struct caml_cached* cut(struct caml_cache_stack* stack, uint32_t n,
                               struct caml_cached* rest) {
  struct caml_cached** at = &stack->top;
  struct caml_cached* first;
  for (uint32_t i = stack->level.n; i > 0; i--) at = &(*at)->next;
  first = *at;
  assert(n > 0 && first != NULL);
  *at = NULL;
  for (at = &first; n > 0; n--) {
    assert(is_untouched(*at));
    at = &(*at)->next;
  }
  assert(*at == NULL);
  *at = rest;
  return first;
}

/* Those that have not been touched, all the others too with [all]; [rest]
   follows. */
static struct caml_cached* take_class(struct caml_cache_shard* shard,
                                      unsigned class, bool all,
                                      struct caml_cached* rest) {
  struct caml_cache_stack* stack = &shard->stacks[class];
  size_t bytes;
  uint32_t n;
  assert_entered(shard);
  if (all) stack->level.least = stack->level.n;
  n = caml_cache_untouched(&stack->level);
  if (n == 0) return rest;
  bytes = n * caml_cache_class_size(class);
  assert(bytes <= shard->bytes);
  add(&shard->bytes, -bytes);
  if (!all) caml_cache_bound_vain(&shard->bound, bytes);
  rest = cut(stack, n, rest);
  if (stack->level.n == 0) note_empty(shard, class);
  return rest;
}

static struct caml_cached* take_all(struct caml_cache_shard* shard, bool all) {
  struct caml_cached* taken = NULL;
  for (unsigned class = 0; class < CAML_CACHE_CLASSES; class++)
    if (has_some(shard, class)) taken = take_class(shard, class, all, taken);
  return taken;
}

/* Outside of the shard */
static bool give_back(struct caml_cache* cache, struct caml_cached* block) {
  bool any = block != NULL;
  while (block != NULL) {
    struct caml_cached* next = block->next;
    assert(!caml_rank_is_held(CAML_RANK_CACHE));
    je_dallocx(block, cache->flags);
    block = next;
  }
  return any;
}

/* Gives back all of the shard, or with [now] what is due then. */
static bool empty(struct caml_cache* cache, unsigned n, const uint64_t* now) {
  struct caml_cache_shard* shard = enter(cache, n);
  struct caml_cached* taken = NULL;
  bool due = now != NULL
    && caml_cache_is_due(shard->looked, atomic_load(&cache->decay_ms), *now);
  if (due) shard->looked = *now;
  if (due || now == NULL) taken = take_all(shard, now == NULL);
  leave(shard);
  return give_back(cache, taken);
}

void caml_cache_decay(struct caml_cache* cache, uint64_t now) {
  unsigned used = atomic_load(&cache->used);
  for (unsigned i = 0; i < used; i++) empty(cache, i, &now);
}

/* False without entering it if the shard keeps nothing. */
static bool empty_if_any(struct caml_cache* cache, unsigned n) {
  const struct caml_cache_shard* shard = &cache->shards[n];
  if (atomic_load_explicit(&shard->bytes, memory_order_relaxed) == 0)
    return false;
  return empty(cache, n, NULL);
}

bool caml_cache_empty(struct caml_cache* cache) {
  unsigned used = atomic_load(&cache->used);
  bool any = false;
  for (unsigned i = 0; i < used; i++) any |= empty_if_any(cache, i);
  return any;
}

void caml_cache_empty_shard(struct caml_cache* cache, unsigned n) {
  assert(cache->extents != NULL);
  empty_if_any(cache, n % CAML_CACHE_SHARDS);
}

void caml_cache_set_decay(struct caml_cache* cache, ssize_t ms) {
  assert(ms >= -1);
  atomic_store(&cache->decay_ms, ms);
  if (ms == 0) caml_cache_empty(cache);
}

/* What there is */

struct caml_cache_counts caml_cache_counts(const struct caml_cache* cache) {
  struct caml_cache_counts sum = { 0, 0, 0 };
  unsigned used = atomic_load(&cache->used);
  for (unsigned i = 0; i < used; i++) {
    const struct caml_cache_shard* shard = &cache->shards[i];
    sum.bytes += atomic_load(&shard->bytes);
    sum.hits += atomic_load(&shard->hits);
    sum.misses += atomic_load(&shard->misses);
  }
  return sum;
}

bool caml_cache_decays(const struct caml_cache* cache) {
  return atomic_load(&cache->decay_ms) >= 0
    && caml_cache_counts(cache).bytes > 0;
}

/* Life */

void caml_cache_init(struct caml_cache* cache,
                     const struct caml_extents* extents, int flags) {
  assert(extents != NULL && cache->extents == NULL);
  cache->extents = extents;
  cache->flags = flags;
  atomic_store(&cache->decay_ms, -1);
}

/* Who entered before [closed] was raised is waited for; who enters later sees
   it, and leaves. */
void caml_cache_close(struct caml_cache* cache) {
  unsigned used;
  atomic_fetch_add(&cache->closed, 1);
  used = atomic_load(&cache->used);
  for (unsigned i = 0; i < used; i++)
    while (atomic_load(&cache->shards[i].entered)) caml_wait_a_moment();
}

void caml_cache_open(struct caml_cache* cache) {
  int before = atomic_fetch_sub(&cache->closed, 1);
  assert(before > 0);
  (void)before;
}

/* Who had entered one, and is not in the child, was about to leave. */
void caml_cache_postfork_child(struct caml_cache* cache) {
  unsigned used = atomic_load(&cache->used);
  for (unsigned i = 0; i < used; i++)
    atomic_store(&cache->shards[i].entered, false);
  atomic_store(&cache->closed, 0);
}

void caml_cache_end(struct caml_cache* cache) {
  memset(cache, 0, sizeof(*cache));
}
