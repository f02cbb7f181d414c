(* Blocks of all sizes, made, dropped and verified under every kind of GC. *)

let n = int_of_string Sys.argv.(1)
let random = Random.State.make [| 1 |]

let block i =
  let words = match Random.State.int random 10 with
    | 0 -> 129 + Random.State.int random 2_000
    | 1 -> 2_000 + Random.State.int random 50_000
    | _ -> 1 + Random.State.int random 128 in
  Array.make words i

let check i a = Array.for_all (fun x -> x = i) a

let () =
  let live = Array.make 200 [||] in
  for i = 1 to n do
    live.(Random.State.int random 200) <- block i;
    if i mod (n / 4) = 0 then Gc.compact ();
    if i mod (n / 5) = 0 then Gc.full_major ();
    if i mod (n / 7) = 0 then Gc.major ();
    if i mod (n / 50) = 0 then ignore (Gc.major_slice 1_000)
  done;
  let intact a = a = [||] || check a.(0) a in
  assert (Array.for_all intact live);
  let s = Gc.stat () in
  let ours = Array.fold_left (fun n a -> n + 1 + Array.length a) 0 live in
  assert (s.live_words >= ours && s.live_words <= s.heap_words);
  Gc.compact ();
  Printf.printf "%d\n" (Array.fold_left (fun h a -> Hashtbl.hash (h, a)) 0
    live);
  assert (Array.for_all intact live)
