(* shortage SEED MIB FIFO: MIB that are free again, but not given back; says by FIFO,
   which the runtime watches, that memory is short, and prints how long it takes
   until at most a sixteenth is left, ms. *)

let rss () =
  let ic = open_in "/proc/self/statm" in
  let line = input_line ic in
  close_in ic;
  Scanf.sscanf line "%d %d" (fun _ pages -> pages / 256)

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)

let sign fifo =
  let fd = Unix.openfile fifo [ O_WRONLY; O_NONBLOCK ] 0 in
  assert (Unix.write_substring fd "!" 0 1 = 1);
  Unix.close fd

let () =
  let mib = int_of_string Sys.argv.(2) in
  let l = ref (grow [] (mib lsl 20)) in
  Gc.full_major ();
  ignore (Sys.opaque_identity !l);
  l := [];
  Gc.full_major ();
  if rss () < mib then failwith "it was given back before";
  let began = Unix.gettimeofday () in
  sign Sys.argv.(3);
  let rec wait () =
    let passed = Unix.gettimeofday () -. began in
    if passed > 30. then failwith "it is not given back";
    if rss () > mib / 16 then wait () else passed in
  Printf.printf "%.1f\n" (1e3 *. wait ())
