(* A finaliser of a custom block forks in the middle of a sweep, whose pool is
   in no list then: what lives in it stays.  Prints nothing if all is as it
   should be. *)

external make : unit -> Obj.t = "forker_make"
external arm : unit -> unit = "forker_arm"
external has_forked : unit -> bool = "forker_has_forked"

type r = { a : int; mutable b : string; c : int }

let n = 400_000

let () =
  let custom = ref [] in
  let t = Array.init n (fun i ->
    if i mod 500 = 0 then custom := make () :: !custom;
    { a = i; b = string_of_int i; c = 3 * i }) in
  Gc.full_major ();
  ignore (Sys.opaque_identity !custom);
  custom := [];
  arm ();
  Gc.full_major ();
  if not (has_forked ()) then (prerr_endline "no fork"; exit 1);
  for cycle = 1 to 4 do
    Gc.full_major ();
    (* fills what was freed *)
    let l = List.init 20_000 (fun i -> { a = -i; b = ""; c = i }) in
    Gc.minor ();
    ignore (Sys.opaque_identity l);
    let bad = ref 0 in
    Array.iteri (fun i r -> if r.a <> i || r.c <> 3 * i then incr bad) t;
    if !bad > 0 then begin
      Printf.eprintf "cycle %d: %d blocks are wrong\n" cycle !bad;
      exit 1
    end
  done
