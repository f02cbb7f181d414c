(* Allocation tracking follows blocks to the major heap and to their end. *)

let n = 10_000 * int_of_string Sys.argv.(1)

let () =
  let minor = ref 0 and major = ref 0 and promoted = ref 0 and freed = ref 0 in
  let _ : Gc.Memprof.t = Gc.Memprof.start ~sampling_rate:0.1
    { Gc.Memprof.alloc_minor = (fun _ -> incr minor; Some ());
      alloc_major = (fun _ -> incr major; Some ());
      promote = (fun () -> incr promoted; Some ());
      dealloc_minor = (fun () -> incr freed);
      dealloc_major = (fun () -> incr freed) } in
  let kept = ref [] in
  for i = 1 to n do
    kept := Array.make (1 + i mod 400) i ::
      (if i mod 1_000 = 0 then [] else !kept)
  done;
  Gc.compact ();
  Gc.full_major ();
  Gc.Memprof.stop ();
  Printf.printf "%b %b %b %b %d\n" (!minor > 0) (!major > 0) (!promoted > 0)
    (!freed > 0 && !freed <= !minor + !major) (List.length !kept)
