(* Registers a C function that looks at the process's memory at exit, after
   the runtime has cleaned up, then grows a heap. *)

external look_at_exit : unit -> unit = "look_at_exit"

let () =
  look_at_exit ();
  let l = List.init 1_000_000 (fun i -> Array.make 10 i) in
  assert (List.length (Sys.opaque_identity l) = 1_000_000)
