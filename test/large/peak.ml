(* peak doubling|feed|return MIB: prints the peak of the resident set and of the
   address space, in MiB, of a program that
   doubling: grows an array from nothing to so many MiB, doubling it;
   feed: lets go of so many MiB of small blocks, then takes them as large ones;
   return: the other way round. *)

(* What the array has left is found at once: when the GC finds it is not the
   question. *)
let rec doubled a words =
  if Array.length a >= words then a else begin
    let larger = Array.append a a in
    Gc.full_major ();
    doubled larger words
  end

let small mib = List.init (mib * 43_690) Fun.id

(* 1,000 to 130,000 words *)
let large mib =
  let rec take words l =
    if words <= 0 then l else
      let n = 1_000 + (words * 7919 mod 129_000) in
      take (words - n) (Array.make n 0 :: l) in
  take (mib * 131_072) []

let () =
  let mib = int_of_string Sys.argv.(2) in
  (match Sys.argv.(1) with
   | "doubling" ->
     ignore (Sys.opaque_identity (doubled [| 0 |] (mib * 131_072)))
   | "feed" ->
     ignore (Sys.opaque_identity (small mib));
     Gc.full_major ();
     ignore (Sys.opaque_identity (large mib))
   | "return" ->
     ignore (Sys.opaque_identity (large mib));
     Gc.full_major ();
     ignore (Sys.opaque_identity (small mib))
   | mode -> failwith mode);
  Printf.printf "%d %d\n" (Status.mib "VmHWM") (Status.mib "VmPeak")
