(* Workers of a parent that has loaded its state: what they share of it, and for
   how long.  Each case exits with 0 if all is as it should be. *)

let mb = 1 lsl 20
let size = 40 * mb
let state =
  Array.init (size / 400) (fun i -> Some (Array.make (5 + i mod 60) i))

let check name ok =
  if not ok then begin
    Printf.eprintf "process %d: not so: %s\n%!" (Unix.getpid ()) name;
    Unix._exit 1
  end

let shared () = (Runtime_jemalloc.statistics ()).shared

(* Memory that no other process has, bytes *)
let own () =
  let file = open_in "/proc/self/smaps_rollup" in
  let rec sum n =
    match input_line file with
    | exception End_of_file -> n
    | line ->
      match Scanf.sscanf line "%s %d kB" (fun name kb -> name, kb) with
      | ("Private_Dirty:" | "Private_Clean:"), kb -> sum (n + (kb lsl 10))
      | _ | exception Scanf.Scan_failure _ -> sum n in
  let n = sum 0 in
  close_in file;
  n

let worker f =
  match Unix.fork () with
  | 0 ->
    (try f () with e -> check (Printexc.to_string e) false);
    Unix._exit 0
  | pid -> pid

let wait pid =
  match Unix.waitpid [] pid with
  | _, Unix.WEXITED 0 -> ()
  | _ -> check "a worker exits with 0" false

let intact () =
  Array.iteri
    (fun i a ->
       match a with
       | Some a -> check "the state is intact" (a.(0) = i)
       | None -> check "the state is intact" false)
    state

(* None of it is copied by collections, nor by a compaction. *)
let collects () =
  let before = own () in
  Gc.full_major ();
  Gc.compact ();
  check "the state is shared" (shared () > size / 2);
  check "hardly a page is copied" (own () - before < 4 * mb);
  intact ()

let copies () =
  let before = own () in
  Gc.full_major ();
  check "nothing is set apart" (shared () = 0);
  check "all of the state is copied" (own () - before > size / 2)

(* What is written into the state lives, what is dropped there does not. *)
let writes () =
  let dropped = ref 0 in
  for i = 0 to 999 do state.(i * 100) <- Some [| i * 100; 0 |] done;
  let kept = Array.make 2 0 in
  Gc.finalise (fun _ -> incr dropped) kept;
  state.(7) <- Some (Obj.magic kept : int array);
  Gc.full_major ();
  check "what was written lives" (!dropped = 0);
  state.(7) <- Some [| 7 |];
  Gc.full_major ();
  check "what was overwritten is collected" (!dropped = 1);
  intact ()

let make_garbage () =
  for i = 1 to 40 do
    ignore (Sys.opaque_identity (List.init 100_000 (( + ) i)))
  done;
  Gc.full_major ()

(* By nobody meanwhile *)
let garbage_is_collected () =
  Gc.full_major ();
  check "garbage is collected" (Runtime_jemalloc.in_use () < 16 * mb)

(* Memory of the worker's own is collected as ever. *)
let garbage () =
  make_garbage ();
  garbage_is_collected ()

let at_once = function
  | [] -> ()
  | works -> List.iter wait (List.map worker works)

let () =
  Gc.compact ();
  match Sys.argv.(1) with
  | "collects" ->
    at_once [ collects; (fun () -> wait (worker collects); collects ()) ]
  | "copies" -> at_once [ copies ]
  | "writes" ->
    at_once [ writes; (fun () -> writes (); wait (worker collects)) ]
  | "garbage" -> at_once [ garbage ]
  | "parent" ->
    (* It has its part while it has workers, and all of the heap afterwards. *)
    let go, say = Unix.pipe () in
    let pid = worker (fun () ->
        collects ();
        ignore (Unix.read go (Bytes.create 1) 0 1)) in
    let before = own () in
    Gc.full_major ();
    check "the parent's part is set apart" (shared () > size / 2);
    check "the parent copies nothing" (own () - before < 4 * mb);
    ignore (Unix.write_substring say "." 0 1);
    wait pid;
    Gc.full_major ();
    check "the parent has it back" (shared () = 0);
    Gc.full_major ();
    intact ()
  | "exec" ->
    (* There is nobody to share with: it was never set apart for long. *)
    wait (worker (fun () -> Unix.execv "/bin/true" [| "true" |]));
    Gc.full_major ();
    check "nothing is set apart" (shared () = 0);
    intact ()
  | "asked" ->
    at_once [ copies ];
    Runtime_jemalloc.share_heap ();
    at_once [ collects ];
    Runtime_jemalloc.unshare_heap ();
    check "it is given back" (shared () = 0);
    at_once [ copies ]
  | "unshared" ->
    at_once [ (fun () ->
        collects ();
        Runtime_jemalloc.unshare_heap ();
        check "it is given back" (shared () = 0);
        Array.fill state 0 (Array.length state) None;
        Gc.full_major ();
        Gc.full_major ();
        check "and collected" (Runtime_jemalloc.in_use () < 16 * mb)) ]
  | "domains" ->
    at_once [ (fun () ->
        let others =
          List.init 2 (fun _ -> Domain.spawn make_garbage) in
        writes ();
        List.iter Domain.join others;
        garbage_is_collected ();
        collects ()) ]
  | _ -> exit 2
