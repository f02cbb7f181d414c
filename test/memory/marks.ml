(* Overwrites many blocks at a time, while the collector marks and while it
   does not: all that were not marked yet are on its mark stack then.  What is
   allocated afterwards takes it through some cycles. *)

let chunk = 100_000
let allocate () = ignore (Sys.opaque_identity (Array.make 1000 (Some 0)))

let () =
  let blocks = Array.init (20 * chunk) (fun i -> Some (ref i)) in
  for i = 0 to 19 do
    for _ = 1 to 500 do allocate () done;
    Array.fill blocks (i * chunk) chunk None
  done;
  let collections () = (Gc.quick_stat ()).major_collections in
  let last = collections () + 4 in
  while collections () < last do allocate () done
