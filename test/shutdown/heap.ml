(* A heap of about 200 MiB, in pools and in large blocks. *)

let () =
  let small = List.init 1_000_000 (fun i -> Array.make 10 i) in
  let large = List.init 100 (fun _ -> Bytes.make 1_000_000 'x') in
  Gc.full_major ();
  Callback.register "small" small;
  Callback.register "large" large
