(* reuse: a domain makes strings of 64 KiB, of which it keeps none; then the
   heap is compacted.  Prints how many in a hundred were found among those that
   were freed, and the KiB that are kept then. *)

let () =
  let d = Domain.spawn (fun () ->
    for i = 1 to 100_000 do
      ignore (Sys.opaque_identity (Bytes.create (65536 - i land 7)))
    done) in
  Domain.join d;
  let s = Runtime_jemalloc.statistics () in
  let found = 100 * s.cache_hits / (s.cache_hits + s.cache_misses) in
  Gc.compact ();
  Printf.printf "%d %d\n" found
    ((Runtime_jemalloc.statistics ()).cached / 1024)
