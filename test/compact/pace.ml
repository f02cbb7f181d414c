(* After many compactions garbage is collected as soon as before: prints the
   MiB of the largest heap.  Statistics are as old as the last minor
   collection. *)
let () =
  let live = List.init 3_000 (fun i -> Array.make 1000 i) in
  for _ = 1 to int_of_string Sys.argv.(1) do Gc.compact () done;
  for i = 1 to 10_000 do
    ignore (Sys.opaque_identity (Bytes.make 100_000 (Char.chr (i land 127))))
  done;
  assert (List.for_all (fun a -> Array.length a = 1000) live);
  Gc.minor ();
  Printf.printf "%d\n" ((Gc.quick_stat ()).top_heap_words / 131072)
