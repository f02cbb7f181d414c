external is_available : unit -> bool = "runtime_jemalloc_available"

let available = is_available ()

exception Unavailable

let need () = if not available then raise Unavailable

(* Statistics *)

type hook = { calls : int; bytes : int; failures : int; nanoseconds : int }

type statistics = {
  pools : int;
  large_blocks : int;
  shared : int;
  allocated : int;
  active : int;
  dirty : int;
  cached : int;
  muzzy : int;
  retained : int;
  metadata : int;
  mapped : int;
  resident : int;
  address_space : int;
  dirty_extents : int;
  muzzy_extents : int;
  retained_extents : int;
  dirty_purges : int;
  dirty_purge_calls : int;
  dirty_purged : int;
  muzzy_purges : int;
  muzzy_purge_calls : int;
  muzzy_purged : int;
  cache_hits : int;
  cache_misses : int;
  decay_stretch : int;
  heap_limit : int;
  memory_limit : int;
  refused_threads : int;
  idle_collections : int;
  idle_given_up : int;
  idle_compactions : int;
  idle_returned : int;
  idle_time : int;
  longest_delay : int;
  idle_interrupted : int;
  longest_chunk : int;
  overhead_compactions : int;
  overhead_freed : int;
  overhead_time : int;
  memory_compactions : int;
  memory_purges : int;
  overlong_stops : int;
  pressure_events : int;
  surveyed_pools : int;
  words_ahead : int;
  alloc : hook;
  dalloc : hook;
  destroy : hook;
  commit : hook;
  decommit : hook;
  purge_lazy : hook;
  split : hook;
  merge : hook;
  dirty_decay_ms : int;
  muzzy_decay_ms : int;
}

external in_use_unchecked : unit -> int = "runtime_jemalloc_in_use" [@@noalloc]

let in_use () = need (); in_use_unchecked ()

(* Giving memory back *)

external purge_unchecked : bool -> bool = "runtime_jemalloc_purge"
external decay_unchecked : unit -> bool = "runtime_jemalloc_decay"

let purge ?(lazily = false) () =
  need ();
  if not (purge_unchecked lazily) then
    failwith "Runtime_jemalloc.purge: jemalloc refused"

let decay () =
  need ();
  if not (decay_unchecked ()) then
    failwith "Runtime_jemalloc.decay: jemalloc refused"

(* Forks *)

external share_unchecked : bool -> unit = "runtime_jemalloc_share" [@@noalloc]

let share_heap () =
  need ();
  share_unchecked true

(* The marking of a cycle prepares it, and its end gives the heap back.  That of
   the one under way may have begun before. *)
let unshare_heap () =
  need ();
  share_unchecked false;
  Gc.major ();
  Gc.major ()

(* Knobs *)

module Knob = struct
  type row = {
    row_name : string;
    row_unit : string;
    row_default : int;
    row_least : int;
    row_greatest : int;
    row_words : string;
    row_any_time : bool;
    row_help : string;
  }

  external count : unit -> int = "runtime_jemalloc_knob_count"
  external row : int -> row = "runtime_jemalloc_knob"
  external get_unchecked : int -> int = "runtime_jemalloc_knob_get" [@@noalloc]

  (* "", or what is wrong *)
  external set_unchecked : int -> int -> string = "runtime_jemalloc_knob_set"

  type 'a t = {
    index : int;  (** in the runtime's table *)
    of_int : int -> 'a;
    to_int : 'a -> int;
  }

  type compact_purge = Decay | Lazy | Forced
  type thp = Never | System | Always
  type heap_stats = Off | Table | Json

  (* Not lazy: two domains may want it at once. *)
  let rows = if available then Array.init (count ()) row else [||]

  let index_of name =
    let rec find i = if rows.(i).row_name = name then i else find (i + 1) in
    if available then find 0 else -1

  let knob of_int to_int name = { index = index_of name; of_int; to_int }

  let choice values =
    knob (fun n -> values.(n))
      (fun v ->
         let rec find i = if values.(i) = v then i else find (i + 1) in
         find 0)

  let number = knob Fun.id Fun.id
  let dirty_decay_ms = number "dirty_decay_ms"
  let muzzy_decay_ms = number "muzzy_decay_ms"
  let background_purge = choice [| false; true |] "background_purge"
  let compact_purge = choice [| Decay; Lazy; Forced |] "compact_purge"
  let thp = choice [| Never; System; Always |] "thp"
  let heap_stats = choice [| Off; Table; Json |] "heap_stats"
  let heap_limit = number "heap_limit"
  let memory_limit = number "memory_limit"
  let memory_limit_cpu = number "memory_limit_cpu"
  let idle_compact_ms = number "idle_compact_ms"
  let idle_pause_ms = number "idle_pause_ms"
  let idle_slices = choice [| false; true |] "idle_slices"
  let max_overhead = number "max_overhead"
  let overhead_pause_ms = number "overhead_pause_ms"
  let malloc_trim = choice [| false; true |] "malloc_trim"
  let pressure = choice [| false; true |] "pressure"
  let fork_share = number "fork_share"

  let index knob = need (); knob.index

  let get knob = knob.of_int (get_unchecked (index knob))

  let set knob value =
    let wrong = set_unchecked (index knob) (knob.to_int value) in
    if wrong <> "" then invalid_arg ("Runtime_jemalloc.Knob.set: " ^ wrong)

  type description = {
    name : string;
    unit : string;
    default : int;
    least : int;
    greatest : int;
    words : (string * int) list;
    any_time : bool;
    help : string;
    value : int;
  }

  (* "word=value word=value" *)
  let words text =
    List.filter_map
      (fun word ->
         match String.split_on_char '=' word with
         | [ word; value ] -> Some (word, int_of_string value)
         | _ -> None)
      (String.split_on_char ' ' text)

  let describe i row =
    { name = row.row_name; unit = row.row_unit; default = row.row_default;
      least = row.row_least; greatest = row.row_greatest;
      words = words row.row_words; any_time = row.row_any_time;
      help = row.row_help; value = get_unchecked i }

  let all () =
    need ();
    Array.to_list (Array.mapi describe rows)
end

(* In the order of the runtime's table, then four for each hook *)
external statistics_unchecked : unit -> int array
  = "runtime_jemalloc_statistics"

let statistics () =
  need ();
  let s = statistics_unchecked () in
  let hook n =
    let i = 45 + 4 * n in
    { calls = s.(i); bytes = s.(i + 1); failures = s.(i + 2);
      nanoseconds = s.(i + 3) } in
  { pools = s.(0); large_blocks = s.(1); shared = s.(2); allocated = s.(3);
    active = s.(4); dirty = s.(5); cached = s.(6); muzzy = s.(7);
    retained = s.(8); metadata = s.(9); mapped = s.(10); resident = s.(11);
    address_space = s.(12); dirty_extents = s.(13); muzzy_extents = s.(14);
    retained_extents = s.(15); dirty_purges = s.(16);
    dirty_purge_calls = s.(17); dirty_purged = s.(18); muzzy_purges = s.(19);
    muzzy_purge_calls = s.(20); muzzy_purged = s.(21); cache_hits = s.(22);
    cache_misses = s.(23); decay_stretch = s.(24); heap_limit = s.(25);
    memory_limit = s.(26); refused_threads = s.(27); idle_collections = s.(28);
    idle_given_up = s.(29); idle_compactions = s.(30); idle_returned = s.(31);
    idle_time = s.(32); longest_delay = s.(33); idle_interrupted = s.(34);
    longest_chunk = s.(35); overhead_compactions = s.(36);
    overhead_freed = s.(37); overhead_time = s.(38);
    memory_compactions = s.(39); memory_purges = s.(40);
    overlong_stops = s.(41); pressure_events = s.(42); surveyed_pools = s.(43);
    words_ahead = s.(44);
    alloc = hook 0; dalloc = hook 1; destroy = hook 2; commit = hook 3;
    decommit = hook 4; purge_lazy = hook 5; split = hook 6; merge = hook 7;
    dirty_decay_ms = Knob.(get dirty_decay_ms);
    muzzy_decay_ms = Knob.(get muzzy_decay_ms) }

(* The limit *)

let pressure () =
  match Knob.(get heap_limit) with
  | 0 -> 0.
  | limit -> float (in_use ()) /. float limit

type limit_hook = Gc.alarm

let on_limit ?(above = 0.8) f =
  need ();
  Gc.create_alarm (fun () -> if pressure () >= above then f ())

let remove = Gc.delete_alarm

module Limit = struct
  type t = Unlimited | Auto | Bytes of int

  let get () =
    match Knob.(get memory_limit) with
    | 0 -> Unlimited
    | n when n < 0 -> Auto
    | n -> Bytes n

  let set = function
    | Unlimited -> Knob.(set memory_limit 0)
    | Auto -> Knob.(set memory_limit (-1))
    | Bytes n when n > 0 -> Knob.(set memory_limit n)
    | Bytes _ ->
      invalid_arg "Runtime_jemalloc.Limit.set: Bytes takes 1 and more"

  type state = {
    process : int;
    soft : int option;
    hard : int option;
    cgroup : string option;
  }

  (* Looks now, or tells of the last look; with [max_int] for no limit, and ""
     for no cgroup *)
  external state_unchecked : bool -> int * int * int * string * int
    = "runtime_jemalloc_memory"

  let state () =
    need ();
    let process, soft, hard, cgroup, _ = state_unchecked true in
    let limit n = if n = max_int then None else Some n in
    { process; soft = limit soft; hard = limit hard;
      cgroup = (if cgroup = "" then None else Some cgroup) }

  let part process = function
    | None -> 0.
    | Some limit -> float process /. float (max 1 limit)

  let near () =
    let s = state () in
    part s.process s.soft

  type hook = Gc.alarm

  (* At the end of a major cycle *)
  let watch limit above f =
    need ();
    Gc.create_alarm (fun () ->
      let s = state () in
      if part s.process (limit s) >= above then f ())

  let on_soft ?(above = 1.0) f = watch (fun s -> s.soft) above f
  let on_hard ?(above = 0.95) f = watch (fun s -> s.hard) above f

  let pressure_events () =
    need ();
    let _, _, _, _, events = state_unchecked false in
    events

  let on_pressure f =
    let seen = ref (pressure_events ()) in
    Gc.create_alarm (fun () ->
      let events = pressure_events () in
      if events > !seen then begin
        seen := events;
        f ()
      end)

  let remove = Gc.delete_alarm
end

(* jemalloc's own control interface *)

module Mallctl = struct
  type _ ty =
    | Bool : bool ty
    | Int : int ty
    | Unsigned : int ty
    | Size : int ty
    | Ssize : int ty
    | Uint64 : int64 ty
    | String : string ty
    | Command : unit ty

  type reason =
    | Unknown_name
    | Wrong_type of string
    | Read_only
    | Write_only
    | Refused of string

  exception Error of { name : string; reason : reason }

  let string_of_reason = function
    | Unknown_name -> "jemalloc knows no such name"
    | Wrong_type right -> "wrong type, it is " ^ right
    | Read_only -> "it can only be read"
    | Write_only -> "it can only be set"
    | Refused why -> "refused: " ^ why

  let () =
    Printexc.register_printer (function
      | Error { name; reason } ->
        Some (Printf.sprintf "Runtime_jemalloc.Mallctl.Error: %s: %s" name
                (string_of_reason reason))
      | _ -> None)

  let error name reason = raise (Error { name; reason })

  let string_of_ty : type a. a ty -> string = function
    | Bool -> "Bool"
    | Int -> "Int"
    | Unsigned -> "Unsigned"
    | Size -> "Size"
    | Ssize -> "Ssize"
    | Uint64 -> "Uint64"
    | String -> "String"
    | Command -> "Command"

  type documented = Is : 'a ty -> documented | Not_offered

  (* The names that jemalloc(3) of 5.3.1 documents, # for a number.  Not
     offered: values that are pointers, and thread caches: the heap uses none,
     and jemalloc 5.3.1 crashes where there is none. *)
  let documented = [
      Is Bool,
      "background_thread config.cache_oblivious config.debug config.fill \
       config.lazy_lock config.prof config.prof_libgcc config.prof_libunwind \
       config.stats config.utrace config.xmalloc opt.abort opt.confirm_conf \
       opt.abort_conf opt.cache_oblivious opt.trust_madvise opt.retain \
       opt.background_thread opt.stats_print opt.zero opt.utrace opt.xmalloc \
       opt.tcache opt.prof opt.prof_active opt.prof_thread_active_init \
       opt.prof_accum opt.prof_pid_namespace opt.prof_gdump opt.prof_final \
       opt.prof_leak opt.prof_leak_error opt.disable_large_size_classes \
       thread.prof.active arena.#.initialized \
       prof.thread_active_init prof.active prof.gdump";
      Is Unsigned,
      "opt.narenas opt.prof_bt_max opt.debug_double_free_max_scan \
       thread.arena arenas.narenas arenas.nbins arenas.nhbins \
       arenas.bin.#.nregs arenas.nlextents arenas.create \
       stats.arenas.#.nthreads";
      Is Size,
      "max_background_threads opt.oversize_threshold \
       opt.max_background_threads opt.lg_extent_max_active_fit opt.tcache_max \
       opt.lg_prof_sample opt.process_madvise_max_batch \
       arena.#.retain_grow_limit arenas.quantum arenas.page arenas.hugepage \
       arenas.tcache_max arenas.bin.#.size arenas.bin.#.slab_size \
       arenas.lextent.#.size prof.reset prof.lg_sample \
       approximate_stats.active stats.allocated stats.active stats.metadata \
       stats.metadata_thp stats.resident stats.mapped stats.retained \
       stats.zero_reallocs stats.background_thread.num_threads \
       stats.arenas.#.pactive stats.arenas.#.pdirty stats.arenas.#.pmuzzy \
       stats.arenas.#.mapped stats.arenas.#.retained \
       stats.arenas.#.extent_avail stats.arenas.#.base \
       stats.arenas.#.internal stats.arenas.#.metadata_thp \
       stats.arenas.#.resident stats.arenas.#.small.allocated \
       stats.arenas.#.large.allocated stats.arenas.#.bins.#.curregs \
       stats.arenas.#.bins.#.curslabs stats.arenas.#.bins.#.nonfull_slabs \
       stats.arenas.#.extents.#.ndirty stats.arenas.#.extents.#.nmuzzy \
       stats.arenas.#.extents.#.nretained \
       stats.arenas.#.extents.#.dirty_bytes \
       stats.arenas.#.extents.#.muzzy_bytes \
       stats.arenas.#.extents.#.retained_bytes \
       stats.arenas.#.lextents.#.curlextents";
      Is Ssize,
      "opt.dirty_decay_ms opt.muzzy_decay_ms opt.lg_prof_interval \
       arena.#.dirty_decay_ms arena.#.muzzy_decay_ms arenas.dirty_decay_ms \
       arenas.muzzy_decay_ms stats.arenas.#.dirty_decay_ms \
       stats.arenas.#.muzzy_decay_ms";
      Is Uint64,
      "epoch opt.stats_interval thread.allocated thread.deallocated \
       thread.peak.read prof.interval stats.background_thread.num_runs \
       stats.background_thread.run_interval stats.arenas.#.uptime \
       stats.arenas.#.dirty_npurge stats.arenas.#.dirty_nmadvise \
       stats.arenas.#.dirty_purged stats.arenas.#.muzzy_npurge \
       stats.arenas.#.muzzy_nmadvise stats.arenas.#.muzzy_purged \
       stats.arenas.#.small.nmalloc stats.arenas.#.small.ndalloc \
       stats.arenas.#.small.nrequests stats.arenas.#.small.nfills \
       stats.arenas.#.small.nflushes stats.arenas.#.large.nmalloc \
       stats.arenas.#.large.ndalloc stats.arenas.#.large.nrequests \
       stats.arenas.#.large.nfills stats.arenas.#.large.nflushes \
       stats.arenas.#.bins.#.nmalloc stats.arenas.#.bins.#.ndalloc \
       stats.arenas.#.bins.#.nrequests stats.arenas.#.bins.#.nfills \
       stats.arenas.#.bins.#.nflushes stats.arenas.#.bins.#.nslabs \
       stats.arenas.#.bins.#.nreslabs stats.arenas.#.lextents.#.nmalloc \
       stats.arenas.#.lextents.#.ndalloc stats.arenas.#.lextents.#.nrequests";
      Is String,
      "version config.malloc_conf opt.metadata_thp opt.dss opt.percpu_arena \
       opt.stats_print_opts opt.stats_interval_opts opt.junk opt.thp \
       opt.prof_prefix opt.zero_realloc thread.prof.name arena.#.dss \
       prof.dump prof.prefix stats.arenas.#.dss";
      Is Command,
      "thread.peak.reset thread.idle arena.#.decay \
       arena.#.purge stats.mutexes.reset";
      Not_offered,
      "arenas.lookup thread.allocatedp thread.deallocatedp \
       thread.tcache.enabled thread.tcache.flush thread.tcache.max \
       thread.tcache.ncached_max.read_sizeclass \
       thread.tcache.ncached_max.write tcache.create tcache.flush \
       tcache.destroy arena.#.name arena.#.extent_hooks"
    ]

  (* Only read once it is there: domains need no lock. *)
  let types =
    let table = Hashtbl.create 300 in
    List.iter
      (fun (ty, names) ->
         List.iter (fun name -> Hashtbl.replace table name ty)
           (String.split_on_char ' ' names))
      documented;
    table

  let is_number part =
    part <> "" && String.for_all (fun c -> c >= '0' && c <= '9') part

  (* jemalloc takes "+0" and "0x" for the number 0. *)
  let is_odd_number part =
    part <> "" && String.contains "0123456789+- \t\n\011\012\r" part.[0]
    && not (is_number part)

  (* Those of a mutex, which it documents once for all of them *)
  let counter_type parts =
    if not (List.mem "mutexes" parts || List.mem "mutex" parts) then None
    else
      match List.nth parts (List.length parts - 1) with
      | "num_ops" | "num_spin_acq" | "num_wait" | "max_wait_time"
      | "total_wait_time" | "num_owner_switch" -> Some (Is Uint64)
      | "max_num_thds" -> Some (Is Unsigned)
      | _ -> None

  let documented_type name =
    let parts = String.split_on_char '.' name in
    let pattern =
      List.map (fun part -> if is_number part then "#" else part) parts in
    match Hashtbl.find_opt types (String.concat "." pattern) with
    | Some _ as found -> found
    | None -> counter_type parts

  type access = Get | Set

  (* Of arenas that are in use no memory can be taken away. *)
  let takes_memory name =
    match String.split_on_char '.' name with
    | [ "arena"; _; ("reset" | "destroy") ] -> true
    | _ -> false

  let check_type (type a) (ty : a ty) name access =
    if takes_memory name then
      error name (Refused "it would take memory that is in use");
    match documented_type name, access with
    | Some (Is right), _ ->
      if string_of_ty right <> string_of_ty ty then
        error name (Wrong_type (string_of_ty right))
    | Some Not_offered, _ ->
      error name (Wrong_type "a pointer or another that is not offered")
    | None, Set -> error name (Wrong_type "not documented, and not to be set")
    | None, Get ->
      match ty with
      | String | Command ->
        error name (Wrong_type "not documented, or a number")
      | _ -> ()

  (* ENOENT and the like *)
  let failed name access code =
    error name
      (match code, access with
       | "ENOENT", _ -> Unknown_name
       | "EPERM", Get -> Write_only
       | "EPERM", Set -> Read_only
       | "EINVAL", Get -> Wrong_type "another"
       | "ENOTSUP", _ ->
         Refused "a forked child would have no such threads; background_purge \
                  has one that it gets"
       | ("EINVAL" | "EFAULT"), Set -> Refused "the value is not accepted"
       | why, _ -> Refused why)

  (* [where]: a name, or the numbers of a translated one *)
  external get_unchecked : 'a ty -> 'where -> ('a, string) result
    = "runtime_jemalloc_mallctl_get"
  external set_unchecked : 'a ty -> 'where -> 'a -> (unit, string) result
    = "runtime_jemalloc_mallctl_set"
  external translate : string -> (int array, string) result
    = "runtime_jemalloc_mallctl_mib"
  external arena_unchecked : unit -> int = "runtime_jemalloc_arena"

  (* The arena whose decay it is *)
  let decays (type a) (ty : a ty) name =
    match ty, String.split_on_char '.' name with
    | Ssize, [ "arena"; n; _ ] -> int_of_string_opt n
    | _ -> None

  (* 4096 is all arenas, 4097 those destroyed.  Where jemalloc 5.3.1 has no
     value for them it reads behind its table of arenas. *)
  let check_arena name =
    match String.split_on_char '.' name with
    | [ "arena"; n; what ] ->
      let last =
        match what with
        | "dirty_decay_ms" | "muzzy_decay_ms" | "oversize_threshold" -> 4094
        | "decay" | "purge" | "dss" -> 4096
        | _ -> max_int in
      (match int_of_string_opt n with
       | Some n when n > last -> error name Unknown_name
       | _ -> ())
    | _ -> ()

  let get_at ty name where =
    check_arena name;
    match get_unchecked ty where with
    | Ok value -> value
    | Error code -> failed name Get code

  let fits (type a) (ty : a ty) (value : a) =
    match ty with
    | Unsigned -> value >= 0 && value <= 0xFFFF_FFFF
    | Size -> value >= 0
    | String -> not (String.contains value '\000')
    | _ -> true

  let takes_heap (type a) (ty : a ty) name (value : a) =
    match ty with
    | Unsigned -> name = "thread.arena" && value = arena_unchecked ()
    | _ -> false

  let set_at ty name where value =
    if not (fits ty value) then
      error name (Refused "the value is out of range");
    check_arena name;
    if decays ty name = Some (arena_unchecked ()) then
      error name (Refused "it is a knob's: Knob.set sets it");
    if takes_heap ty name value then
      error name (Refused "the heap's arena is for the heap only");
    match set_unchecked ty where value with
    | Ok () -> ()
    | Error code -> failed name Set code

  (* A name with a NUL would be cut there. *)
  let check_name name =
    need ();
    if String.contains name '\000'
    || List.exists is_odd_number (String.split_on_char '.' name) then
      error name Unknown_name

  let get ty name =
    check_name name;
    check_type ty name Get;
    get_at ty name name

  let set ty name value =
    check_name name;
    check_type ty name Set;
    set_at ty name name value

  let refresh () = set Uint64 "epoch" 1L

  let arena () = need (); arena_unchecked ()

  type 'a mib = { ty : 'a ty; name : string; numbers : int array }

  let mib ty name =
    check_name name;
    check_type ty name Get;
    match translate name with
    | Ok numbers -> { ty; name; numbers }
    | Error code -> failed name Get code

  (* The parts of a name and those of its MIB go together. *)
  let index mib n i =
    let parts = Array.of_list (String.split_on_char '.' mib.name) in
    let rec find position n =
      if position = Array.length parts then
        invalid_arg ("Runtime_jemalloc.Mallctl.index: " ^ mib.name
                     ^ " has not so many numbers")
      else if not (is_number parts.(position)) then find (position + 1) n
      else if n > 0 then find (position + 1) (n - 1)
      else position in
    if i < 0 || n < 0 then
      invalid_arg "Runtime_jemalloc.Mallctl.index: negative number";
    let position = find 0 n in
    let numbers = Array.copy mib.numbers in
    numbers.(position) <- i;
    parts.(position) <- string_of_int i;
    { mib with name = String.concat "." (Array.to_list parts); numbers }

  let get_mib mib = get_at mib.ty mib.name mib.numbers

  let set_mib mib value =
    check_type mib.ty mib.name Set;
    set_at mib.ty mib.name mib.numbers value
end

let jemalloc_version () = Mallctl.(get String "version")

external stats_print_unchecked : string -> string
  = "runtime_jemalloc_stats_print"

let stats_print ?(options = "") () = need (); stats_print_unchecked options

let output_stats ?options channel =
  output_string channel (stats_print ?options ())
