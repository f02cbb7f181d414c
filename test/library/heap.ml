(* The heap's statistics, knobs and giving back, on a live heap. *)
open Runtime_jemalloc

let mib = 1 lsl 20
let page = Mallctl.(get Size "arenas.page")
let least = min page 32768 (* free pools are no larger *)

(* Two statistics are read one after the other. *)
let near what a b =
  if abs (a - b) > 8 * 32768 then
    failwith (Printf.sprintf "%s: %d and %d" what a b)

let grow n = List.init n (fun i -> Some (ref i))

let consistent () =
  let s = statistics () in
  let words = (Gc.quick_stat ()).heap_words * 8 in
  near "pools and large blocks are the heap" (s.pools + s.large_blocks) words;
  near "in_use" (in_use ()) (s.pools + s.large_blocks);
  assert (s.pools mod 32768 = 0);
  assert (s.allocated >= s.pools + s.large_blocks - 2 * 32768);
  assert (s.active >= s.allocated);
  assert (s.active mod least = 0 && s.dirty mod least = 0
    && s.muzzy mod least = 0);
  assert (s.resident >= s.active + s.dirty + s.muzzy);
  assert (s.resident <= s.active + s.dirty + s.muzzy + s.metadata + 64 * page);
  assert (s.address_space >= s.mapped);
  near "address space" s.address_space (s.mapped + s.retained);
  assert (s.alloc.bytes - s.dalloc.bytes - s.destroy.bytes = s.address_space);
  assert (s.alloc.calls > 0 && s.alloc.nanoseconds > 0);
  assert (s.dirty_decay_ms = Knob.(get dirty_decay_ms));
  s

let giving_back () =
  Knob.(set dirty_decay_ms (-1));
  Knob.(set muzzy_decay_ms 1000);
  let l = ref (grow 2_000_000) in
  ignore (Sys.opaque_identity !l);
  let full = consistent () in
  assert (full.pools > 64 * mib);
  l := [];
  Gc.full_major ();
  let freed = consistent () in
  assert (freed.dirty > 48 * mib && freed.dirty_extents > 0);
  purge ~lazily:true ();
  let lazily = consistent () in
  assert (lazily.dirty = 0 && lazily.muzzy > 48 * mib);
  assert (lazily.muzzy_extents > 0);
  assert (lazily.purge_lazy.bytes - freed.purge_lazy.bytes > 48 * mib);
  assert (lazily.purge_lazy.nanoseconds > freed.purge_lazy.nanoseconds);
  assert (lazily.dirty_purged - freed.dirty_purged > 48 * mib);
  assert (lazily.dirty_purge_calls > freed.dirty_purge_calls);
  purge ();
  let back = consistent () in
  assert (back.dirty = 0 && back.muzzy = 0 && back.resident < 16 * mib);
  assert (back.retained > 48 * mib && back.retained_extents > 0);
  assert (back.decommit.bytes - lazily.decommit.bytes > 48 * mib);
  decay ();
  Knob.(set dirty_decay_ms 1000)

let knobs () =
  let all = Knob.all () in
  List.iter
    (fun (k : Knob.description) ->
       assert (k.help <> "" && k.least <= k.default && k.default <= k.greatest))
    all;
  assert (List.map (fun (k : Knob.description) -> k.name) all
          = [ "dirty_decay_ms"; "muzzy_decay_ms"; "background_purge";
              "compact_purge"; "thp"; "heap_limit"; "memory_limit";
              "memory_limit_cpu"; "idle_compact_ms"; "idle_pause_ms";
              "idle_slices"; "max_overhead"; "overhead_pause_ms";
              "malloc_trim"; "pressure"; "fork_share"; "heap_stats" ]);
  let dirty = List.hd all in
  assert (dirty.unit = "ms" && dirty.words = [ "never", -1 ] && dirty.any_time);
  Knob.(set dirty_decay_ms 5);
  assert (Knob.(get dirty_decay_ms) = 5 && (statistics ()).dirty_decay_ms = 5);
  assert ((List.hd (Knob.all ())).value = 5);
  Knob.(set muzzy_decay_ms 7);
  assert (Knob.(get muzzy_decay_ms) = 7);
  Knob.(set background_purge false);
  assert (not Knob.(get background_purge));
  Knob.(set background_purge true);
  Knob.(set compact_purge Lazy);
  assert (Knob.(get compact_purge) = Knob.Lazy);
  Knob.(set compact_purge Forced);
  assert (Knob.(get thp) = Knob.System);
  Knob.(set idle_compact_ms (-1));
  assert (Knob.(get idle_compact_ms) = -1);
  Knob.(set idle_pause_ms 1);
  assert (Knob.(get idle_pause_ms) = 1);
  assert (Knob.(get heap_stats) = Knob.Off);
  let wrong f message =
    match f () with
    | () -> failwith ("no exception: " ^ message)
    | exception Invalid_argument m ->
      if m <> "Runtime_jemalloc.Knob.set: " ^ message then failwith m in
  wrong (fun () -> Knob.(set dirty_decay_ms (-2)))
    "dirty_decay_ms=-2: it takes -1 to 2147483647 ms, never";
  wrong (fun () -> Knob.(set thp Never))
    "thp=0: only OCAMLRUNPARAM sets it";
  wrong (fun () -> Knob.(set heap_limit (-1)))
    "heap_limit=-1: it takes 0 to 4611686018427387903 bytes, none";
  assert (Knob.(get dirty_decay_ms) = 5);
  Knob.(set dirty_decay_ms 1000)

let limit () =
  assert (pressure () = 0.);
  Knob.(set heap_limit (64 * mib));
  assert (pressure () > 0. && pressure () < 0.5);
  let calls = ref 0 and cache = ref (grow 500_000) in
  let hook = on_limit ~above:0.75 (fun () -> incr calls; cache := []) in
  let l = ref [] in
  (match while true do l := Some (ref 0) :: !l done with
   | () -> assert false
   | exception Out_of_memory -> ());
  assert (!calls >= 1 && !cache = []);
  assert (pressure () <= 1.1);
  l := [];
  remove hook;
  remove hook;
  Knob.(set heap_limit 0);
  Gc.full_major ();
  let before = !calls in
  Knob.(set heap_limit mib);
  Gc.major ();
  Knob.(set heap_limit 0);
  assert (!calls = before);
  ignore (Sys.opaque_identity (grow 2_000_000))

let () =
  assert available;
  assert (String.starts_with ~prefix:"5." (jemalloc_version ()));
  ignore (consistent ());
  knobs ();
  giving_back ();
  limit ();
  ignore (consistent ())
