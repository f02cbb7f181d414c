(* Prints how many major cycles Gc.compact counts, and how often it marks a live block;
   and once more when there is a finaliser to call meanwhile. *)

external marked : unit -> int = "compact_marked"

let compact kept =
  let cycles () = (Gc.quick_stat ()).major_collections in
  let cycles_before = cycles () and marked_before = marked () in
  Gc.compact ();
  Printf.printf "%d cycles, %d times\n" (cycles () - cycles_before)
    ((marked () - marked_before) / List.length kept)

let () =
  let kept = Sys.opaque_identity (List.init 100_000 Fun.id) in
  Gc.full_major ();
  compact kept;
  Gc.finalise ignore (ref 0);
  Gc.minor ();
  compact kept
