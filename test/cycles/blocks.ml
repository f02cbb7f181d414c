(* blocks N WORDS: N blocks of up to WORDS words, of which a few are kept, in
   the first domain.  Prints the major cycles. *)

let () =
  let n = int_of_string Sys.argv.(1) and words = int_of_string Sys.argv.(2) in
  let kept = Array.make 1000 "" in
  for i = 1 to n do
    kept.(i * 7919 mod 1000) <- String.make (8 * (words - i land 7) - 9) 'x'
  done;
  ignore (Sys.opaque_identity kept);
  Printf.printf "%d\n" (Gc.quick_stat ()).major_collections
