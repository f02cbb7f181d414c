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

#define _GNU_SOURCE /* secure_getenv */
#define CAML_INTERNALS

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include "caml/misc.h"
#include "heap_cycles.h"
#include "heap_idle.h"
#include "heap_jemalloc.h"
#include "heap_pressure.h"
#include "heap_relief.h"
#include "jemalloc_pressure.h"
#include "jemalloc_thread.h"

/* Purging is all that the thread does by itself; the rest is for the C
   library.  It allocates nothing: that would take the C library a heap of its
   own for the thread. */
#define STACK_SIZE ((size_t)256 << 10)

static struct {
  struct caml_ranked_mutex lock; /* of all but atomics */
  struct caml_pressure_source source;
  const char *watch, *write; /* what the service manager says, or NULL */
  pthread_t thread;
  bool running;              /* there is [thread]; it may have ended */
  bool stopping;
  struct caml_descriptor wake[2]; /* a pipe, to end it */
  struct caml_thread_retry retry;
  _Atomic bool wanted;       /* a thread, that there is none of yet */
} pressure;

_Atomic bool caml_pressure_thread_due;

static void lock(void) {
  caml_ranked_mutex_lock(&pressure.lock);
}

static void unlock(void) {
  caml_ranked_mutex_unlock(&pressure.lock);
}

static bool is_on(void) {
  return caml_heap_knob_get(CAML_KNOB_pressure) != 0;
}

/* The thread */

/* Without the lock: to purge takes a while, and nothing here is needed. */
static void relieve(void) {
  caml_ranked_mutex_assert_held(&pressure.lock);
  unlock();
  if (is_on() && caml_relief_begin()) {
    caml_idle_collect_soon(&caml_heap_idle);
    caml_heap_interrupt_all();
  }
  lock();
}

/* Waits for a sign.  False if the thread is to end, or none will come: as where
   the program has closed what it did not open. */
static bool wait_for_sign(void) {
  struct pollfd fds[] = {
    { .fd = pressure.source.at.number, .events = pressure.source.events },
    { .fd = pressure.wake[0].number, .events = POLLIN }
  };
  unlock();
  poll(fds, 2, -1);
  lock();
  return !pressure.stopping && caml_descriptor_is_own(&pressure.wake[0])
    && caml_pressure_take_sign(&pressure.source, fds[0].revents);
}

static void* watch(void* data) {
  (void)data;
  caml_thread_settle();
  lock();
  while (wait_for_sign()) relieve();
  caml_descriptor_close(&pressure.source.at);
  unlock();
  return NULL;
}

static void close_all(void) {
  caml_descriptor_close(&pressure.source.at);
  caml_descriptor_close(&pressure.wake[0]);
  caml_descriptor_close(&pressure.wake[1]);
}

static bool open_wake(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  for (int i = 0; i < 2; i++) pressure.wake[i] = caml_descriptor_take(ends[i]);
  return pressure.wake[0].number >= 0 && pressure.wake[1].number >= 0;
}

static bool start(void) {
  caml_ranked_mutex_assert_held(&pressure.lock);
  if (open_wake()
      && caml_thread_start(&pressure.thread, STACK_SIZE, watch, NULL))
    return true;
  close_all();
  return false;
}

/* Where nobody would say that memory is short, none is wanted any more. */
static void try_to_start(uint64_t now) {
  if (pressure.running || pressure.stopping
      || !caml_thread_may_retry(&pressure.retry, now))
    return;
  if (caml_pressure_open("", pressure.watch, pressure.write,
                         &pressure.source)) {
    pressure.running = start();
    caml_thread_tried(&pressure.retry, now, pressure.running);
    atomic_store(&pressure.wanted, !pressure.running);
  } else {
    atomic_store(&pressure.wanted, false);
  }
}

void caml_pressure_ask_for_thread(void) {
  if (atomic_load(&pressure.wanted) && is_on())
    atomic_store(&caml_pressure_thread_due, true);
}

void caml_pressure_make_thread(void) {
  atomic_store(&caml_pressure_thread_due, false);
  lock();
  try_to_start(caml_heap_now());
  unlock();
}

/* True: the thread ends soon, if it has not.  Without an end to read from the
   other would bring SIGPIPE. */
static bool wake_up(void) {
  caml_ranked_mutex_assert_held(&pressure.lock);
  return caml_descriptor_is_own(&pressure.wake[0])
    && caml_descriptor_is_own(&pressure.wake[1])
    && write(pressure.wake[1].number, "", 1) == 1;
}

/* If the program has closed the pipe, the thread may wait for ever, for what
   was opened: it looks at [stopping] before all else. */
void caml_pressure_stop(void) {
  bool running, ends;
  lock();
  pressure.stopping = true;
  running = pressure.running;
  pressure.running = false;
  ends = running && wake_up();
  unlock();
  if (!running) return;
  if (ends) pthread_join(pressure.thread, NULL);
  else pthread_detach(pressure.thread);
  close_all();
}

/* Start and forks */

/* A copy: the program may change its environment. */
static const char* variable(const char* name) {
  const char* text = secure_getenv(name);
  return text == NULL ? NULL : strdup(text);
}

static void reset(void) {
  pressure.running = false;
  pressure.source.at.number = -1;
  pressure.wake[0].number = pressure.wake[1].number = -1;
  pressure.retry = (struct caml_thread_retry){ .wait = 0 };
}

void caml_pressure_init(void) {
  caml_ranked_mutex_init(&pressure.lock, CAML_RANK_PRESSURE);
  pressure.watch = variable("MEMORY_PRESSURE_WATCH");
  pressure.write = variable("MEMORY_PRESSURE_WRITE");
  pressure.stopping = false;
  atomic_store(&pressure.wanted, true);
  reset();
}

void caml_pressure_prefork(void) {
  lock();
}

void caml_pressure_postfork_parent(void) {
  unlock();
}

/* It gets a thread of its own if its parent has had one, or would have. */
void caml_pressure_postfork_child(void) {
  caml_ranked_mutex_postfork_child(&pressure.lock);
  if (pressure.running) atomic_store(&pressure.wanted, true);
  close_all();
  reset();
}
