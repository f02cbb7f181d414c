(* finaliser: lives beyond Xmemory_limit, and makes dead values with finalisers
   that allocate.  The program gets Out_of_memory, its finalisers do not: what
   they allocate may be what makes room. *)

let inside = ref 0 and called = ref 0

let finalise _ =
  incr called;
  try
    for _ = 1 to 2_000 do
      ignore (Sys.opaque_identity (Array.make 100 0))
    done
  with Out_of_memory -> incr inside

let rec leak l n =
  if n mod 10_000 = 0 then Gc.finalise finalise (ref n);
  leak (Sys.opaque_identity (Bytes.create 100 :: l)) (n + 1)

let () =
  (match leak [] 0 with
   | _ -> ()
   | exception Out_of_memory -> ());
  Printf.printf "%d finalisers were called, %d were told\n" !called !inside;
  exit (if !inside = 0 && !called > 0 then 0 else 1)
