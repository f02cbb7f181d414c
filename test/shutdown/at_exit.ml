(* Grows a heap and has a C function look, when the process exits and the
   runtime has cleaned up, whether a small and a large block of it are still
   mapped. *)

external look_at_exit : small:int array list -> large:bytes -> unit
  = "look_at_exit"

let () =
  let small = List.init 1_000_000 (fun i -> Array.make 10 i) in
  let large = Bytes.make 1_000_000 'x' in
  Gc.full_major ();
  look_at_exit ~small ~large
