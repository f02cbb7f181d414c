(* Gc.compact, wherever the cycle under way is: what was unreachable is gone
   when it returns, of the rest nothing is lost.  compact DOMAINS ROUNDS, each
   domain does as many, some with finalisers, which make Gc.compact go on.
   Prints what the heap is of its live words in the end, in percent, and how
   many of these are still counted when all are dropped. *)

type counted
external counted : unit -> counted = "compact_counted"
external finalised : unit -> int = "compact_finalised"

type block = { number : int; text : bytes; large : int array;
  counted : counted }

let n = 2000
let is_kept i = i mod 7 = 3

let block number =
  { number; counted = counted ();
    text = Bytes.make (number * 7919 mod 800) 'x';
    large = Array.make (if number mod 50 = 0 then 1000 else 1) number }

let intact number b =
  b.number = number
  && Bytes.length b.text = number * 7919 mod 800
  && Bytes.for_all (( = ) 'x') b.text
  && Array.for_all (( = ) number) b.large

(* Blocks, weak pointers to them, and ephemerons of which each is the key *)
let build finaliser =
  let blocks = Array.init n (fun i -> Some (block i)) in
  let weak = Weak.create n in
  Array.iteri (fun i b -> Weak.set weak i b) blocks;
  let ephemerons =
    Array.map
      (fun b -> Ephemeron.K1.make (Option.get b) (Bytes.make 100 'e')) blocks in
  Option.iter
    (fun f -> Array.iter (fun b -> Gc.finalise_last f (Option.get b)) blocks)
    finaliser;
  blocks, weak, ephemerons

let drop blocks =
  Array.iteri (fun i _ -> if not (is_kept i) then blocks.(i) <- None) blocks

let dropped = n - List.length (List.filter is_kept (List.init n Fun.id))

let check blocks weak ephemerons =
  for i = 0 to n - 1 do
    match blocks.(i), Weak.get weak i with
    | Some b, Some w ->
      assert (is_kept i && b == w && intact i b);
      assert (Ephemeron.K1.query ephemerons.(i) b = Some (Bytes.make 100 'e'))
    | None, None ->
      assert (not (is_kept i));
    | _ -> assert false
  done

(* Returns what it kept. *)
let round r ~alone =
  let dead = ref 0 and finalisers = Random.State.bool r in
  let finaliser = if finalisers then Some (fun () -> incr dead) else None in
  let blocks, weak, ephemerons = build finaliser in
  for _ = 1 to Random.State.int r 4 do
    ignore (Gc.major_slice (Random.State.int r 100_000))
  done;
  let before = finalised () in
  drop blocks;
  if Random.State.bool r then
    ignore (Gc.major_slice (Random.State.int r 10_000));
  Gc.compact ();
  check blocks weak ephemerons;
  if finalisers && !dead <> dropped then
    failwith (Printf.sprintf "%d of %d finalised" !dead dropped);
  let customs = finalised () - before in
  if alone && customs < dropped then
    failwith (Printf.sprintf "%d of %d custom blocks finalised"
                customs dropped);
  blocks

let rounds seed n ~alone =
  let r = Random.State.make [| seed |] in
  List.init n (fun _ -> round r ~alone)

let live_words () = (Gc.stat ()).live_words

(* Returns the words in the heap, and the live ones of them. *)
let all_rounds domains n =
  let others = List.init domains (fun i ->
    Domain.spawn (fun () -> rounds i n ~alone:false)) in
  let kept = rounds 42 n ~alone:(domains = 0) :: List.map Domain.join others in
  Gc.compact ();
  List.iter
    (List.iter (Array.iteri
      (fun i b -> Option.iter (fun b -> assert (intact i b)) b)))
    kept;
  let heap = (Gc.quick_stat ()).heap_words and live = live_words () in
  ignore (Sys.opaque_identity kept);
  heap, live

let () =
  let before = live_words () in
  let heap, live = all_rounds (int_of_string Sys.argv.(1))
    (int_of_string Sys.argv.(2)) in
  Gc.compact ();
  Printf.printf "%d %d\n" (100 * heap / live)
    (100 * (live_words () - before) / live)
