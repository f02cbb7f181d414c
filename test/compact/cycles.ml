(* Prints how many major cycles Gc.compact ends. *)

let cycles () = (Gc.quick_stat ()).major_collections

let () =
  let before = cycles () in
  Gc.compact ();
  print_int (cycles () - before)
