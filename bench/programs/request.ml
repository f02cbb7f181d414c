(* request SEED MIB SECONDS: a parent loads MIB of state and forks a worker, which writes
   to about one page in ten of it, then does short requests, each of which replaces 40
   lists of ten.  Prints the longest request, ms, how many took more than 5 ms, how many
   there were, and major cycles. *)

let state_entry r i = (i, Bytes.make (8 + Random.State.int r 300) 'x', [ i ])

let write r state bytes =
  for _ = 1 to bytes / 40960 do
    let _, text, _ = state.(Random.State.int r (Array.length state)) in
    Bytes.set text 0 'y'
  done

let request r kept =
  for _ = 1 to 40 do
    kept.(Random.State.int r (Array.length kept)) <- List.init 10 Fun.id
  done

let work r seconds =
  let kept = Array.make 100_000 [] in
  let cycles () = (Gc.quick_stat ()).major_collections in
  let longest = ref 0. and long = ref 0 and n = ref 0 and before = cycles () in
  let now = ref (Unix.gettimeofday ()) in
  let stop = !now +. seconds in
  while !now < stop do
    request r kept;
    let after = Unix.gettimeofday () in
    let ms = 1e3 *. (after -. !now) in
    if ms > !longest then longest := ms;
    if ms > 5. then incr long;
    incr n;
    now := after
  done;
  Printf.printf "%.1f %d %d %d\n%!" !longest !long !n (cycles () - before)

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = Random.State.make [| arg 1 |] in
  let bytes = arg 2 lsl 20 in
  let state = Array.init (bytes / 240) (state_entry r) in
  Gc.compact ();
  match Unix.fork () with
  | 0 ->
    write r state bytes;
    work r (float (arg 3));
    Unix._exit 0
  | pid ->
    ignore (Unix.waitpid [] pid);
    ignore (Sys.opaque_identity state)
