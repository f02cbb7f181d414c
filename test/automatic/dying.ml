(* Each cycle ends with a compaction (Xmax_overhead=0), before which its sweep
   has surveyed the pools; of the blocks that were there then, many are garbage
   by its end.  Those that live move once, and stay what they are.  dying
   DOMAINS CYCLES *)

let length = 100_000

(* Of a few size classes *)
let make i = Bytes.make (8 + 40 * (i mod 3)) (Char.chr (i land 127))
let is i b = b = Bytes.empty || b = make i

(* Some pools' blocks live, some pools' die. *)
let drop r blocks =
  let percent = ref 0 in
  Array.iteri (fun i _ ->
      if i mod 500 = 0 then percent := Random.State.int r 100;
      if Random.State.int r 100 < !percent then blocks.(i) <- Bytes.empty)
    blocks

let refill blocks =
  Array.iteri (fun i b -> if b = Bytes.empty then blocks.(i) <- make i) blocks

let work cycles id =
  let r = Random.State.make [| id |] in
  let blocks = Array.init length make in
  for cycle = 1 to cycles do
    drop r blocks;
    Gc.major ();
    Array.iteri (fun i b -> if not (is i b) then failwith "a block") blocks;
    if cycle mod 4 = 0 then refill blocks
  done

let () =
  let domains = int_of_string Sys.argv.(1) in
  let cycles = int_of_string Sys.argv.(2) in
  let others =
    List.init (domains - 1) (fun i -> Domain.spawn (fun () -> work cycles i)) in
  work cycles domains;
  List.iter Domain.join others;
  assert ((Gc.quick_stat ()).compactions >= cycles)
