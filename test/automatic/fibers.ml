(* fibers N BATCH CASE: a chain of N suspended fibers, each of which has the
   one before on its stack, promoted BATCH at a time; then what CASE says.  In
   the end each is resumed. *)

open Effect
open Effect.Deep

type _ Effect.t += Yield : unit Effect.t
type fiber = None | Fiber of (unit, fiber) continuation

let[@inline never] body (before : fiber) = perform Yield; before

let suspend before =
  match_with body before
    { retc = Fun.id; exnc = raise;
      effc = (fun (type a) (e : a Effect.t) ->
        match e with
        | Yield -> Some (fun (k : (a, _) continuation) -> Fiber k)
        | _ -> Option.None) }

let rec chain n before = if n = 0 then before
  else chain (n - 1) (suspend before)

let rec resume n = function
  | None -> n
  | Fiber k -> resume (n + 1) (continue k ())

let cycles () = (Gc.quick_stat ()).major_collections

(* Waits until the idle program has been collected: all garbage is known after
   two cycles, or one whose marking had not begun, on OCaml 5.5. *)
let idle () =
  let least = if Sys.ocaml_release.minor < 5 then 2 else 1 in
  let before = cycles () in
  let rec look n =
    Unix.sleepf 0.5;
    if cycles () < before + least then (assert (n > 0); look (n - 1)) in
  look 60

let () =
  let n = int_of_string Sys.argv.(1) and batch = int_of_string Sys.argv.(2) in
  let ballast = Array.init 100_000 (fun i -> Array.make 10 i) in
  let c = ref None in
  for _ = 1 to n / batch do c := chain batch !c; Gc.minor () done;
  (match Sys.argv.(3) with
   | "idle" -> idle ()
   | "full_major" -> Gc.full_major ()
   | "compact" -> Gc.compact ()
   | _ -> exit 2);
  assert (resume 0 !c = n);
  Array.iteri (fun i a -> assert (a.(9) = i)) ballast
