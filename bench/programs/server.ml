(* server SEED MIB MS REQUESTS WORK: a table of about MIB, of which each request
   replaces WORK entries.  One comes each MS ms on average, at times that do not
   wait for the answers before; the server sleeps when there is none.  Prints the
   part of the time that it works, and how long the answers took from when the
   request was due, ms: the 50th, 90th, 99th and 99.9th percentile, the longest. *)

let entry r i = (i, Bytes.make (8 + Random.State.int r 100) 'x', [ i; i + 1 ])

let replace r table work =
  for _ = 1 to work do
    let i = Random.State.int r (Hashtbl.length table) in
    Hashtbl.replace table i (entry r i)
  done

(* Sleeps until [time], or not at all. *)
let wait_until time =
  let left = time -. Unix.gettimeofday () in
  if left > 0. then Unix.sleepf left

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = Random.State.make [| arg 1 |] in
  let seconds = float_of_string Sys.argv.(3) /. 1e3 in
  let requests = arg 4 and work = arg 5 in
  let n = arg 2 * 1048576 / 220 in
  let table = Hashtbl.create n in
  for i = 0 to n - 1 do Hashtbl.replace table i (entry r i) done;
  let took = Array.make requests 0. in
  let busy = ref 0. and began = Unix.gettimeofday () in
  let due = ref began in
  for i = 0 to requests - 1 do
    due := !due -. seconds *. log (1. -. Random.State.float r 1.);
    wait_until !due;
    let start = Unix.gettimeofday () in
    replace r table work;
    let stop = Unix.gettimeofday () in
    busy := !busy +. stop -. start;
    took.(i) <- stop -. !due
  done;
  let all = Unix.gettimeofday () -. began in
  Array.sort compare took;
  let percentile p =
    1e3 *. took.(min (requests - 1) (int_of_float (p *. float requests /. 100.)))
  in
  Printf.printf "%.3f %.3f %.3f %.3f %.3f %.3f\n" (!busy /. all)
    (percentile 50.) (percentile 90.) (percentile 99.) (percentile 99.9)
    (percentile 100.)
