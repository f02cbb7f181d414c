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

#define _GNU_SOURCE /* madvise, EHWPOISON */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "jemalloc_advice.h"
#include "jemalloc_assert.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

/* [left]: calls that are still to be left out.  [last]: how many were to be
   left out after the last refusal; 0 if the last call was not refused.

   Relaxed where a call is made or left out: each is a number by itself, and
   with two threads at once a call too many is made, or too few. */
static struct { atomic_uint left, last; } refusals[CAML_N_ADVICES];

static int call(void* p, size_t size, enum caml_advice advice) {
  static const int numbers[] = {
    [CAML_ADVICE_FREE] = MADV_FREE,
    [CAML_ADVICE_POPULATE] = MADV_POPULATE_WRITE,
    [CAML_ADVICE_HUGE] = MADV_HUGEPAGE,
    [CAML_ADVICE_PLAIN] = MADV_NOHUGEPAGE
  };
  if (advice != CAML_ADVICE_NAME) return madvise(p, size, numbers[advice]);
  return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, size,
               CAML_MAPPING_NAME);
}

/* Errors of a kernel that knows the call: about what is mapped there, or about
   memory that is short or broken.  A filter may answer with any other. */
static bool is_of_the_moment(int error) {
  return error == ENOMEM || error == EAGAIN || error == EFAULT
    || error == EINTR || error == EBADF || error == EHWPOISON;
}

static void leave_out(enum caml_advice advice) {
  unsigned last = atomic_load(&refusals[advice].last);
  unsigned next;
  assert(last == 0 || (last >= CAML_ADVICE_LEFT_OUT
                       && last <= CAML_ADVICE_LEFT_OUT_MOST));
  next = last == 0 ? CAML_ADVICE_LEFT_OUT
    : last < CAML_ADVICE_LEFT_OUT_MOST ? 2 * last : last;
  atomic_store(&refusals[advice].last, next);
  atomic_store(&refusals[advice].left, next);
}

/* Counts the call that is to be made.  Returns whether it is to be left out. */
static bool count_down(enum caml_advice advice) {
  atomic_uint* left = &refusals[advice].left;
  unsigned n = atomic_load_explicit(left, memory_order_relaxed);
  if (n > 0) atomic_store_explicit(left, n - 1, memory_order_relaxed);
  return n > 0;
}

bool caml_advice_is_refused(enum caml_advice advice) {
  atomic_uint* last = &refusals[advice].last;
  assert(advice < CAML_N_ADVICES);
  return atomic_load_explicit(last, memory_order_relaxed) > 0;
}

bool caml_advise(void* p, size_t size, enum caml_advice advice) {
  assert(advice < CAML_N_ADVICES && caml_is_pages(p, size));
  if (count_down(advice)) return false;
  if (call(p, size, advice) != 0) {
    if (!is_of_the_moment(errno)) leave_out(advice);
    return false;
  }
  if (caml_advice_is_refused(advice)) atomic_store(&refusals[advice].last, 0);
  return true;
}
