(* Prints how many major cycles Gc.compact ends, and how often it marks a live block. *)

external marked : unit -> int = "compact_marked"

let () =
  let kept = Sys.opaque_identity (List.init 100_000 Fun.id) in
  Gc.full_major ();
  let cycles () = (Gc.quick_stat ()).major_collections in
  let cycles_before = cycles () and marked_before = marked () in
  Gc.compact ();
  Printf.printf "%d cycles, %d times\n" (cycles () - cycles_before)
    ((marked () - marked_before) / List.length kept)
