(* Threads and domains that wake up at random moments of collections, and how
   late each is.  wakes SEED WAKES DOMAINS THREADS: exits with 0 if all that
   they hold is as it was.  All blocks are small: a slice's work is a matter of
   words then. *)

module M = Map.Make (Int)

let seed = int_of_string Sys.argv.(1)
let wakes = int_of_string Sys.argv.(2)
let domains = int_of_string Sys.argv.(3)
let threads = int_of_string Sys.argv.(4)
let size = 50_000

let value k = string_of_int k, k

let build () =
  let rec go k m = if k = 0 then m else go (k - 1) (M.add k (value k) m) in
  go size M.empty

let late = Mutex.create (), ref []

let note l =
  Mutex.protect (fst late) (fun () -> snd late := l :: !(snd late))

let sleep r =
  let s = Random.State.float r 0.012 in
  let before = Unix.gettimeofday () in
  Unix.sleepf s;
  note (Unix.gettimeofday () -. before -. s)

(* What is held changes a little each time, all of it at times. *)
let change r m =
  if Random.State.int r 100 = 0 then build ()
  else begin
    let k = 1 + Random.State.int r size in
    M.add k (value k) (M.remove k m)
  end

let work id () =
  let r = Random.State.make [| seed; id |] in
  let m = ref (build ()) in
  for _ = 1 to wakes do
    sleep r;
    m := change r !m
  done;
  assert (M.cardinal !m = size);
  M.iter (fun k v -> assert (v = value k)) !m

let in_domain d () =
  let ts = List.init threads (fun t -> Thread.create (work (100 * d + t)) ()) in
  work (100 * d + 99) ();
  List.iter Thread.join ts;
  if d > 0 then Gc.full_major ()

let () =
  let ds = List.init domains (fun d -> Domain.spawn (in_domain (d + 1))) in
  in_domain 0 ();
  List.iter Domain.join ds;
  let a = Array.of_list !(snd late) in
  Array.sort compare a;
  let q p = 1e3 *. a.(int_of_float (p *. float (Array.length a - 1))) in
  Printf.printf
    "%d wake-ups, late by %.2f ms (median), %.2f (99%%), %.2f at most\n"
    (Array.length a) (q 0.5) (q 0.99) (q 1.)
