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

/* Looks at the process when a slice of the major collector begins: as often as
   there may be something to do about it, and no thread has to wake up.  An idle
   program has given back what it can. */

#define CAML_INTERNALS

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "caml/domain.h"
#include "caml/domain_state.h"
#include "caml/fiber.h"
#include "caml/misc.h"
#include "caml/shared_heap.h"
#include "caml/signals.h"
#include "heap_collect.h"
#include "heap_cycles.h"
#include "heap_jemalloc.h"
#include "heap_leftovers.h"
#include "heap_memory.h"
#include "heap_relief.h"
#include "jemalloc_container.h"
#include "jemalloc_process.h"
#include "jemalloc_thread.h"

/* ns.  Near the limit the process is looked at when its heap has grown, or
   after NEAR; else after FAR, in which it may take memory beside its heap.  The
   limits are read once a second, and near them more often: others may be using
   them up. */
#define NEAR (5 * NS_PER_MS)
#define FAR (100 * NS_PER_MS)
#define LIMITS (1000 * NS_PER_MS)
#define LIMITS_NEAR (50 * NS_PER_MS)

/* So much of what is left may be allocated before the next look. */
#define LOOK_PART 8

/* Blocks of less than one part in so many of the limit are left to the pace. */
#define LARGE_PART 64

static struct {
  struct caml_ranked_mutex lock; /* of all but atomics */
  struct caml_memory_policy policy;
  struct caml_container container;
  const char* by; /* who sets the limit: the directory of a cgroup, the name of
                     an rlimit, or "" */
  uint64_t working; /* a bit for each domain that has allocated in the cycle, by
                       its number modulo 64 */
  size_t most, told; /* what is set there, and what was last told of it, 0 if
                        nothing was */
  uint64_t found, looked; /* when cgroups were looked for, and limits read,
                             ns */
  _Atomic uint64_t next_room; /* when garbage may be collected for a block,
                                 ns */
  _Atomic uint64_t next;  /* when the next look is due, ns */
  _Atomic size_t enough;  /* bytes in use from which on it is, too */
  _Atomic size_t left;    /* bytes allocated for which no slice has been asked
                             for yet */
  _Atomic size_t large;   /* of a block that there is to be room for, bytes */
  _Atomic bool some;      /* there is a limit */
  _Atomic bool near;      /* The process was near it when it was last seen. */
  _Atomic bool late;      /* see caml_memory_end_late_cycle */
  _Atomic bool slice_wanted; /* see caml_heap_note_grown */
  _Atomic bool exhausted, trim;
  _Atomic bool taken;     /* [exhausted], by one that looks what can be done */
  bool reported;
} memory = { .by = "" };

struct caml_memory_shown caml_memory_shown;

/* When the thread's slice began, by its CPU time, ns; 0: none has */
static _Thread_local uint64_t slice_began;

static intnat setting(void) {
  return caml_heap_knob_get(CAML_KNOB_memory_limit);
}

bool caml_memory_is_limited(void) {
  return setting() != 0;
}

bool caml_memory_is_near(void) {
  return caml_memory_is_limited() && atomic_load(&memory.near);
}

/* The limits */

static void add_bound(struct caml_memory_limits* limits, size_t process,
                      const char* by, struct caml_memory_bound bound) {
  size_t before = limits->soft;
  caml_memory_add_bound(limits, process, bound);
  if (limits->soft >= before) return;
  memory.by = by;
  memory.most = bound.most;
}

static size_t less(size_t a, size_t b) {
  return a > b ? a - b : 0;
}

/* Address space that the heap has mapped and does not use is there to be used
   again. */
static size_t reusable(void) {
  return less(caml_extents_mapped(&caml_heap.arena.extents),
              caml_heap_in_use() + atomic_load(&caml_heap.in_use.shared));
}

static void add_rlimit(struct caml_memory_limits* limits, const char* name,
                       int resource, size_t process, size_t used) {
  struct rlimit r;
  if (getrlimit(resource, &r) != 0 || r.rlim_cur == RLIM_INFINITY) return;
  add_bound(limits, process, name, (struct caml_memory_bound){
    .most = (size_t)r.rlim_cur, .used = less(used, reusable()),
    .shared = false, .kills = false
  });
}

static void add_container(struct caml_memory_limits* limits, size_t process) {
  struct caml_container_limit l = { .used = 0 };
  const struct caml_container_level* level =
    caml_container_tightest(&memory.container, &l);
  if (level == NULL) return;
  add_bound(limits, process, level->path, (struct caml_memory_bound){
    .most = l.most, .used = l.used, .shared = true, .kills = false
  });
  if (l.kills_at == CAML_NO_LIMIT) return;
  add_bound(limits, process, level->path, (struct caml_memory_bound){
    .most = l.kills_at, .used = l.used, .shared = true, .kills = true
  });
}

/* A process may be moved to another cgroup. */
static void find_container(uint64_t now) {
  if (memory.found != 0 && now < memory.found + LIMITS) return;
  memory.found = now;
  caml_container_find("", &memory.container);
}

static struct caml_memory_limits limits(const struct caml_process* p,
                                        uint64_t now) {
  intnat set = setting();
  struct caml_memory_limits l = {
    .soft = CAML_MEMORY_NO_LIMIT, .hard = CAML_MEMORY_NO_LIMIT,
    .cpu = (int)caml_heap_knob_get(CAML_KNOB_memory_limit_cpu)
  };
  if (set > 0) l.soft = (size_t)set;
  memory.by = "";
  memory.most = l.soft;
  if (set != CAML_MEMORY_LIMIT_AUTO) return l;
  find_container(now);
  add_container(&l, p->anonymous);
  add_rlimit(&l, "RLIMIT_AS", RLIMIT_AS, p->anonymous, p->address_space);
  add_rlimit(&l, "RLIMIT_DATA", RLIMIT_DATA, p->anonymous, p->data);
  return l;
}

static bool is_none(size_t limit) {
  return limit >= CAML_MEMORY_NEVER;
}

static uint64_t shown_limit(size_t limit) {
  return is_none(limit) ? UINT64_MAX : limit;
}

static bool is_of_cgroup(void) {
  return memory.by[0] == '/';
}

static const char* cgroup(void) {
  return is_of_cgroup() ? memory.by : "";
}

static void show(void) {
  const struct caml_memory_policy* p = &memory.policy;
  struct caml_memory_shown* s = &caml_memory_shown;
  s->process = p->seen.process;
  s->soft = shown_limit(p->limits.soft);
  s->hard = shown_limit(p->limits.hard);
  strcpy(s->cgroup, cgroup());
}

/* What is set, when that has changed: what it means for the process changes
   with what others take. */
static void tell_limit(void) {
  const struct caml_memory_limits* l = &memory.policy.limits;
  const char* by;
  if (memory.most == memory.told) return;
  memory.told = memory.most;
  by = is_of_cgroup() ? "cgroup " : "";
  if (is_none(l->soft))
    caml_gc_message(0x20, "Memory limit: none\n");
  else if (memory.by[0] == '\0')
    caml_gc_message(0x20, "Memory limit: %zuk\n", l->soft >> 10);
  else if (is_none(l->hard))
    caml_gc_message(0x20, "Memory limit: %zuk, of %s%s\n", l->soft >> 10, by,
                    memory.by);
  else
    caml_gc_message(0x20, "Memory limit: %zuk, %zuk hard, of %s%s\n",
                    l->soft >> 10, l->hard >> 10, by, memory.by);
}

/* A look at the process */

static void schedule(uint64_t now, size_t in_use) {
  const struct caml_memory_policy* p = &memory.policy;
  size_t soft = p->limits.soft, process = p->seen.process;
  size_t left = process < soft ? soft - process : 0;
  bool near = caml_memory_policy_is_near(p, process);
  atomic_store(&memory.enough, in_use + left / LOOK_PART);
  atomic_store(&memory.next, now + (near ? NEAR : FAR));
  atomic_store(&memory.large, soft / LARGE_PART);
  atomic_store(&memory.near, near);
  atomic_store(&memory.some, soft != CAML_MEMORY_NO_LIMIT);
}

static void look_at_limits(const struct caml_process* p, uint64_t now) {
  bool near = caml_memory_policy_is_near(&memory.policy, p->anonymous);
  if (memory.looked != 0
      && now < memory.looked + (near ? LIMITS_NEAR : LIMITS))
    return;
  memory.looked = now;
  caml_memory_policy_limit(&memory.policy, limits(p, now));
  tell_limit();
}

static size_t seen_beside_heap(void) {
  const struct caml_memory_seen* s = &memory.policy.seen;
  return less(s->process, s->in_use + s->unused);
}

/* Free pages are counted near the limit only: that takes longer than all the
   rest.  Else they are taken for what is beside the heap, which is what it was
   where the process is not known. */
static void look(uint64_t now) {
  struct caml_process p = caml_process_read();
  struct caml_memory_seen seen = {
    .now = now, .process = p.anonymous, .in_use = caml_heap_in_use()
  };
  caml_ranked_mutex_assert_held(&memory.lock);
  if (p.stale) seen.process = seen_beside_heap() + seen.in_use;
  look_at_limits(&p, now);
  if (caml_memory_policy_is_near(&memory.policy, seen.process))
    seen.unused = caml_arena_unused(&caml_heap.arena);
  if (p.stale) seen.process += seen.unused;
  caml_memory_policy_see(&memory.policy, seen);
  show();
  schedule(now, seen.in_use);
}

/* Limits too: the program's part of one is what it was when they were read. */
static void look_afresh(uint64_t now) {
  memory.looked = 0;
  look(now);
}

static bool is_due(uint64_t now) {
  return now >= atomic_load(&memory.next)
    || caml_heap_in_use() >= atomic_load(&memory.enough);
}

static void lock(void) {
  caml_ranked_mutex_lock(&memory.lock);
}

static void unlock(void) {
  caml_ranked_mutex_unlock(&memory.lock);
}

/* Slices */

/* OCaml takes the work of a cycle for the sweep of the heap and the marking of
   what lives in it, which is that part of it if [space_overhead] is what it has
   beside.  Near a limit more of it lives.  By how much is the work more? */
static double work_by_ordinary(size_t heap) {
  size_t marks = memory.policy.marked + memory.policy.allocated;
  double lives = marks < heap ? (double)marks / (double)heap : 1.0;
  double taken_for = 100.0 / (100.0 + (double)caml_percent_free);
  return (1.0 + lives) / (1.0 + taken_for);
}

/* The whole heap's work is that of all domains, of which a slice is asked for a
   part of its own. */
static double of_domain(double part) {
  size_t own = caml_heap_size(Caml_state->shared_heap);
  size_t heap = caml_heap_in_use();
  if (part == 0.0 || own == 0) return 0.0;
  return part * work_by_ordinary(heap) * (double)heap / (double)own;
}

static void give_back(bool purges) {
  if (purges) {
    caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
    atomic_fetch_add(&caml_collector.automatic.memory_purges, 1);
  }
  if (atomic_exchange(&memory.trim, false)) caml_heap_trim_malloc();
}

/* Where there is no limit one slice in so many, the first among them, looks
   whether there is one now, if that is due. */
#define SLICES 8

static bool is_left_out(void) {
  static _Atomic unsigned slices;
  return !atomic_load(&memory.some)
    && (atomic_fetch_add(&slices, 1) % SLICES != 0
        || caml_heap_now() < atomic_load(&memory.next));
}

/* Of the thread, never 0 */
static uint64_t cpu(void) {
  return caml_heap_clock(CLOCK_THREAD_CPUTIME_ID) + 1;
}

static size_t allocated(void) {
  return Bsize_wsize(Caml_state->allocated_words);
}

/* As a rule nothing: those that wait for others do many such slices. */
void caml_memory_other_slice_begins(void) {
  size_t bytes = allocated();
  if (bytes > 0 && caml_memory_is_limited() && atomic_load(&memory.some))
    atomic_fetch_add(&memory.left, bytes);
}

double caml_memory_slice_begins(void) {
  uint64_t now;
  double part;
  bool purges = false;
  slice_began = 0;
  if (!caml_memory_is_limited() || is_left_out()) return 0.0;
  slice_began = cpu();
  now = caml_heap_now();
  lock();
  if (allocated() > 0) memory.working |= (uint64_t)1 << Caml_state->id % 64;
  if (is_due(now)) {
    look(now);
    purges = caml_memory_policy_purges(&memory.policy);
  }
  part = caml_memory_policy_slice(&memory.policy, allocated()
                                  + atomic_exchange(&memory.left, 0));
  part = of_domain(part);
  unlock();
  give_back(purges);
  return part;
}

/* Is the cycle late then?  A finaliser may have forked meanwhile: the child's
   clock begins anew. */
static bool note_slice(uint64_t began) {
  uint64_t now = cpu();
  bool late;
  lock();
  if (now > began) caml_memory_policy_collected(&memory.policy, now - began);
  late = caml_memory_policy_is_late(&memory.policy);
  unlock();
  return late;
}

/* What is left to do is not this domain's, but one that waits may have to do
   it. */
static bool has_done_its_part(void) {
  return Caml_state->sweeping_done && Caml_state->marking_done
    && atomic_load(&caml_num_domains_running) > 1;
}

void caml_memory_slice_ends(void) {
  uint64_t began = slice_began;
  if (began == 0) return;
  slice_began = 0;
  if (!note_slice(began) || !has_done_its_part()) return;
  atomic_store(&memory.late, true);
  caml_set_action_pending(Caml_state);
}

/* A cycle ends when each domain has done its part.  One that waits does none
   but what minor collections have it do: so all work that the limit asks for
   was done, and the cycle goes on. */
void caml_memory_end_late_cycle(void) {
  uint64_t began;
  bool late;
  if (!atomic_load_explicit(&memory.late, memory_order_relaxed)
      || !atomic_exchange(&memory.late, false))
    return;
  began = cpu();
  lock();
  late = caml_memory_policy_is_late(&memory.policy);
  unlock();
  if (!late) return;
  caml_heap_finish_cycle(false);
  note_slice(began);
}

/* Domains that end allocate without a slice. */
void caml_heap_note_grown(void) {
  if (!caml_memory_is_limited() || !atomic_load(&memory.some)
      || caml_heap_in_use() < atomic_load(&memory.enough)
      || atomic_exchange(&memory.slice_wanted, true))
    return;
  caml_heap_interrupt_all();
}

bool caml_memory_wants_slice(void) {
  return atomic_load_explicit(&memory.slice_wanted, memory_order_relaxed)
    && atomic_exchange(&memory.slice_wanted, false);
}

/* Cycles */

static void note_exhausted(void) {
  if (!caml_memory_policy_is_exhausted(&memory.policy)) return;
  atomic_store(&memory.exhausted, true);
  caml_set_action_pending(Caml_state);
}

bool caml_memory_cycle_ended(const struct caml_overhead_measures* measures,
                             bool may_compact) {
  struct caml_memory_cycle cycle = {
    .now = caml_heap_now(), .in_use = measures->in_use,
    .blocks = measures->blocks, .marked = measures->counted,
    .lost = measures->lost, .allocated = measures->allocated,
    .may_compact = may_compact
  };
  bool compacts;
  lock();
  if (is_due(cycle.now)) look(cycle.now);
  cycle.domains = (unsigned)__builtin_popcountll(memory.working);
  memory.working = 0;
  compacts = caml_memory_policy_cycle_ended(&memory.policy, &cycle);
  atomic_store(&memory.trim, caml_memory_policy_purges(&memory.policy));
  note_exhausted();
  unlock();
  return compacts;
}

/* Large blocks */

static bool has_room(size_t size) {
  const struct caml_memory_policy* p = &memory.policy;
  size_t soft = p->limits.soft;
  return soft == CAML_MEMORY_NO_LIMIT
    || (size <= soft && p->seen.process <= soft - size);
}

static bool look_for_room(size_t size) {
  bool room;
  lock();
  look(caml_heap_now());
  room = has_room(size);
  if (!room) {
    look_afresh(caml_heap_now());
    room = has_room(size);
  }
  unlock();
  return room;
}

bool caml_memory_wants_room(size_t size) {
  if (!caml_memory_is_limited() || size < atomic_load(&memory.large)
      || look_for_room(size))
    return false;
  caml_heap_give_back(CAML_COMPACT_PURGE_FORCED);
  return !look_for_room(size)
    && caml_heap_now() >= atomic_load(&memory.next_room);
}

/* So much that it takes no more than its part of the time. */
void caml_memory_made_room(uint64_t ns) {
  uint64_t now = caml_heap_now();
  uint64_t cpu = (uint64_t)caml_heap_knob_get(CAML_KNOB_memory_limit_cpu);
  atomic_store(&memory.next_room, now + ns * (100 - cpu) / cpu);
  lock();
  look(now);
  unlock();
}

/* The program is told */

/* It may have been told since it was looked at. */
bool caml_memory_take_exhausted(void) {
  if (!atomic_load(&memory.exhausted) || atomic_exchange(&memory.taken, true))
    return false;
  if (atomic_load(&memory.exhausted)) return true;
  atomic_store(&memory.taken, false);
  return false;
}

void caml_memory_put_back(void) {
  atomic_store(&memory.taken, false);
  caml_set_action_pending(Caml_state);
}

static void print_part(const char* what, size_t bytes) {
  fprintf(stderr, "%10zu MiB %s\n", bytes >> 20, what);
}

/* That which runs, with those of the effect handlers that it is in.  A fiber
   that waits is known to the heap's blocks only. */
static size_t stack_size(void) {
  size_t size = 0;
  for (struct stack_info* s = Caml_state->current_stack; s != NULL;
       s = Stack_parent(s))
    size += (size_t)((char*)(s->handler + 1) - (char*)s);
  return size;
}

/* A stack is among what is malloc'ed: if it is large, among the large. */
static size_t print_malloced(size_t stack) {
  struct caml_heap_malloced m;
  if (!caml_heap_malloced(&m)) return stack;
  print_part("large blocks of malloc: bigarrays, C", less(m.large, stack));
  print_part("small ones: bigarrays, stacks of other fibers, C",
             less(m.small, less(stack, m.large)));
  return m.large + m.small;
}

/* What is where, by what was last seen */
struct report {
  struct caml_memory_policy policy;
  size_t stack, minor;
};

static void take_report(struct report* r) {
  caml_ranked_mutex_assert_held(&memory.lock);
  r->policy = memory.policy;
  r->stack = stack_size();
  r->minor = Bsize_wsize(Caml_state->minor_heap_wsz)
    * (size_t)atomic_load(&caml_num_domains_running);
}

static void print(const struct report* r) {
  const struct caml_memory_policy* p = &r->policy;
  size_t heap = p->seen.in_use;
  size_t known = heap + p->seen.unused + r->minor;
  fprintf(stderr, "Out of memory: the process takes %zu MiB, and may take %zu "
          "(Xmemory_limit)\n", p->seen.process >> 20, p->limits.soft >> 20);
  print_part("blocks of the major heap that live", p->marked);
  print_part("the rest of the major heap", less(heap, p->marked));
  print_part("minor heaps", r->minor);
  print_part("the stack that runs", r->stack);
  known += print_malloced(r->stack);
  print_part("the rest: stacks of threads, mapped memory",
             less(p->seen.process, known));
}

/* Who reads may be slow, and other domains work meanwhile. */
static void report(const struct report* r) {
  caml_enter_blocking_section_no_pending();
  print(r);
  caml_leave_blocking_section();
}

bool caml_memory_fits(void) {
  bool fits;
  lock();
  look(caml_heap_now());
  fits = caml_memory_policy_fits(&memory.policy);
  unlock();
  return fits;
}

void caml_memory_told(bool out_of_memory) {
  struct report r;
  bool reports;
  lock();
  reports = out_of_memory && !memory.reported;
  if (reports) take_report(&r);
  memory.reported |= reports;
  caml_memory_policy_told(&memory.policy);
  atomic_store(&memory.exhausted, false);
  atomic_store(&memory.taken, false);
  unlock();
  if (reports) report(&r);
}

void caml_memory_state(bool now, struct caml_memory_state* state) {
  lock();
  if (now) look_afresh(caml_heap_now());
  *state = (struct caml_memory_state){
    .process = memory.policy.seen.process,
    .soft = CAML_NO_LIMIT, .hard = CAML_NO_LIMIT,
    .pressure_events = caml_relief_count()
  };
  if (caml_memory_is_limited() && memory.looked != 0) {
    state->soft = memory.policy.limits.soft;
    state->hard = is_none(memory.policy.limits.hard) ? CAML_NO_LIMIT
      : memory.policy.limits.hard;
    strcpy(state->cgroup, cgroup());
  }
  unlock();
}

/* Start and forks */

static void look_at_all_again(void) {
  memory.found = memory.looked = 0;
  atomic_store(&memory.next, 0);
}

void caml_memory_look_again(void) {
  lock();
  look_at_all_again();
  caml_memory_shown = (struct caml_memory_shown){ .setting = setting() };
  unlock();
}

void caml_memory_init(void) {
  caml_ranked_mutex_init(&memory.lock, CAML_RANK_MEMORY);
}

void caml_memory_prefork(void) {
  lock();
}

void caml_memory_postfork_parent(void) {
  unlock();
}

void caml_memory_postfork_child(void) {
  caml_ranked_mutex_postfork_child(&memory.lock);
  caml_memory_policy_forked(&memory.policy);
  atomic_store(&memory.exhausted, false);
  atomic_store(&memory.taken, false);
  atomic_store(&memory.late, false);
  atomic_store(&memory.slice_wanted, false);
  atomic_store(&memory.left, 0);
  slice_began = 0;
  look_at_all_again();
}
