(* A heap that is not empty. *)

let () = Callback.register "small" (List.init 1_000 (Array.make 10))
