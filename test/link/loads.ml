(* Uses the libraries that come with OCaml, and loads plugin.cmxs. *)

let () =
  let pid = Unix.getpid () in
  assert (Str.string_match (Str.regexp "[0-9]+") (string_of_int pid) 0);
  let t = Thread.create (fun () -> List.init 10_000 (fun i -> [| i |])) () in
  Thread.join t;
  Gc.compact ();
  Dynlink.loadfile Sys.argv.(1);
  print_endline "loaded"
