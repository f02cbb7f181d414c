(* rewrite ROUNDS: keeps 10 MB and writes each of its strings to where it is
   already, so that caml_modify marks them all, which the collector does not
   count as blocks marked. Prints the major cycles. *)

let strings = Array.init 10_000 (fun _ -> Bytes.make 1_000 'a')

let rewrite i =
  strings.(i) <- Sys.opaque_identity strings.(i);
  i

let () =
  for _ = 1 to int_of_string Sys.argv.(1) do
    ignore (Sys.opaque_identity (List.init (Array.length strings) rewrite))
  done;
  print_int (Gc.quick_stat ()).major_collections
