(* reuse: a domain makes strings of 64 KiB, of which it keeps none; then the
   heap is compacted.  Prints for how many in a hundred it took no new address
   space, and the KiB that are dirty before the compaction and after it. *)

let made = 100_000

let dirty () = (Runtime_jemalloc.statistics ()).dirty / 1024

let () =
  let d = Domain.spawn (fun () ->
    for i = 1 to made do
      ignore (Sys.opaque_identity (Bytes.create (65536 - i land 7)))
    done) in
  Domain.join d;
  let s = Runtime_jemalloc.statistics () in
  let before = dirty () in
  Gc.compact ();
  Printf.printf "%d %d %d\n" (100 - 100 * s.address_space / (made * 65536))
    before (dirty ())
