(* The library loaded by a program that was linked without it *)
let () =
  match Dynlink.loadfile (Dynlink.adapt_filename Sys.argv.(1)) with
  | () -> print_endline "loaded"
  | exception Dynlink.Error e -> failwith (Dynlink.error_message e)
