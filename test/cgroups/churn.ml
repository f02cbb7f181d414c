(* churn MIB SECONDS KIND [WORKERS]: MIB live, which are replaced block by
   block, by a program that does nothing but allocate.  KIND is small,
   bigarrays (half of it in these), or leak.  Prints how many blocks it
   replaced.
   churn MIB SECONDS waiting: as small, beside three domains that wait for its
   end.
   churn MIB SECONDS joined: as small, in a domain that the first one waits for.
   churn MIB SECONDS collection: prints which part of the time the major
   collector took, 1/10000.
   churn MIB SECONDS idle: MIB that are garbage, in a program that sleeps.
   churn MIB ROUNDS quarter: does that a quarter of the time, and computes in
   the rest, for so many rounds.  Prints which part it really was, percent. *)

let mib = 1 lsl 20
let lives = int_of_string Sys.argv.(1)
let seconds = float_of_string Sys.argv.(2)
let kind = Sys.argv.(3)
let workers =
  if Array.length Sys.argv > 4 then int_of_string Sys.argv.(4) else 0

let fill mb = Array.init (mb * mib / 300) (fun i -> Array.make (5 + i mod 60) i)

let bigarray () =
  let open Bigarray in
  let a = Array1.create char c_layout mib in
  Array1.fill a 'x';
  a

let replace a from =
  for i = from to from + 3999 do
    let k = i * 7919 mod Array.length a in
    a.(k) <- Array.make (5 + k mod 60) k
  done

let churn () =
  let with_bigarrays = kind = "bigarrays" in
  let a = fill (if with_bigarrays then lives / 2 else lives) in
  let b =
    Array.init (if with_bigarrays then lives / 2 else 0)
      (fun _ -> bigarray ()) in
  let until = Unix.gettimeofday () +. seconds and steps = ref 0 in
  while Unix.gettimeofday () < until do
    replace a !steps;
    steps := !steps + 4000;
    if with_bigarrays then b.(!steps / 4000 mod Array.length b) <- bigarray ()
  done;
  Printf.printf "%d\n%!" !steps

let beside_waiting work =
  let mutex = Mutex.create () and ended = Condition.create () in
  let working = ref true in
  let wait () =
    Mutex.protect mutex
      (fun () -> while !working do Condition.wait ended mutex done) in
  let waiting = List.init 3 (fun _ -> Domain.spawn wait) in
  work ();
  Mutex.protect mutex
    (fun () -> working := false; Condition.broadcast ended);
  List.iter Domain.join waiting

let quarter rounds =
  let a = fill lives and text = String.make (1 lsl 16) 'x' in
  let began = Unix.gettimeofday () and replacing = ref 0. in
  for i = 1 to rounds do
    let t = Unix.gettimeofday () in
    replace a (i * 4000);
    replacing := !replacing +. Unix.gettimeofday () -. t;
    for _ = 1 to 75 do ignore (Sys.opaque_identity (Digest.string text)) done
  done;
  Printf.printf "%.0f\n%!"
    (100. *. !replacing /. (Unix.gettimeofday () -. began))

(* The outermost of its phases, by the program's own events *)
let collection () =
  let open Runtime_events in
  let began = ref 0L and depth = ref 0 and collecting = ref 0L in
  let at time = Timestamp.to_int64 time in
  let runtime_begin _ time = function
    | EV_MAJOR -> if !depth = 0 then began := at time; incr depth
    | _ -> () in
  let runtime_end _ time = function
    | EV_MAJOR ->
      decr depth;
      if !depth = 0 then
        collecting := Int64.(add !collecting (sub (at time) !began))
    | _ -> () in
  let lost_events _ n = failwith (Printf.sprintf "%d events are lost" n) in
  let callbacks =
    Callbacks.create ~runtime_begin ~runtime_end ~lost_events () in
  let a = fill lives in
  start ();
  let cursor = create_cursor None and start = Unix.gettimeofday () in
  let steps = ref 0 in
  while Unix.gettimeofday () < start +. seconds do
    replace a !steps;
    steps := !steps + 4000;
    ignore (read_poll cursor callbacks None)
  done;
  Printf.printf "%.0f\n%!"
    (Int64.to_float !collecting /. (Unix.gettimeofday () -. start) /. 1e5)

let idle () =
  ignore (Sys.opaque_identity (fill lives));
  print_endline "idle";
  Unix.sleepf seconds

let rec leak l = leak (Array.make 30 0 :: l)

let () =
  if kind = "leak" then leak []
  else if kind = "collection" then collection ()
  else if kind = "idle" then idle ()
  else if kind = "waiting" then beside_waiting churn
  else if kind = "joined" then Domain.join (Domain.spawn churn)
  else if kind = "quarter" then quarter (int_of_float seconds)
  else if workers = 0 then churn ()
  else
    let start _ = match Unix.fork () with 0 -> churn (); exit 0 | pid -> pid in
    let all = List.init workers start in
    List.iter
      (fun pid ->
         match Unix.waitpid [] pid with
         | _, WEXITED 0 -> ()
         | _ -> exit 3)
      all
