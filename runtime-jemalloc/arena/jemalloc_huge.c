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
#ifndef DEBUG
#define NDEBUG /* assertions in the debug runtime only, as in all of OCaml's */
#endif
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "jemalloc_advice.h"
#include "jemalloc_huge.h"

/* A huge page: how many of its pages are committed, and its mark.  Pages are
   counted without the lock, marks change with it held.  A huge page that is
   not all ours is NOT_MAPPED and stays so. */
#define PAGES 0x0fff
#define STATE 0xf000
enum state {
  NOT_MAPPED = 0x0000,
  AS_MAPPED = 0x1000, /* the kernel's setting decides */
  HUGE = 0x2000,      /* MADV_HUGEPAGE */
  PLAIN = 0x3000      /* MADV_NOHUGEPAGE */
};

/* How many more mappings the marks may make: the heap is to stay below
   64 + 1 for each 64 MiB, with those that jemalloc asked for. */
static size_t max_borders(const struct caml_huge* huge) {
  return 8 + huge->mapped / ((size_t)128 << 20);
}

static size_t pages_per_huge_page(void) {
  return CAML_HUGE_PAGE_SIZE / (size_t)sysconf(_SC_PAGESIZE);
}

/* Of a huge page by its number: its address / CAML_HUGE_PAGE_SIZE */
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

/* With the lock held.  An address beyond 48 bits, which only those get who ask
   for it, has no leaf. */
static bool make_leaf(struct caml_huge* huge, uintptr_t n) {
  size_t i = n / CAML_HUGE_PAGES_LEAF;
  void* leaf;
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

/* Marks huge page [n], which is mapped, and counts borders. */
static void set_state(struct caml_huge* huge, uintptr_t n, enum state state) {
  caml_huge_page* huge_page = find_huge_page(huge, n);
  enum state old = atomic_load(huge_page) & STATE;
  if (old != NOT_MAPPED)
    huge->borders -= is_border(huge, n - 1, old) + is_border(huge, n + 1, old);
  huge->borders +=
    is_border(huge, n - 1, state) + is_border(huge, n + 1, state);
  atomic_fetch_xor(huge_page, (uint16_t)(old ^ state));
}

/* The lock is held.  Marks the huge pages from [first] to before [end] if the
   kernel does as it is told; false if it does not. */
static bool advise(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                   enum state state) {
  enum caml_advice advice =
    state == HUGE ? CAML_ADVICE_HUGE : CAML_ADVICE_PLAIN;
  if (!caml_advise((void*)(first * CAML_HUGE_PAGE_SIZE),
                   (end - first) * CAML_HUGE_PAGE_SIZE, advice)) {
    if (caml_advice_is_refused(advice)) atomic_store(&huge->absent, true);
    return false;
  }
  for (uintptr_t n = first; n < end; n++)
    if (state_of(huge, n) != NOT_MAPPED) set_state(huge, n, state);
  return true;
}

/* By how many advice for the huge pages from [first] to before [end] would
   change the number of borders; within them there is none. */
static int new_borders(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                       enum state state) {
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

/* Makes huge pages PLAIN, and when borders are many, all below them as far as
   the next that is PLAIN already. */
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

static bool is_to_be(struct caml_huge* huge, uintptr_t n, enum state state) {
  enum state old = state_of(huge, n);
  size_t pages;
  if (old == NOT_MAPPED || (old == PLAIN) == (state == PLAIN)) return false;
  pages = atomic_load(find_huge_page(huge, n)) & PAGES;
  return state == PLAIN ? pages > 0 && pages < pages_per_huge_page()
                        : pages == pages_per_huge_page();
}

/* There is no way back to AS_MAPPED, so what the system's setting makes huge of
   itself is asked for here, and nothing else if the setting decides.  With
   [first] to before [end] go full neighbours for which there were too many
   borders. */
static bool make_huge(struct caml_huge* huge, uintptr_t first, uintptr_t end) {
  if (huge->thp == CAML_THP_NEVER
      || (huge->thp == CAML_THP_SYSTEM && !system_is_always(huge)))
    return false;
  while (is_to_be(huge, first - 1, HUGE)) first--;
  while (is_to_be(huge, end, HUGE)) end++;
  return !too_many_borders(huge, first, end, HUGE)
    && advise(huge, first, end, HUGE);
}

/* Changes those huge pages, from [first] to before [end], that are to be
   changed, a row of neighbours at a time.  Was one? */
static bool advise_huge_pages(struct caml_huge* huge, uintptr_t first,
                              uintptr_t end, enum state state) {
  bool marked = false;
  for (uintptr_t n = first; n < end; n++) {
    uintptr_t row = n;
    while (n < end && is_to_be(huge, n, state)) n++;
    if (n > row)
      marked |= (state == PLAIN ? make_plain : make_huge)(huge, row, n);
  }
  return marked;
}

/* Whoever counts pages while the kernel is told sees the old mark and leaves
   the lock alone, so what was marked is looked at again. */
static void change_states(struct caml_huge* huge, uintptr_t first,
                          uintptr_t end, enum state state) {
  pthread_mutex_lock(&huge->lock);
  while (advise_huge_pages(huge, first, end, state))
    state = state == PLAIN ? HUGE : PLAIN;
  pthread_mutex_unlock(&huge->lock);
}

/* Adds [sign] for each page to the huge pages that [size] bytes from [p] lie
   in.    Is one of them now to be marked? */
static bool count_pages(struct caml_huge* huge, uintptr_t p, size_t size,
                        int sign, enum state state) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  bool to_be = false;
  while (size > 0) {
    size_t part = CAML_HUGE_PAGE_SIZE - p % CAML_HUGE_PAGE_SIZE;
    caml_huge_page* huge_page = find_huge_page(huge, p / CAML_HUGE_PAGE_SIZE);
    if (part > size) part = size;
    if (huge_page != NULL && (atomic_load(huge_page) & STATE) != NOT_MAPPED) {
      atomic_fetch_add(huge_page, (uint16_t)(sign * (int)(part / page)));
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
  if (first >= end) return;
  pthread_mutex_lock(&huge->lock);
  small = huge->mapped < CAML_HUGE_SMALL_HEAP;
  for (uintptr_t n = first; n < end; n++)
    if (make_leaf(huge, n)) set_state(huge, n, AS_MAPPED);
  huge->mapped += (end - first) * CAML_HUGE_PAGE_SIZE;
  if (huge->thp == CAML_THP_NEVER || small)
    advise(huge, first, end, PLAIN);
  else if (huge->thp == CAML_THP_ALWAYS)
    advise(huge, first, end, HUGE);
  pthread_mutex_unlock(&huge->lock);
}

static void forget_huge_page(struct caml_huge* huge, uintptr_t n) {
  enum state old = state_of(huge, n);
  if (old == NOT_MAPPED) return;
  huge->mapped -= CAML_HUGE_PAGE_SIZE;
  huge->borders -= is_border(huge, n - 1, old) + is_border(huge, n + 1, old);
  atomic_store(find_huge_page(huge, n), NOT_MAPPED);
}

/* With the lock held all the time: whoever maps what was unmapped here notes it
   later. */
bool caml_huge_unmap(struct caml_huge* huge, void* p, size_t size) {
  uintptr_t start = (uintptr_t)p, first = start / CAML_HUGE_PAGE_SIZE;
  uintptr_t end = (start + size - 1) / CAML_HUGE_PAGE_SIZE + 1;
  bool done;
  assert(start % CAML_HUGE_PAGE_SIZE == 0);
  pthread_mutex_lock(&huge->lock);
  done = munmap(p, size) == 0;
  for (uintptr_t n = first; done && n < end; n++) forget_huge_page(huge, n);
  pthread_mutex_unlock(&huge->lock);
  return done;
}

void caml_huge_advise(struct caml_huge* huge, void* p, size_t size) {
  if (huge->thp == CAML_THP_NEVER) caml_advise(p, size, CAML_ADVICE_PLAIN);
  if (huge->thp == CAML_THP_ALWAYS) caml_advise(p, size, CAML_ADVICE_HUGE);
}

void caml_huge_refuse(void* p, size_t size) {
  caml_advise(p, size, CAML_ADVICE_PLAIN);
}

void caml_huge_init(struct caml_huge* huge, enum caml_thp thp) {
  memset(huge, 0, sizeof(*huge));
  huge->thp = thp;
  huge->system_always = -1;
  pthread_mutex_init(&huge->lock, NULL);
}

void caml_huge_postfork_child(struct caml_huge* huge) {
  pthread_mutex_init(&huge->lock, NULL);
}

void caml_huge_end(struct caml_huge* huge) {
  for (size_t i = 0; i < CAML_HUGE_PAGES_ROOT; i++) {
    if (huge->leaves[i] != NULL)
      munmap(huge->leaves[i], CAML_HUGE_PAGES_LEAF * sizeof(caml_huge_page));
  }
  pthread_mutex_destroy(&huge->lock);
}
