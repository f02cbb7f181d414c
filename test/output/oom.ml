(* Run under a limit of address space: what does not fit is Out_of_memory, in
   one block and in many, and then the program goes on. *)

let () =
  (match Bytes.create (8 * 1024 * 1024 * 1024) with
   | b -> Printf.printf "made %d\n" (Bytes.length b)
   | exception Out_of_memory -> print_endline "one block: out of memory");
  let rec fill acc = fill (Bytes.create 50_000_000 :: acc) in
  (match fill [] with
   | () -> ()
   | exception Out_of_memory -> print_endline "many blocks: out of memory");
  Gc.compact ();
  Gc.full_major (); (* 5.1's compaction is one cycle of the GC *)
  let l = List.init 100_000 string_of_int in
  Printf.printf "goes on: %d\n"
    (List.length l + Bytes.length (Bytes.create 50_000_000))
