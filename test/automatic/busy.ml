(* A program that never waits: a peak, then work on the scattered 5% that
   survive and stay where they are.  busy SECONDS prints what the heap is of
   its peak, in percent, and the number of compactions. *)

let words () = (Gc.quick_stat ()).heap_words

let () =
  (match Sys.argv with
   | [| _; _; max_overhead |] ->
     Gc.set { (Gc.get ()) with max_overhead = int_of_string max_overhead };
     assert ((Gc.get ()).max_overhead = int_of_string max_overhead)
   | _ -> ());
  let n = 1_000_000 in
  let blocks = Array.init n (fun i -> Bytes.make (8 + i * 7919 mod 190) 'x') in
  let peak = words () in
  Array.iteri (fun i _ -> if i mod 20 <> 0 then blocks.(i) <- Bytes.empty)
    blocks;
  let until = Sys.time () +. float_of_string Sys.argv.(1) in
  let copies = Array.make 50_000 Bytes.empty in
  let i = ref 0 in
  while Sys.time () < until do
    for _ = 1 to 1000 do
      i := (!i + 140) mod n;
      copies.(!i / 20) <- Bytes.copy blocks.(!i)
    done
  done;
  Array.iteri
    (fun i b ->
       assert (Bytes.for_all (( = ) 'x') b
               && (i mod 20 <> 0 || Bytes.length b = 8 + i * 7919 mod 190)))
    blocks;
  Printf.printf "%d %d\n" (100 * words () / peak) (Gc.quick_stat ()).compactions
