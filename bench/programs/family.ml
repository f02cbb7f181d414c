(* family SEED MIB WORKERS WORK: a parent loads MIB of state, empties its minor heap, of
   which each worker would promote its own copy, and forks WORKERS, each of which does
   WORK: [none]; [major], two major cycles; [written], a new value in one
   entry of a hundred, strewn; [write], that and the cycles; [promote], as much as the
   state is promoted and dropped, and the cycles.  Prints the PSS of the parent before,
   that of all then, MiB, and the means of what a worker's first and second cycle took,
   ms. *)

let state_entry r i = (i, Bytes.make (8 + Random.State.int r 300) 'x', [ i ])

(* PSS of a process, MiB *)
let pss pid =
  let ic = open_in (Printf.sprintf "/proc/%d/smaps_rollup" pid) in
  let rec find () =
    match Scanf.sscanf (input_line ic) "Pss: %d" Fun.id with
    | kb -> float kb /. 1024.
    | exception Scanf.Scan_failure _ -> find () in
  Fun.protect find ~finally:(fun () -> close_in ic)

let cycle () =
  let began = Unix.gettimeofday () in
  Gc.major ();
  1e3 *. (Unix.gettimeofday () -. began)

let write r state =
  for _ = 1 to Array.length state / 100 do
    let i = Random.State.int r (Array.length state) in
    state.(i) <- state_entry r i
  done

let promote r bytes =
  let kept = ref [] in
  for i = 1 to bytes / 240 do
    kept := state_entry r i :: !kept;
    if i mod 50_000 = 0 then kept := []
  done

let work r state bytes = function
  | "none" -> 0., 0.
  | "written" -> write r state; 0., 0.
  | what ->
    if what = "write" then write r state
    else if what = "promote" then promote r bytes;
    let first = cycle () in
    first, cycle ()

(* A worker, what it says when it is done, and what lets it end *)
let fork f =
  let said, say = Unix.pipe () and hear, tell = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
    Unix.close tell;
    let oc = Unix.out_channel_of_descr say in
    output_value oc (f () : float * float);
    flush oc;
    ignore (Unix.read hear (Bytes.create 1) 0 1);
    Unix._exit 0
  | pid ->
    Unix.close say;
    Unix.close hear;
    pid, Unix.in_channel_of_descr said, tell

let mean l = List.fold_left ( +. ) 0. l /. float (max 1 (List.length l))

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = Random.State.make [| arg 1 |] in
  let bytes = arg 2 lsl 20 in
  let state = Array.init (bytes / 240) (state_entry r) in
  Gc.minor ();
  let alone = pss (Unix.getpid ()) in
  let workers =
    List.init (arg 3) (fun _ -> fork (fun () -> work r state bytes Sys.argv.(4)))
  in
  let cycles = List.map (fun (_, said, _) -> (input_value said : float * float))
      workers in
  let all =
    List.fold_left (fun sum (pid, _, _) -> sum +. pss pid) (pss (Unix.getpid ()))
      workers in
  List.iter (fun (_, _, tell) -> Unix.close tell) workers;
  List.iter (fun (pid, _, _) -> ignore (Unix.waitpid [] pid)) workers;
  Printf.printf "%.1f %.1f %.2f %.2f\n" alone all (mean (List.map fst cycles))
    (mean (List.map snd cycles))
