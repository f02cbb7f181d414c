(* Four domains allocate while another compacts, one changes every knob and one
   reads statistics.  together SECONDS *)

open Runtime_jemalloc

let until = Unix.gettimeofday () +. float_of_string Sys.argv.(1)
let going () = Unix.gettimeofday () < until

(* Blocks of every size, of which a domain can tell those of each slot *)
let allocate seed () =
  let r = Random.State.make [| seed |] in
  let slots = Array.make 2000 "" in
  let tag i = Char.chr ((i + seed * 31) land 127) in
  let rounds = ref 0 in
  while going () do
    incr rounds;
    for _ = 1 to 2000 do
      let i = Random.State.int r 2000 in
      let least = 1 lsl Random.State.int r 14 in
      slots.(i) <- String.make (least + Random.State.int r least) (tag i)
    done;
    Array.iteri
      (fun i s ->
         if not (String.for_all (( = ) (tag i)) s) then begin
           Printf.eprintf "together: slot %d of domain %d\n%!" i seed;
           Unix._exit 3
         end)
      slots;
    if Random.State.int r 20 = 0 then Array.fill slots 0 1000 ""
  done;
  !rounds

let compact () =
  let n = ref 0 in
  while going () do
    incr n;
    Gc.compact ();
    Unix.sleepf 0.01
  done;
  !n

let one_of r l = List.nth l (Random.State.int r (List.length l))

(* The heap limit stays off: what is refused memory ends. *)
let change () =
  let r = Random.State.make [| 1 |] in
  let set knob values = Knob.set knob (one_of r values) in
  let n = ref 0 in
  while going () do
    incr n;
    (match Random.State.int r 14 with
     | 0 -> set Knob.dirty_decay_ms [ -1; 0; 1; 100; 10_000 ]
     | 1 -> set Knob.muzzy_decay_ms [ -1; 0; 1; 100; 10_000 ]
     | 2 -> set Knob.background_purge [ false; true ]
     | 3 -> set Knob.compact_purge Knob.[ Decay; Lazy; Forced ]
     | 4 -> set Knob.memory_limit [ 0; -1; 1 lsl 28; 1 lsl 40 ]
     | 5 -> set Knob.memory_limit_cpu [ 10; 50; 90 ]
     | 6 -> set Knob.idle_compact_ms [ -1; 0; 1; 100 ]
     | 7 -> set Knob.idle_pause_ms [ 1; 50; 300 ]
     | 8 -> set Knob.idle_slices [ false; true ]
     | 9 -> set Knob.max_overhead [ 0; 50; 500; 1_000_000 ]
     | 10 -> set Knob.overhead_pause_ms [ -1; 1; 100 ]
     | 11 -> set Knob.malloc_trim [ false; true ]
     | 12 -> set Knob.pressure [ false; true ]
     | _ -> set Knob.fork_share [ -1; 0; 1 lsl 30 ]);
    Unix.sleepf 0.001
  done;
  !n

let read () =
  let n = ref 0 in
  while going () do
    incr n;
    let s = statistics () in
    if s.allocated < s.pools + s.large_blocks + s.shared then begin
      Printf.eprintf "together: allocated %d < pools %d + large %d\n%!"
        s.allocated s.pools s.large_blocks;
      Unix._exit 3
    end;
    ignore (Gc.quick_stat () : Gc.stat);
    ignore (Limit.state () : Limit.state);
    Unix.sleepf 0.001
  done;
  !n

let () =
  let others = List.map Domain.spawn [ compact; change; read ] in
  let ours = List.init 3 (fun i -> Domain.spawn (allocate (i + 2))) in
  let rounds = allocate 1 () in
  let rounds = List.fold_left (fun n d -> n + Domain.join d) rounds ours in
  match List.map Domain.join others with
  | [ compactions; changes; readings ] ->
    Printf.printf "%d rounds, %d compactions, %d changes, %d readings\n" rounds
      compactions changes readings
  | _ -> assert false
