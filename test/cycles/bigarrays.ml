(* bigarrays N: N bigarrays of 256 KiB, of which none is kept, make a major
   cycle each or more.  Prints the cycles. *)

let () =
  for _ = 1 to int_of_string Sys.argv.(1) do
    ignore (Sys.opaque_identity
              Bigarray.(Array1.create char c_layout (256 * 1024)))
  done;
  Printf.printf "%d\n" (Gc.quick_stat ()).major_collections
