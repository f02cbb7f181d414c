(* Statistics while other domains get and put pools and large blocks. *)

open Runtime_jemalloc

let stop = Atomic.make false

let work size () =
  let blocks = Array.make 200 [||] in
  while not (Atomic.get stop) do
    for i = 0 to 199 do blocks.(i) <- Array.make (size + i) i done;
    Gc.major ()
  done

let () =
  let domains = List.map (fun size -> Domain.spawn (work size))
    [ 20; 3000; 30_000 ] in
  for i = 1 to 3_000 do
    let s = statistics () in
    if s.allocated < s.pools + s.large_blocks || s.active < s.allocated
    then begin
      Printf.printf
        "reading %d: %d allocated, %d in pools, %d in large blocks\n" i
        s.allocated s.pools s.large_blocks;
      exit 1
    end
  done;
  Atomic.set stop true;
  List.iter Domain.join domains
