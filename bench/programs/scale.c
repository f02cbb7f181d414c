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

/* scale DOMAINS SEED TRANSFER TRACE...: so many domains, each with a processor
   of its own, replay what real programs got and put (scale_trace.c), the first
   domain the first trace, and so on, over and over.  Each get and put is done,
   by one thread and domain after domain, on one arena: which locks it takes,
   how long it holds them and what it finds is what the arena did.  Then it is
   done again in simulated time, in which who finds a lock held waits, in the
   order of coming.  A lock that another domain had last brings TRANSFER ns with
   it for the line it lies in and as much for one that it guards.

   Each domain begins at a time of its own, by SEED.  What follows from the
   first moment at which all of them run is counted, for as long as the longest
   trace.  Prints JSON. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "scale.h"
#include "scale_arena.h"

#define MOST_DOMAINS 128

/* A get or put of a trace, [gap] ns of the program's own after the one before
   */
struct call {
  uint64_t gap;
  size_t size;
  uint32_t block; /* a number that no other has meanwhile */
  bool put;
};

struct trace {
  struct call* calls;
  size_t n, blocks;
  uint64_t length; /* ns, without gets and puts */
};

/* A lock in simulated time */
struct lock {
  const void* address;
  int holder, last; /* domains; -1: none */
  struct actor *first, *end; /* who wait */
  uint64_t since; /* held, or waited for, since */
  uint64_t taken, found_held, waited, held;
};

/* A domain, or the thread that purges.  It is at [time]: there it begins a
   call, if [at] is past its steps, or does the step [at]. */
struct actor {
  int number;
  const struct trace* trace; /* NULL: it purges */
  size_t next;               /* call */
  void** blocks;
  uint64_t time, began;
  struct scale_steps todo;
  size_t at, room;
  bool busy, waited;
  struct actor* behind; /* waits for the same lock */
  uint64_t waiting_since;
};

/* How calls of a kind went */
struct sum { uint64_t n, waited, work, wait; };
enum kind { POOL_HIT, POOL_MISS, BLOCK_HIT, BLOCK_MISS, LARGE, KINDS };
static const char* const kinds[] = {
  "pool, own shard", "pool, more", "block, own shard", "block, more",
  "above 1 MiB"
};

static struct actor actors[MOST_DOMAINS + 1];
static unsigned n_actors;
static struct actor* heap[MOST_DOMAINS + 1]; /* the next first */
static unsigned in_heap;
static struct lock locks[4096];
static struct sum sums[2][KINDS]; /* gets, puts */
static uint64_t gaps, start, from, until, transfer, foreign;

/* The order of time */

static void sift_up(unsigned i) {
  while (i > 0 && heap[i]->time < heap[(i - 1) / 2]->time) {
    struct actor* a = heap[i];
    heap[i] = heap[(i - 1) / 2];
    heap[i = (i - 1) / 2] = a;
  }
}

static void sift_down(unsigned i) {
  for (;;) {
    unsigned least = i;
    for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < in_heap; c++)
      if (heap[c]->time < heap[least]->time) least = c;
    if (least == i) return;
    struct actor* a = heap[i];
    heap[i] = heap[least];
    heap[i = least] = a;
  }
}

static void push(struct actor* a) {
  heap[in_heap++] = a;
  sift_up(in_heap - 1);
}

static struct actor* pop(void) {
  struct actor* first = heap[0];
  heap[0] = heap[--in_heap];
  sift_down(0);
  return first;
}

/* Traces */

static int by_block(const void* a, const void* b) {
  const struct scale_event *x = *(struct scale_event* const*)a,
                           *y = *(struct scale_event* const*)b;
  if (x->block != y->block) return x->block < y->block ? -1 : 1;
  return (x > y) - (x < y);
}

static struct scale_event* read_events(const char* name, size_t* n) {
  FILE* f = fopen(name, "rb");
  struct scale_event* events;
  long size;
  scale_need(f != NULL && fseek(f, 0, SEEK_END) == 0, name);
  size = ftell(f);
  *n = (size_t)size / sizeof(*events);
  rewind(f);
  events = malloc((size_t)size + 1);
  scale_need(events != NULL && fread(events, sizeof(*events), *n, f) == *n,
             name);
  fclose(f);
  return events;
}

/* The domain that got and put most */
static unsigned busiest(const struct scale_event* events, size_t n) {
  static size_t of[UINT16_MAX + 1];
  unsigned most = 0;
  memset(of, 0, sizeof(of));
  for (size_t i = 0; i < n; i++)
    if (++of[events[i].domain] > of[most]) most = events[i].domain;
  return most;
}

/* Makes of the addresses numbers of blocks, each of which is got, put, got...
   and at the end put.  What is put without having been got is left out (block
   0). */
static size_t number_blocks(struct scale_event* events, size_t n,
                            unsigned domain) {
  struct scale_event** by = malloc((n + 1) * sizeof(*by));
  size_t blocks = 0;
  uint64_t address = 0;
  bool live = false;
  scale_need(by != NULL, "no memory");
  for (size_t i = 0; i < n; i++) by[i] = &events[i];
  qsort(by, n, sizeof(*by), by_block);
  for (size_t i = 0; i < n; i++) {
    struct scale_event* e = by[i];
    if (i == 0 || e->block != address) {
      address = e->block;
      live = false;
      blocks++;
    }
    if (e->put && live && e->domain != domain) foreign++, e->domain = domain;
    e->block = e->domain == domain && e->put == live ? blocks : 0;
    if (e->block != 0) live = !e->put;
  }
  free(by);
  return blocks + 1;
}

static void append(struct trace* t, uint64_t gap, uint32_t block, size_t size,
                   bool put) {
  t->calls[t->n++] = (struct call){ gap, size, block, put };
  t->length += gap;
}

/* At the end all that is left is put, at the pace of the whole. */
static void put_the_rest(struct trace* t) {
  size_t* sizes = malloc(t->blocks * sizeof(*sizes));
  uint64_t pace = t->n > 0 ? t->length / t->n : 0;
  scale_need(sizes != NULL, "no memory");
  for (size_t i = 0; i < t->blocks; i++) sizes[i] = SIZE_MAX;
  for (size_t i = 0; i < t->n; i++)
    sizes[t->calls[i].block] = t->calls[i].put ? SIZE_MAX : t->calls[i].size;
  for (size_t i = 0; i < t->blocks; i++)
    if (sizes[i] != SIZE_MAX) append(t, pace, (uint32_t)i, sizes[i], true);
  free(sizes);
}

static struct trace read_trace(const char* name) {
  size_t n;
  struct scale_event* events = read_events(name, &n);
  unsigned domain = busiest(events, n);
  struct trace t = { NULL, 0, number_blocks(events, n, domain), 0 };
  uint64_t ended = 0;
  t.calls = malloc(2 * (n + 1) * sizeof(*t.calls));
  scale_need(t.calls != NULL && n > 0, name);
  for (size_t i = 0; i < n; i++) {
    const struct scale_event* e = &events[i];
    if (e->block == 0 || e->domain != domain) continue;
    append(&t, ended != 0 && e->began > ended ? e->began - ended : 0,
           (uint32_t)e->block, e->size, e->put);
    if (e->began + e->took > ended) ended = e->began + e->took;
  }
  put_the_rest(&t);
  free(events);
  return t;
}

/* What is done */

static enum kind kind_of(const struct actor* a, size_t size, uint64_t hits) {
  const struct caml_cache* c = &scale_arena.cache;
  if (size <= SCALE_MEDIUM_POOL) return a->todo.n == 2 ? POOL_HIT : POOL_MISS;
  if (size > CAML_FRAME_BLOCK_MOST) return LARGE;
  if (scale_is_of_frame(size)) return a->todo.n == 2 ? BLOCK_HIT : BLOCK_MISS;
  return a->todo.n == 0
      || c->shards[a->number % CAML_CACHE_SHARDS].hits > hits
    ? BLOCK_HIT : BLOCK_MISS;
}

static enum kind kind;

static const struct scale_steps* call(struct actor* a) {
  const struct call* c = &a->trace->calls[a->next];
  unsigned domain = (unsigned)a->number;
  struct caml_cache_shard* s =
    &scale_arena.cache.shards[domain % CAML_CACHE_SHARDS];
  uint64_t hits = s->hits;
  const struct scale_steps* done;
  scale_begin();
  if (c->put) scale_put(domain, a->blocks[c->block], c->size);
  else a->blocks[c->block] = scale_get(domain, c->size);
  done = scale_end();
  a->todo.n = done->n;
  kind = kind_of(a, c->size, hits);
  /* the program's to touch first, and not the cache's in its shard */
  if (!c->put && c->size > 0) *(volatile char*)a->blocks[c->block] = 1;
  return done;
}

static void keep_steps(struct actor* a, const struct scale_steps* done) {
  if (done->n > a->room) {
    a->room = 2 * done->n;
    free(a->todo.steps);
    a->todo.steps = malloc(a->room * sizeof(struct scale_step));
    scale_need(a->todo.steps != NULL, "no memory");
  }
  a->todo.n = done->n;
  a->todo.rest = done->rest;
  if (done->n > 0)
    memcpy(a->todo.steps, done->steps, done->n * sizeof(struct scale_step));
}

static bool counts(const struct actor* a) {
  return a->time >= from && a->trace != NULL;
}

static void to_step(struct actor* a) {
  a->time += a->at < a->todo.n ? a->todo.steps[a->at].after : a->todo.rest;
}

static uint64_t work_of(const struct actor* a) {
  uint64_t work = a->todo.rest;
  for (size_t i = 0; i < a->todo.n; i++) work += a->todo.steps[i].after;
  return work;
}

static struct sum* sum_of[MOST_DOMAINS + 1];

static void begin(struct actor* a) {
  const struct scale_steps* done;
  scale_set_time(start + a->time);
  if (a->trace == NULL) {
    scale_begin();
    scale_decay();
    done = scale_end();
  } else {
    done = call(a);
  }
  keep_steps(a, done);
  sum_of[a->number] = NULL;
  if (counts(a)) {
    struct sum* s = &sums[a->trace->calls[a->next].put][kind];
    s->n++;
    s->work += work_of(a);
    sum_of[a->number] = s;
  }
  a->waited = false;
  a->busy = true;
  a->at = 0;
  to_step(a);
}

static void end(struct actor* a) {
  if (a->waited && sum_of[a->number] != NULL) sum_of[a->number]->waited++;
  a->busy = false;
  if (a->trace == NULL) {
    a->time += SCALE_DECAY_NS;
    return;
  }
  a->next = (a->next + 1) % a->trace->n;
  a->time += a->trace->calls[a->next].gap;
  if (counts(a)) gaps += a->trace->calls[a->next].gap;
}

static struct lock* find(const void* address) {
  size_t i = ((uintptr_t)address >> 3) * 0x9E3779B97F4A7C15u >> 52;
  while (locks[i % 4096].address != address) {
    struct lock* l = &locks[i++ % 4096];
    if (l->address != NULL) continue;
    *l = (struct lock){ .address = address, .holder = -1, .last = -1 };
    return l;
  }
  return &locks[i % 4096];
}

static void take(struct lock* l, struct actor* a) {
  l->holder = a->number;
  l->since = a->time;
  if (l->last >= 0 && l->last != a->number) a->time += 2 * transfer;
  l->last = a->number;
  a->at++;
  to_step(a);
}

/* False: it waits. */
static bool try_take(struct lock* l, struct actor* a) {
  if (counts(a)) l->taken++;
  if (l->holder < 0) {
    take(l, a);
    return true;
  }
  if (counts(a)) l->found_held++;
  a->waited = true;
  a->waiting_since = a->time;
  a->behind = NULL;
  if (l->first == NULL) l->first = a;
  else l->end->behind = a;
  l->end = a;
  return false;
}

static void give(struct lock* l, struct actor* a) {
  struct actor* next = l->first;
  uint64_t now = a->time;
  if (now >= from) l->held += now - (l->since > from ? l->since : from);
  l->holder = -1;
  a->at++;
  to_step(a);
  if (next == NULL) return;
  l->first = next->behind;
  next->time = now;
  if (counts(next)) l->waited += next->time - next->waiting_since;
  if (sum_of[next->number] != NULL)
    sum_of[next->number]->wait += next->time - next->waiting_since;
  take(l, next);
  push(next);
}

static void simulate(void) {
  while (in_heap > 0 && heap[0]->time < until) {
    struct actor* a = pop();
    bool runs = true;
    if (!a->busy) {
      begin(a);
    } else if (a->at == a->todo.n) {
      end(a);
    } else {
      const struct scale_step* s = &a->todo.steps[a->at];
      struct lock* l = find(s->lock);
      if (s->taken) runs = try_take(l, a);
      else give(l, a);
    }
    if (runs) push(a);
  }
}

/* What came of it */

struct report {
  const char* name;
  uint64_t taken, found_held, waited, busiest;
};

static void add_lock(struct report* reports, unsigned* n,
                     const struct lock* l) {
  const char* name = scale_lock_name(l->address);
  unsigned i = 0;
  while (i < *n && strcmp(reports[i].name, name) != 0) i++;
  if (i == *n) reports[(*n)++] = (struct report){ name, 0, 0, 0, 0 };
  reports[i].taken += l->taken;
  reports[i].found_held += l->found_held;
  reports[i].waited += l->waited;
  if (l->held > reports[i].busiest) reports[i].busiest = l->held;
}

static void print_locks(void) {
  static struct report reports[64];
  unsigned n = 0;
  for (unsigned i = 0; i < 4096; i++)
    if (locks[i].taken > 0 && n < 63) add_lock(reports, &n, &locks[i]);
  printf("\"locks\": {");
  for (unsigned i = 0; i < n; i++)
    printf("%s\"%s\": {\"taken\": %llu, \"found_held\": %llu, "
           "\"waited\": %llu, \"busy\": %.6f}",
           i > 0 ? ", " : "", reports[i].name,
           (unsigned long long)reports[i].taken,
           (unsigned long long)reports[i].found_held,
           (unsigned long long)reports[i].waited,
           (double)reports[i].busiest / (double)(until - from));
  printf("}");
}

static void print_calls(void) {
  const char* separator = "";
  printf("\"calls\": {");
  for (int put = 0; put < 2; put++)
    for (int k = 0; k < KINDS; k++) {
      const struct sum* s = &sums[put][k];
      printf("%s\"%s %s\": {\"n\": %llu, \"waited\": %llu, \"work\": %llu, "
             "\"wait\": %llu}", separator, put ? "put" : "get", kinds[k],
             (unsigned long long)s->n, (unsigned long long)s->waited,
             (unsigned long long)s->work, (unsigned long long)s->wait);
      separator = ", ";
    }
  printf("}, ");
}

static uint64_t random_below(uint64_t* state, uint64_t n) {
  *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's */
  return n == 0 ? 0 : (*state >> 16) % n;
}

static void add_actor(const struct trace* trace, uint64_t time) {
  struct actor* a = &actors[n_actors];
  a->number = (int)n_actors++;
  a->trace = trace;
  a->time = time;
  if (trace != NULL) a->blocks = calloc(trace->blocks, sizeof(void*));
  scale_need(trace == NULL || a->blocks != NULL, "no memory");
  push(a);
}

int main(int argc, char** argv) {
  unsigned domains = argc > 4 ? (unsigned)atoi(argv[1]) : 0;
  int n_traces = argc - 4;
  struct trace traces[64];
  uint64_t random;
  scale_need(domains > 0 && domains <= MOST_DOMAINS && n_traces <= 64,
             "DOMAINS SEED TRANSFER TRACE...");
  random = strtoull(argv[2], NULL, 10);
  transfer = strtoull(argv[3], NULL, 10);
  for (int i = 0; i < n_traces; i++) {
    traces[i] = read_trace(argv[4 + i]);
    if (traces[i].length > from) from = traces[i].length;
  }
  until = 2 * from;
  scale_create();
  start = scale_now();
  for (unsigned d = 0; d < domains; d++)
    add_actor(&traces[d % (unsigned)n_traces], random_below(&random, from));
  add_actor(NULL, 0);
  simulate();
  printf("{\"domains\": %u, \"gaps\": %llu, \"foreign\": %llu, ", domains,
         (unsigned long long)gaps, (unsigned long long)foreign);
  print_calls();
  print_locks();
  puts("}");
  return 0;
}
