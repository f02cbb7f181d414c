(** The major heap of a program that runs on the runtime variant [_jemalloc].

    A program that uses this library links and runs with OCaml's own runtime
    too: there {!available} is [false], and every function raises
    {!Unavailable}.

    All functions may be called from any domain and thread, from finalisers
    ([Gc.finalise]), signal handlers, [Gc] alarms and forked children. Those
    that may wait for the kernel let other threads and domains run meanwhile.
    Sizes are in bytes, [max_int] if they are more; times in milliseconds. *)

val available : bool
(** Does the program run on this runtime? False too if this library was built
    for another version of it. *)

exception Unavailable
(** The program does not run on this runtime. *)

val jemalloc_version : unit -> string
(** The jemalloc under the heap, as it names itself:
    ["5.3.1-0-g81034ce"]. *)

(** {1 Statistics} *)

(** What one extent hook did: calls that succeeded, their bytes (0 for splits
    and merges), calls that failed, and the time spent in the kernel by both. *)
type hook = { calls : int; bytes : int; failures : int; nanoseconds : int }

(** Pools, in use and free, are counted at one moment. What jemalloc counts
    (from [allocated] to [resident], extents and purges) is of about that
    moment, unless others keep calling {!Mallctl.refresh}: blocks of other
    domains may come and go while it adds up. In any case [allocated >= pools +
    large_blocks + shared]. Purges and hooks count from the start of the
    program; a forked child goes on from its parent's. *)
type statistics = {
  pools : int;  (** pools in use *)
  large_blocks : int;  (** large blocks in use *)
  shared : int;  (** in both, set apart at a fork, and not counted there *)
  allocated : int;  (** all three, with what jemalloc rounds them up to *)
  active : int;  (** in pages that hold some of it *)
  dirty : int;  (** in pages freed and not purged *)
  cached : int;
      (** of that, in blocks of 4 to 14 KiB kept for the next *)
  muzzy : int;  (** in pages purged lazily and not by force *)
  retained : int;  (** address space without pages, kept for later *)
  metadata : int;  (** jemalloc's own data for this heap *)
  mapped : int;  (** address space with pages or in use *)
  resident : int;
      (** active, dirty, muzzy and metadata: at most what is resident, since a
          page that was never written is not, and a muzzy one may be gone *)
  address_space : int;  (** mapped by the hooks and not unmapped *)
  dirty_extents : int;
      (** jemalloc's, of dirty pages. Free pools beside pools in use, and free
          pages of frames, count in [dirty], [muzzy] and [retained], but not in
          the extents; nor in the purges: theirs are in [decommit] and
          [purge_lazy] *)
  muzzy_extents : int;
  retained_extents : int;
  dirty_purges : int;  (** sweeps over the dirty pages *)
  dirty_purge_calls : int;  (** extents that they purged *)
  dirty_purged : int;  (** bytes that they purged *)
  muzzy_purges : int;  (** the same over the muzzy pages *)
  muzzy_purge_calls : int;
  muzzy_purged : int;
  cache_hits : int;  (** blocks of 4 to 14 KiB that were found among those
          kept; since OCaml 5.2 they lie in pools *)
  cache_misses : int;  (** others of that size *)
  decay_stretch : int;
      (** how many times longer than asked for free pages stay, since purging
          in vain took more than 2% of the time; 1: just as long *)
  heap_limit : int;  (** the knob; 0: none *)
  memory_limit : int;  (** in force, of what the process takes; 0: none *)
  refused_threads : int;
      (** how often the system refused to make a thread of the runtime's,
          without which memory goes back only while the program runs *)
  idle_collections : int;  (** collections of an idle program *)
  idle_given_up : int;  (** others, which it came back in *)
  idle_compactions : int;  (** collections that ended with a compaction *)
  idle_returned : int;  (** bytes given back by collections *)
  idle_time : int;  (** ns of their thread, the others' too *)
  longest_delay : int;
      (** ns that the program, coming back, waited for one at most *)
  idle_interrupted : int;  (** slices that ended at once as it was back *)
  longest_chunk : int;
      (** words of a slice's work between two looks for that, at most *)
  overhead_compactions : int;
      (** compactions since too much of the heap was unused *)
  overhead_freed : int;  (** bytes freed by them, for the decay *)
  overhead_time : int;  (** ns that they took *)
  memory_compactions : int;  (** of these, those to keep to [memory_limit] *)
  memory_purges : int;  (** of free pages at once, to keep to it *)
  overlong_stops : int;
      (** compactions of an idle program that it waited for, coming back, for
          longer than [Xidle_pause_ms] *)
  pressure_events : int;
      (** how often memory was given back as the system was short of it *)
  surveyed_pools : int;
      (** pools whose blocks were known to a compaction before it began *)
  words_ahead : int;
      (** words of major slices' work that were done while the program waited
          ([Xidle_slices]) *)
  alloc : hook;  (** address space mapped *)
  dalloc : hook;  (** unmapped; a failure: retained *)
  destroy : hook;  (** unmapped as the heap ended *)
  commit : hook;  (** taken into use *)
  decommit : hook;  (** given back: [MADV_DONTNEED] *)
  purge_lazy : hook;  (** left to the kernel: [MADV_FREE] *)
  split : hook;  (** extents cut in two *)
  merge : hook;  (** extents made one *)
  dirty_decay_ms : int;  (** the knob; -1: never *)
  muzzy_decay_ms : int;
}

val statistics : unit -> statistics
(** Takes some 100 microseconds.
    @raise Failure if jemalloc has no memory for its statistics. *)

val in_use : unit -> int
(** Bytes in pools and large blocks: [pools + large_blocks], in nanoseconds,
    without an allocation. Exact but for blocks that other domains allocate
    meanwhile. *)

(** {1 Giving memory back} *)

val purge : ?lazily:bool -> unit -> unit
(** Gives all unused pages of the heap back to the kernel before it returns,
    some 0.1 s a GiB. With [~lazily:true] the kernel takes them when it needs
    some ([MADV_FREE]), unless [muzzy_decay_ms] is 0, as it is by default.
    Collects nothing: call
    [Gc.full_major] or [Gc.compact] for that, of which the second purges by
    itself.
    @raise Failure if jemalloc refused. *)

val decay : unit -> unit
(** Gives back the unused pages whose time has come: what happens by itself
    with [background_purge].
    @raise Failure if jemalloc refused. *)

(** {1 Forks}

    After a fork, a process and its children can share the heap as it was then:
    the collector leaves that part alone in each of them. See
    [doc/forked-workers.md]. *)

val share_heap : unit -> unit
(** From now on forks share the heap, however small it is, whatever the knob
    [fork_share] says; in children too. Best called after [Gc.compact]. *)

val unshare_heap : unit -> unit
(** Takes back into the heap what this process shares, for the collector to do
    with as with the rest, and ends two major cycles for that. From now on forks
    do as the knob says. Other processes are not concerned. *)

(** {1 Knobs}

    What [OCAMLRUNPARAM=Xname=value] sets; see runtime-jemalloc-knobs(7). *)

module Knob : sig
  type 'a t

  type compact_purge = Decay | Lazy | Forced
  type thp = Never | System | Always
  type heap_stats = Off | Table | Json

  val dirty_decay_ms : int t
  (** How long freed pages stay before they are purged; -1: for ever. *)

  val muzzy_decay_ms : int t
  (** How long pages purged lazily stay before they are purged by force; -1: for
      ever, 0: no page is purged lazily. *)

  val background_purge : bool t
  (** A thread of its own does the decay. *)

  val compact_purge : compact_purge t
  (** What the end of [Gc.compact] does with free pages. *)

  val thp : thp t
  (** Huge pages for the heap; only [OCAMLRUNPARAM] sets it. *)

  val heap_stats : heap_stats t
  (** Print the statistics on stderr at exit. *)

  val heap_limit : int t
  (** The most bytes that the heap may hold; 0: no limit. *)

  val memory_limit : int t
  (** How much memory the process may take; 0: any, -1: as its container and
      ulimit say. {!Limit} sets it too. *)

  val memory_limit_cpu : int t
  (** How much of the time collection may take to keep to that, percent. *)

  val idle_compact_ms : int t
  (** How long the program is at rest before the heap is collected and
      compacted, if enough would come back; 0: at every chance, -1: never. *)

  val idle_pause_ms : int t
  (** How long that compaction may stop a program that comes back. *)

  val idle_slices : bool t
  (** While the program waits between two pieces of work, is the next major
      slice done for it? *)

  val max_overhead : int t
  (** How much memory the heap may have beyond its blocks, in percent of them,
      before a major cycle ends with a compaction; 0: each does, 1000000: none.
      [Gc.control.max_overhead] is the same. Without effect on OCaml 5.1. *)

  val overhead_pause_ms : int t
  (** How long a compaction for [max_overhead] may stop the program: one that
      would take longer is not begun; -1: any. *)

  val malloc_trim : bool t
  (** Does the C library give back its free memory after a collection of an idle
      program and after [Gc.compact], if that is worth it? *)

  val pressure : bool t
  (** Is memory given back when the system says that it is short of it? *)

  val fork_share : int t
  (** How large a heap is at least that forks share, in bytes; -1: they share
      none. *)

  val get : 'a t -> 'a
  (** The value in force. *)

  val set : 'a t -> 'a -> unit
  (** For the whole program, at once.
      @raise Invalid_argument if the value is out of range, or if only
      [OCAMLRUNPARAM] sets this one; nothing has changed then. *)

  (** A row of the table of knobs *)
  type description = {
    name : string;
    unit : string;  (** may be empty *)
    default : int;
    least : int;
    greatest : int;
    words : (string * int) list;  (** other ways to write some values *)
    any_time : bool;  (** may {!set} change it? *)
    help : string;
    value : int;  (** in force *)
  }

  val all : unit -> description list
end

(** {1 The limit} *)

val pressure : unit -> float
(** How full the heap is: {!in_use} as a part of [heap_limit], 0. without a
    limit. Takes nanoseconds. To poll, where it suits the program: between two
    tasks, before a large allocation.

    Garbage counts until it is swept, so a high value asks for [Gc.full_major]
    first. What a program can do that stays near the limit afterwards: drop
    caches, refuse or postpone work, write a state to disk and end, or raise the
    limit with {!Knob.set}. *)

type limit_hook

val on_limit : ?above:float -> (unit -> unit) -> limit_hook
(** [on_limit ~above f] calls [f] at the end of a major cycle of this domain
    that leaves {!pressure} at [above] (default: 0.8) or more: with the garbage
    gone. Since the runtime runs such cycles before it says [Out_of_memory],
    [f] can make room in time. It is called as a [Gc] alarm is, between two
    instructions of the program; an exception that it raises is raised there. *)

val remove : limit_hook -> unit
(** It is called no more. Without effect the second time. *)

(** The limit of what the process takes: [Xmemory_limit]. See doc/limits.md. *)
module Limit : sig
  type t =
    | Unlimited
    | Auto  (** what its container and ulimit let it have, followed *)
    | Bytes of int

  val get : unit -> t
  val set : t -> unit
  (** For the whole program, from its next slice of collection on.
      @raise Invalid_argument if there are no more than 0 bytes. *)

  type state = {
    process : int;
        (** what counts: the pages of the process that belong to no file, in the
            heap or not *)
    soft : int option;  (** the limit in force; [None]: there is none *)
    hard : int option;
        (** where collection takes what time it needs, since the system kills
            the process soon after; with [Auto] only *)
    cgroup : string option;  (** the directory of the cgroup that limits *)
  }

  val state : unit -> state
  (** Looks now: some 50 microseconds. *)

  val near : unit -> float
  (** [process] as a part of [soft]; 0. without a limit. *)

  type hook

  val on_soft : ?above:float -> (unit -> unit) -> hook
  (** [on_soft ~above f] calls [f] at the end of a major cycle of this domain in
      which [process] is [above] (default: 1.) of [soft] or more, as {!on_limit}
      does. Cycles are frequent there. *)

  val on_hard : ?above:float -> (unit -> unit) -> hook
  (** The same of [hard] (default: 0.95): the last moment. *)

  val on_pressure : (unit -> unit) -> hook
  (** [on_pressure f] calls [f] at the end of the first major cycle of this
      domain after the system said that memory is short ([Xpressure]). What it
      lets go of is collected in the same turn, unless the program was idle:
      then [f] is called when it is back. *)

  val remove : hook -> unit
end

(** {1 jemalloc's own control interface}

    mallctl of jemalloc(3), typed. jemalloc knows the sizes of its values only:
    here a name that its manual documents has its documented type, and a name
    that it does not document can be read as a number and not be set. *)

module Mallctl : sig
  type _ ty =
    | Bool : bool ty
    | Int : int ty
    | Unsigned : int ty
    | Size : int ty
    | Ssize : int ty
    | Uint64 : int64 ty
    | String : string ty
    | Command : unit ty
        (** Reading or setting it does something, as ["arena.0.purge"]. *)

  type reason =
    | Unknown_name
    | Wrong_type of string  (** the right one, or ["another"] *)
    | Read_only
    | Write_only
    | Refused of string  (** why *)

  exception Error of { name : string; reason : reason }

  val get : 'a ty -> string -> 'a
  (** [get Size "stats.allocated"]. Statistics are of the last {!refresh}.
      @raise Error *)

  val set : 'a ty -> string -> 'a -> unit
  (** Of no arena are [reset], [destroy] and the extent hooks allowed. Nor may
      the heap's own be ["thread.arena"], or its decay be set: {!Knob} does.
      @raise Error *)

  val refresh : unit -> unit
  (** Takes new statistics: sets ["epoch"]. *)

  val arena : unit -> int
  (** The number of the heap's arena: the [<i>] in ["arena.<i>.purge"]. *)

  (** {2 Translated names}

      Five times as fast, and with indices that can be changed. *)

  type 'a mib

  val mib : 'a ty -> string -> 'a mib
  (** @raise Error *)

  val index : 'a mib -> int -> int -> 'a mib
  (** [index mib n i] has [i] as the [n]th number of its name, from 0:
      [index (mib Size "stats.arenas.0.pdirty") 0 3] is that of arena 3.
      @raise Invalid_argument if the name has no [n]th number, or [i < 0]. *)

  val get_mib : 'a mib -> 'a
  (** @raise Error *)

  val set_mib : 'a mib -> 'a -> unit
  (** @raise Error *)
end

val stats_print : ?options:string -> unit -> string
(** What malloc_stats_print of jemalloc(3) prints; [options] are its own: ["J"]
    is JSON, and each of [gmdablxeh] leaves something out. A few
    milliseconds. *)

val output_stats : ?options:string -> out_channel -> unit
(** The same to a channel. *)
