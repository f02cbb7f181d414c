(* 40,000 blocks of 513 to 7,506 words.  Every other one of each thousand is
   let go of, and its pages go back, by turns lazily and by force, before the
   next thousand.  Then 200 blocks with mappings of their own. *)

let round n =
  let blocks = Array.init 1000 (fun i -> Array.make (513 + i * 7) n) in
  for i = 0 to 499 do blocks.(2 * i) <- [||] done;
  Gc.full_major ();
  Runtime_jemalloc.purge ~lazily:(n mod 2 = 0) ();
  for i = 0 to 499 do assert (blocks.(2 * i + 1).(512) = n) done

let () =
  for n = 1 to 40 do round n done;
  for _ = 1 to 200 do
    ignore (Sys.opaque_identity (Bytes.create (64 lsl 20)));
    Gc.full_major ()
  done;
  print_endline "right"
