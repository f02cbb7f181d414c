(* Gc.full_major once, after a scattered 5% of a heap is all that is left of
   it.  Prints what the heap is of its peak, in percent, and the number of
   compactions. *)

let words () = (Gc.quick_stat ()).heap_words

let () =
  let blocks = Array.init 500_000
    (fun i -> Bytes.make (8 + i * 7919 mod 190) 'x') in
  let peak = words () in
  Array.iteri (fun i _ -> if i mod 20 <> 0 then blocks.(i) <- Bytes.empty)
    blocks;
  Gc.full_major ();
  Printf.printf "%d %d\n" (100 * words () / peak)
    (Gc.quick_stat ()).compactions;
  ignore (Sys.opaque_identity blocks)
