(* Prints how many major cycles Gc.compact counts, and how often it marks a
   live block; and twice more when there is a finaliser to call meanwhile, in
   the second and in the first of them.  What it has had is gone then. *)

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
  compact kept;
  let weak = Weak.create 1 in
  let dead = ref 0 in
  Gc.finalise ignore dead;
  Weak.set weak 0 (Some dead);
  Gc.major ();
  compact kept;
  assert (not (Weak.check weak 0))
