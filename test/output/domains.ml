(* Domains that allocate at once, compact at once, end and leave their pools
   and large blocks to others. *)

let n = int_of_string Sys.argv.(1)

type t = T of t list
let rec grow d = if d = 0 then T [] else T [ grow (d - 1); grow (d - 1) ]
let rec count (T l) = List.fold_left (fun s t -> s + count t) 1 l

let spawned () =
  let d = Domain.spawn (fun () ->
    let small = grow 10 and large = Array.init 20 (Array.make 10_000) in
    Gc.compact ();
    small, large) in
  let mine = grow 10 in
  Gc.compact ();
  let small, large = Domain.join d in
  count mine + count small + Array.length large

let shared () =
  let mutex = Mutex.create () and table = Hashtbl.create 16 in
  let worker k () =
    for i = 1 to 100 * n do
      let s = String.make (1 + i mod 3_000) 'x' in
      Mutex.lock mutex;
      Hashtbl.replace table (k, i mod 50) s;
      Mutex.unlock mutex
    done in
  let domains = List.init 3 (fun k -> Domain.spawn (worker k)) in
  List.iter Domain.join domains;
  Gc.full_major ();
  Hashtbl.fold (fun _ s sum -> sum + String.length s) table 0

let () =
  for _ = 1 to n do Printf.printf "%d\n" (spawned ()) done;
  Printf.printf "%d\n" (shared ())
