(* Enough of a heap that the runtime's memory is in use. *)

let work () =
  let l = List.init 100_000 (fun i -> string_of_int i) in
  Gc.compact ();
  let big = Bytes.make 1_000_000 'x' in
  List.length l + Bytes.length big

let () =
  Callback.register "work" work;
  Printf.printf "hello %d\n%!" (work ())
