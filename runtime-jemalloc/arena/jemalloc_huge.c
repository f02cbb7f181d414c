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

/* A frame: how many of its pages are committed, and its mark.  Pages are
   counted without the lock, marks change with it held.  A frame that is not all
   ours is NOT_MAPPED and stays so. */
#define PAGES 0x0fff
#define MARK 0xf000
enum mark {
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

static size_t frame_pages(void) {
  return CAML_FRAME_SIZE / (size_t)sysconf(_SC_PAGESIZE);
}

/* Of a frame by its number: its address / CAML_FRAME_SIZE */
static caml_frame* find_frame(struct caml_huge* huge, uintptr_t n) {
  caml_frame* leaf;
  if (n / CAML_FRAMES_LEAF >= CAML_FRAMES_ROOT) return NULL;
  leaf = atomic_load(&huge->leaves[n / CAML_FRAMES_LEAF]);
  return leaf == NULL ? NULL : &leaf[n % CAML_FRAMES_LEAF];
}

static enum mark mark_of(struct caml_huge* huge, uintptr_t n) {
  caml_frame* frame = find_frame(huge, n);
  return frame == NULL ? NOT_MAPPED : atomic_load(frame) & MARK;
}

/* With the lock held.  An address beyond 48 bits, which only those get who ask
   for it, has no leaf. */
static bool make_leaf(struct caml_huge* huge, uintptr_t n) {
  size_t i = n / CAML_FRAMES_LEAF;
  void* leaf;
  if (i >= CAML_FRAMES_ROOT) return false;
  if (atomic_load(&huge->leaves[i]) != NULL) return true;
  leaf = mmap(NULL, CAML_FRAMES_LEAF * sizeof(caml_frame),
              PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (leaf == MAP_FAILED) return false;
  atomic_store(&huge->leaves[i], leaf);
  return true;
}

static bool is_border(struct caml_huge* huge, uintptr_t neighbour,
                      enum mark mark) {
  enum mark other = mark_of(huge, neighbour);
  return other != NOT_MAPPED && other != mark;
}

/* Marks frame [n], which is mapped, and counts borders. */
static void set_mark(struct caml_huge* huge, uintptr_t n, enum mark mark) {
  caml_frame* frame = find_frame(huge, n);
  enum mark old = atomic_load(frame) & MARK;
  if (old != NOT_MAPPED)
    huge->borders -= is_border(huge, n - 1, old) + is_border(huge, n + 1, old);
  huge->borders += is_border(huge, n - 1, mark) + is_border(huge, n + 1, mark);
  atomic_fetch_xor(frame, (uint16_t)(old ^ mark));
}

/* The lock is held.  Marks the frames from [first] to before [end] if the
   kernel does as it is told; false if it does not. */
static bool advise(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                   enum mark mark) {
  enum caml_advice advice = mark == HUGE ? CAML_ADVICE_HUGE : CAML_ADVICE_PLAIN;
  if (!caml_advise((void*)(first * CAML_FRAME_SIZE),
                   (end - first) * CAML_FRAME_SIZE, advice)) {
    if (caml_advice_is_refused(advice)) atomic_store(&huge->absent, true);
    return false;
  }
  for (uintptr_t n = first; n < end; n++)
    if (mark_of(huge, n) != NOT_MAPPED) set_mark(huge, n, mark);
  return true;
}

/* By how many marking the frames from [first] to before [end] would change the
   number of borders; within them there is none. */
static int new_borders(struct caml_huge* huge, uintptr_t first, uintptr_t end,
                       enum mark mark) {
  return is_border(huge, first - 1, mark)
    - is_border(huge, first - 1, mark_of(huge, first))
    + is_border(huge, end, mark)
    - is_border(huge, end, mark_of(huge, end - 1));
}

static bool too_many_borders(struct caml_huge* huge, uintptr_t first,
                             uintptr_t end, enum mark mark) {
  int more = new_borders(huge, first, end, mark);
  return more > 0 && huge->borders + (size_t)more > max_borders(huge);
}

/* Marks frames PLAIN, and when borders are many, all below them as far as the
   next that is PLAIN already. */
static bool make_plain(struct caml_huge* huge, uintptr_t first,
                       uintptr_t end) {
  if (too_many_borders(huge, first, end, PLAIN)) {
    enum mark below;
    while (below = mark_of(huge, first - 1),
           below != NOT_MAPPED && below != PLAIN)
      first--;
  }
  return advise(huge, first, end, PLAIN);
}

/* Is the system's setting "always", so that full frames become huge? */
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

static bool is_to_be(struct caml_huge* huge, uintptr_t n, enum mark mark) {
  enum mark old = mark_of(huge, n);
  size_t pages;
  if (old == NOT_MAPPED || (old == PLAIN) == (mark == PLAIN)) return false;
  pages = atomic_load(find_frame(huge, n)) & PAGES;
  return mark == PLAIN ? pages > 0 && pages < frame_pages()
                       : pages == frame_pages();
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

/* Marks those frames, from [first] to before [end], that are to be, a run of
   neighbours at a time.  Was one marked? */
static bool mark_frames(struct caml_huge* huge, uintptr_t first,
                        uintptr_t end, enum mark mark) {
  bool marked = false;
  for (uintptr_t n = first; n < end; n++) {
    uintptr_t run = n;
    while (n < end && is_to_be(huge, n, mark)) n++;
    if (n > run)
      marked |= (mark == PLAIN ? make_plain : make_huge)(huge, run, n);
  }
  return marked;
}

/* Whoever counts pages while the kernel is told sees the old mark and leaves
   the lock alone, so what was marked is looked at again. */
static void change_marks(struct caml_huge* huge, uintptr_t first,
                         uintptr_t end, enum mark mark) {
  pthread_mutex_lock(&huge->lock);
  while (mark_frames(huge, first, end, mark))
    mark = mark == PLAIN ? HUGE : PLAIN;
  pthread_mutex_unlock(&huge->lock);
}

/* Adds [sign] for each page to the frames that [size] bytes from [p] lie in.
   Is one of them now to be marked? */
static bool count_pages(struct caml_huge* huge, uintptr_t p, size_t size,
                        int sign, enum mark mark) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  bool to_be = false;
  while (size > 0) {
    size_t part = CAML_FRAME_SIZE - p % CAML_FRAME_SIZE;
    caml_frame* frame = find_frame(huge, p / CAML_FRAME_SIZE);
    if (part > size) part = size;
    if (frame != NULL && (atomic_load(frame) & MARK) != NOT_MAPPED) {
      atomic_fetch_add(frame, (uint16_t)(sign * (int)(part / page)));
      to_be |= is_to_be(huge, p / CAML_FRAME_SIZE, mark);
    }
    p += part;
    size -= part;
  }
  return to_be;
}

static void change_pages(struct caml_huge* huge, void* p, size_t size,
                         int sign, enum mark mark) {
  uintptr_t first = (uintptr_t)p;
  if (count_pages(huge, first, size, sign, mark) && !huge->absent)
    change_marks(huge, first / CAML_FRAME_SIZE,
                 (first + size - 1) / CAML_FRAME_SIZE + 1, mark);
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

/* Frames that have no leaf, for want of memory, are never marked: they are as
   the kernel has it. */
void caml_huge_mapped(struct caml_huge* huge, void* p, size_t size) {
  uintptr_t first = ((uintptr_t)p + CAML_FRAME_SIZE - 1) / CAML_FRAME_SIZE;
  uintptr_t end = ((uintptr_t)p + size) / CAML_FRAME_SIZE;
  bool small;
  if (first >= end) return;
  pthread_mutex_lock(&huge->lock);
  small = huge->mapped < CAML_HUGE_SMALL_HEAP;
  for (uintptr_t n = first; n < end; n++)
    if (make_leaf(huge, n)) set_mark(huge, n, AS_MAPPED);
  huge->mapped += (end - first) * CAML_FRAME_SIZE;
  if (huge->thp == CAML_THP_NEVER || small)
    advise(huge, first, end, PLAIN);
  else if (huge->thp == CAML_THP_ALWAYS)
    advise(huge, first, end, HUGE);
  pthread_mutex_unlock(&huge->lock);
}

static void forget_frame(struct caml_huge* huge, uintptr_t n) {
  enum mark old = mark_of(huge, n);
  if (old == NOT_MAPPED) return;
  huge->mapped -= CAML_FRAME_SIZE;
  huge->borders -= is_border(huge, n - 1, old) + is_border(huge, n + 1, old);
  atomic_store(find_frame(huge, n), NOT_MAPPED);
}

/* With the lock held all the time: whoever maps what was unmapped here notes it
   later. */
bool caml_huge_unmap(struct caml_huge* huge, void* p, size_t size) {
  uintptr_t start = (uintptr_t)p;
  bool done;
  assert(start % CAML_FRAME_SIZE == 0);
  pthread_mutex_lock(&huge->lock);
  done = munmap(p, size) == 0;
  for (uintptr_t at = start; done && at < start + size; at += CAML_FRAME_SIZE)
    forget_frame(huge, at / CAML_FRAME_SIZE);
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
  for (size_t i = 0; i < CAML_FRAMES_ROOT; i++) {
    if (huge->leaves[i] != NULL)
      munmap(huge->leaves[i], CAML_FRAMES_LEAF * sizeof(caml_frame));
  }
  pthread_mutex_destroy(&huge->lock);
}
