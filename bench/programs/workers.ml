(* workers WORKERS TASKS MIB CALL: forked workers, each doing tasks that build a
   state of that size, keep 2.5% of it and wait a second.  CALL after each task:
   none, full_major, compact. *)

type item = { key : int; name : string; values : float list }

let state mib seed =
  let r = Random.State.make [| seed |] in
  let n = mib * 1024 * 1024 / 330 in
  let table = Hashtbl.create n in
  for key = 1 to n do
    let name = String.make (8 + Random.State.int r 193) 'x' in
    Hashtbl.replace table key { key; name; values = [ 1.; float key ] }
  done;
  let arrays = List.init 4 (fun i -> Array.make (15_000 * (i + 1)) seed) in
  table, arrays

let keep (table, _) =
  Hashtbl.fold (fun k v l -> if k mod 40 = 0 then v :: l else l) table []

let worker tasks mib call n =
  let kept = ref [] in
  for task = 1 to tasks do
    kept := [];
    kept := keep (state mib (100 * n + task));
    call ();
    Unix.sleepf 1.;
    assert (List.for_all (fun i -> i.key mod 40 = 0) !kept)
  done;
  exit 0

let () =
  let workers = int_of_string Sys.argv.(1) and tasks = int_of_string Sys.argv.(2)
  and mib = int_of_string Sys.argv.(3)
  and call = match Sys.argv.(4) with
    | "none" -> ignore
    | "full_major" -> Gc.full_major
    | "compact" -> Gc.compact
    | _ -> exit 2 in
  let began = Unix.gettimeofday () in
  let pids = List.init workers (fun n ->
      match Unix.fork () with 0 -> worker tasks mib call n | pid -> pid) in
  List.iter (fun pid -> assert (snd (Unix.waitpid [] pid) = Unix.WEXITED 0)) pids;
  let t = Unix.times () in
  Printf.printf "%.2f %.2f\n" (Unix.gettimeofday () -. began)
    (t.tms_cutime +. t.tms_cstime)
