(* Fibers: deep stacks that are moved as they grow, generators that are left
   half-way, while the heap is compacted. *)

open Effect
open Effect.Deep

type _ Effect.t += Yield : int -> unit Effect.t

let n = int_of_string Sys.argv.(1)

let rec deep d =
  if d = 0 then (perform (Yield 0); 0)
  else
    let x = [| d; d |] in
    deep (d - 1) + x.(0) mod 2

let run f =
  let count = ref 0 in
  let result = match_with f ()
    { retc = (fun r -> r);
      exnc = raise;
      effc = (fun (type a) (e : a Effect.t) ->
        match e with
        | Yield _ -> Some (fun (k : (a, _) continuation) ->
            incr count;
            if !count mod 100 = 0 then Gc.compact ();
            continue k ())
        | _ -> None) } in
  result, !count

type state = Done | More of int * (unit, state) continuation

let generator list () =
  match_with (fun () -> List.iter (fun i -> perform (Yield i)) list; Done) ()
    { retc = Fun.id;
      exnc = raise;
      effc = (fun (type a) (e : a Effect.t) ->
        match e with
        | Yield i -> Some (fun (k : (a, _) continuation) -> More (i, k))
        | _ -> None) }

let () =
  let sum, yields = run (fun () -> deep (100_000 * n)) in
  Printf.printf "%d %d\n" sum yields;
  let sum, yields = run (fun () ->
    let s = ref 0 in
    for i = 1 to 500 * n do
      perform (Yield i);
      s := !s + Array.length (Array.make (i mod 300) 0)
    done;
    !s) in
  Printf.printf "%d %d\n" sum yields;
  let left = List.init (200 * n) (fun i ->
    match generator [ i; i + 1; i + 2 ] () with
    | More (x, k) -> x, (if i mod 2 = 0 then Some k else None)
    | Done -> assert false) in
  Gc.compact ();
  let rest = List.fold_left (fun s (x, k) ->
    match k with
    | None -> s + x
    | Some k ->
        match continue k () with
        | More (y, k) ->
            (match continue k () with
             | More (z, _) -> s + x + y + z
             | Done -> assert false)
        | Done -> assert false) 0 left in
  Printf.printf "%d\n" rest
