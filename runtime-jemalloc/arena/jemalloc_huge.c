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

#define _GNU_SOURCE /* madvise, MAP_ANONYMOUS */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "jemalloc_advice.h"
#include "jemalloc_assert.h"
#include "jemalloc_huge.h"

/* A huge page: how many of its pages are committed, and its state, which is the
   advice that was given for it.  Pages are counted without the lock; the state
   changes with the lock held.  A huge page of which a part is not the heap's is
   NOT_MAPPED and stays so. */
#define PAGES 0x0fff
#define STATE 0xf000
enum state {
  NOT_MAPPED = 0x0000,
  AS_MAPPED = 0x1000, /* the kernel's setting decides */
  HUGE = 0x2000,      /* MADV_HUGEPAGE */
  PLAIN = 0x3000      /* MADV_NOHUGEPAGE */
};

/* How many more mappings the advice may make.  With those that jemalloc asked
   for, the heap is to stay below 64 + 1 for each 64 MiB. */
static size_t max_borders(const struct caml_huge* huge) {
  return 16 + huge->mapped / ((size_t)128 << 20);
}

static size_t pages_per_huge_page(void) {
  return CAML_HUGE_PAGE_SIZE / (size_t)sysconf(_SC_PAGESIZE);
}

/* A huge page by its number, which is its address / CAML_HUGE_PAGE_SIZE.  NULL
   if there is no leaf for it. */
static caml_huge_page* find_huge_page(struct caml_huge* huge, uintptr_t n) {
  caml_huge_page* leaf;
  if (n / CAML_HUGE_PAGES_LEAF >= CAML_HUGE_PAGES_ROOT) return NULL;
  leaf = atomic_load(&huge->leaves[n / CAML_HUGE_PAGES_LEAF]);
  return leaf == NULL ? NULL : &leaf[n % CAML_HUGE_PAGES_LEAF];
}

static enum state state_of(struct caml_huge* huge, uintptr_t n) {
  caml_huge_page* huge_page = find_huge_page(huge, n);
  return huge_page == NULL ? NOT_MAPPED : atomic_load(huge_page) & STATE;
}

/* With the lock held.  False without memory for the leaf, and for an address
   beyond 48 bits, which the kernel gives only to who asks for one. */
static bool make_leaf(struct caml_huge* huge, uintptr_t n) {
  size_t i = n / CAML_HUGE_PAGES_LEAF;
  void* leaf;
  caml_ranked_mutex_assert_held(&huge->lock);
  if (i >= CAML_HUGE_PAGES_ROOT) return false;
  if (atomic_load(&huge->leaves[i]) != NULL) return true;
  leaf = mmap(NULL, CAML_HUGE_PAGES_LEAF * sizeof(caml_huge_page),
              PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (leaf == MAP_FAILED) return false;
  atomic_store(&huge->leaves[i], leaf);
  return true;
}

static bool is_border(struct caml_huge* huge, uintptr_t neighbour,
                      enum state state) {
  enum state other = state_of(huge, neighbour);
  return other != NOT_MAPPED && other != state;
}

/* The borders of huge page [n] with its neighbours, if its state is [state] */
static size_t count_borders(struct caml_huge* huge, uintptr_t n,
                            enum state state) {
  return (size_t)is_border(huge, n - 1, state)
    + (size_t)is_border(huge, n + 1, state);
}

/* Changes the state of huge page [n], which has a leaf, and counts borders.
   With the lock held. */
static void set_state(struct caml_huge* huge, uintptr_t n, enum state state) {
  caml_huge_page* huge_page = find_huge_page(huge, n);
  enum state old = atomic_load(huge_page) & STATE;
  size_t gone = old == NOT_MAPPED ? 0 : count_borders(huge, n, old);
  caml_ranked_mutex_assert_held(&huge->lock);
  assert(state != NOT_MAPPED && huge->borders >= gone);
  huge->borders += count_borders(huge, n, state) - gone;
  atomic_fetch_xor(huge_page, (uint16_t)(old ^ state));
}

/* Gives the kernel advice for the huge pages from [first] to before [end], and
   changes their states.  False if it refused; then nothing has changed.  With
   the lock held. */
static bool advise(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                   enum state state) {
  enum caml_advice advice =
    state == HUGE ? CAML_ADVICE_HUGE : CAML_ADVICE_PLAIN;
  caml_ranked_mutex_assert_held(&huge->lock);
  assert(first < end && (state == HUGE || state == PLAIN));
  if (!caml_advise((void*)(first * CAML_HUGE_PAGE_SIZE),
                   (end - first) * CAML_HUGE_PAGE_SIZE, advice)) {
    if (caml_advice_is_refused(advice)) atomic_store(&huge->absent, true);
    return false;
  }
  for (uintptr_t n = first; n < end; n++)
    if (state_of(huge, n) != NOT_MAPPED) set_state(huge, n, state);
  return true;
}

/* By how many the number of borders would change if the huge pages from [first]
   to before [end] got [state].  They all have the same now. */
static int new_borders(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                       enum state state) {
  caml_ranked_mutex_assert_held(&huge->lock);
  assert(first < end);
  return is_border(huge, first - 1, state)
    - is_border(huge, first - 1, state_of(huge, first))
    + is_border(huge, end, state)
    - is_border(huge, end, state_of(huge, end - 1));
}

static bool too_many_borders(struct caml_huge* huge, uintptr_t first,
                             uintptr_t end, enum state state) {
  int more = new_borders(huge, first, end, state);
  return more > 0 && huge->borders + (size_t)more > max_borders(huge);
}

/* Makes huge pages PLAIN.  Where that would make too many borders, all below
   them become PLAIN too, down to the next that is PLAIN already. */
static bool make_plain(struct caml_huge* huge, uintptr_t first,
                       uintptr_t end) {
  if (too_many_borders(huge, first, end, PLAIN)) {
    enum state below;
    while (below = state_of(huge, first - 1),
           below != NOT_MAPPED && below != PLAIN)
      first--;
  }
  return advise(huge, first, end, PLAIN);
}

/* Is the system's setting "always", so that full huge pages become huge? */
static bool system_is_always(struct caml_huge* huge) {
  if (huge->system_always < 0) {
    char text[64] = "";
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled",
                  O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      if (read(fd, text, sizeof(text) - 1) < 0) text[0] = '\0';
      close(fd);
    }
    huge->system_always = strstr(text, "[always]") != NULL;
  }
  return huge->system_always;
}

/* Is the state of huge page [n] to change to [state], HUGE or PLAIN, by how
   many of its pages are in use? */
static bool is_to_be(struct caml_huge* huge, uintptr_t n, enum state state) {
  enum state old = state_of(huge, n);
  size_t pages;
  if (old == NOT_MAPPED || (old == PLAIN) == (state == PLAIN)) return false;
  pages = atomic_load(find_huge_page(huge, n)) & PAGES;
  return state == PLAIN ? pages > 0 && pages < pages_per_huge_page()
                        : pages == pages_per_huge_page();
}

/* Makes huge pages HUGE, with full neighbours for which there were too many
   borders before.  Nothing is done
     - with Xthp=never;
     - with Xthp=system, unless the system's setting is "always".  There is no
       advice that leads back to AS_MAPPED, so what that setting would do by
       itself is asked for here. */
static bool make_huge(struct caml_huge* huge, uintptr_t first, uintptr_t end) {
  if (huge->thp == CAML_THP_NEVER
      || (huge->thp == CAML_THP_SYSTEM && !system_is_always(huge)))
    return false;
  while (is_to_be(huge, first - 1, HUGE)) first--;
  while (is_to_be(huge, end, HUGE)) end++;
  return !too_many_borders(huge, first, end, HUGE)
    && advise(huge, first, end, HUGE);
}

/* Changes the state of those huge pages, from [first] to before [end], that are
   to be changed, a row of neighbours at a time.

   Another thread that counts pages while the kernel is told still sees the old
   state and does not take the lock.  So a row that was changed is looked at
   again, in case it is to change back; its neighbours are not. */
static void advise_huge_pages(struct caml_huge* huge, uintptr_t first,
                              uintptr_t end, enum state state) {
  caml_ranked_mutex_assert_held(&huge->lock);
  for (uintptr_t n = first; n < end; n++) {
    uintptr_t row = n;
    while (n < end && is_to_be(huge, n, state)) n++;
    if (n > row && (state == PLAIN ? make_plain : make_huge)(huge, row, n))
      advise_huge_pages(huge, row, n, state == PLAIN ? HUGE : PLAIN);
  }
}

static void change_states(struct caml_huge* huge, uintptr_t first,
                          uintptr_t end, enum state state) {
  assert(first < end);
  caml_ranked_mutex_lock(&huge->lock);
  advise_huge_pages(huge, first, end, state);
  caml_ranked_mutex_unlock(&huge->lock);
}

/* Adds [sign] for each page to the huge pages that [size] bytes from [p] lie
   in.  Is the state of one of them to change now? */
static bool count_pages(struct caml_huge* huge, uintptr_t p, size_t size,
                        int sign, enum state state) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  bool to_be = false;
  assert(caml_is_pages((void*)p, size));
  while (size > 0) {
    size_t part = CAML_HUGE_PAGE_SIZE - p % CAML_HUGE_PAGE_SIZE;
    caml_huge_page* huge_page = find_huge_page(huge, p / CAML_HUGE_PAGE_SIZE);
    if (part > size) part = size;
    if (huge_page != NULL && (atomic_load(huge_page) & STATE) != NOT_MAPPED) {
      int pages = sign * (int)(part / page);
      int before = atomic_fetch_add(huge_page, (uint16_t)pages) & PAGES;
      assert(before + pages >= 0);
      assert(before + pages <= (int)pages_per_huge_page());
      (void)before;
      to_be |= is_to_be(huge, p / CAML_HUGE_PAGE_SIZE, state);
    }
    p += part;
    size -= part;
  }
  return to_be;
}

static void change_pages(struct caml_huge* huge, void* p, size_t size,
                         int sign, enum state state) {
  uintptr_t first = (uintptr_t)p;
  if (count_pages(huge, first, size, sign, state) && !huge->absent)
    change_states(huge, first / CAML_HUGE_PAGE_SIZE,
                  (first + size - 1) / CAML_HUGE_PAGE_SIZE + 1, state);
}

void caml_huge_commit(struct caml_huge* huge, void* p, size_t size) {
  change_pages(huge, p, size, 1, HUGE);
}

void caml_huge_count(struct caml_huge* huge, void* p, size_t size,
                     bool committed) {
  count_pages(huge, (uintptr_t)p, size, committed ? 1 : -1, HUGE);
}

void caml_huge_decommit(struct caml_huge* huge, void* p, size_t size) {
  change_pages(huge, p, size, -1, PLAIN);
}

/* Huge pages that have no leaf, for want of memory, are as the kernel has
   it. */
void caml_huge_mapped(struct caml_huge* huge, void* p, size_t size) {
  uintptr_t first =
    ((uintptr_t)p + CAML_HUGE_PAGE_SIZE - 1) / CAML_HUGE_PAGE_SIZE;
  uintptr_t end = ((uintptr_t)p + size) / CAML_HUGE_PAGE_SIZE;
  bool small;
  assert(caml_is_pages(p, size));
  if (first >= end) return;
  caml_ranked_mutex_lock(&huge->lock);
  small = huge->mapped < CAML_HUGE_SMALL_HEAP;
  for (uintptr_t n = first; n < end; n++)
    if (make_leaf(huge, n)) set_state(huge, n, AS_MAPPED);
  huge->mapped += (end - first) * CAML_HUGE_PAGE_SIZE;
  if (huge->thp == CAML_THP_NEVER || small)
    advise(huge, first, end, PLAIN);
  else if (huge->thp == CAML_THP_ALWAYS)
    advise(huge, first, end, HUGE);
  caml_ranked_mutex_unlock(&huge->lock);
}

static void forget_huge_page(struct caml_huge* huge, uintptr_t n) {
  enum state old = state_of(huge, n);
  caml_ranked_mutex_assert_held(&huge->lock);
  if (old == NOT_MAPPED) return;
  assert(huge->mapped >= CAML_HUGE_PAGE_SIZE);
  assert(huge->borders >= count_borders(huge, n, old));
  huge->mapped -= CAML_HUGE_PAGE_SIZE;
  huge->borders -= count_borders(huge, n, old);
  atomic_store(find_huge_page(huge, n), NOT_MAPPED);
}

/* The lock is held from before the unmapping until the huge pages are
   forgotten: another thread may be given the same addresses meanwhile, and is
   to note them afterwards. */
bool caml_huge_unmap(struct caml_huge* huge, void* p, size_t size) {
  uintptr_t start = (uintptr_t)p, first = start / CAML_HUGE_PAGE_SIZE;
  uintptr_t end = (start + size - 1) / CAML_HUGE_PAGE_SIZE + 1;
  bool done;
  assert(start % CAML_HUGE_PAGE_SIZE == 0 && caml_is_pages(p, size));
  caml_ranked_mutex_lock(&huge->lock);
  done = munmap(p, size) == 0;
  for (uintptr_t n = first; done && n < end; n++) forget_huge_page(huge, n);
  caml_ranked_mutex_unlock(&huge->lock);
  return done;
}

void caml_huge_advise(struct caml_huge* huge, void* p, size_t size) {
  assert(caml_is_pages(p, size));
  if (huge->thp == CAML_THP_NEVER) caml_advise(p, size, CAML_ADVICE_PLAIN);
  if (huge->thp == CAML_THP_ALWAYS) caml_advise(p, size, CAML_ADVICE_HUGE);
}

void caml_huge_refuse(void* p, size_t size) {
  assert(caml_is_pages(p, size));
  caml_advise(p, size, CAML_ADVICE_PLAIN);
}

void caml_huge_init(struct caml_huge* huge, enum caml_thp thp) {
  assert(thp <= CAML_THP_ALWAYS);
  memset(huge, 0, sizeof(*huge));
  huge->thp = thp;
  huge->system_always = -1;
  caml_ranked_mutex_init(&huge->lock, CAML_RANK_HUGE);
}

/* The lock is taken inside of jemalloc's hooks, after jemalloc's own locks, so
   it cannot be taken before a fork: who is in a hook may wait for it with one
   of those.  A thread that was in here at the fork, with the lock, is not in
   the child.  What it left half done is at most
     - a huge page whose state is the old one while the kernel has the new
       advice, or the other way round: it is given again when it changes;
     - [borders] or [mapped] off by the huge pages that it was about: they are
       bounds for what the advice may cost, not exact. */
void caml_huge_postfork_child(struct caml_huge* huge) {
  caml_ranked_mutex_postfork_child(&huge->lock);
}

void caml_huge_end(struct caml_huge* huge) {
  for (size_t i = 0; i < CAML_HUGE_PAGES_ROOT; i++) {
    if (huge->leaves[i] != NULL)
      munmap(huge->leaves[i], CAML_HUGE_PAGES_LEAF * sizeof(caml_huge_page));
  }
  caml_ranked_mutex_destroy(&huge->lock);
}
