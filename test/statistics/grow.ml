(* grow MIB [WAY]: grows a heap of MIB, prints by how many bytes the resident
   set has grown, and ends that WAY. *)

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)

let resident () =
  let ic = open_in "/proc/self/status" in
  let rec find () =
    let line = input_line ic in
    try Scanf.sscanf line "VmRSS: %d kB" (fun kib -> kib * 1024)
    with Scanf.Scan_failure _ -> find () in
  let bytes = find () in
  close_in ic;
  bytes

let () =
  Gc.compact ();
  let before = resident () in
  let l = grow [] (int_of_string Sys.argv.(1) lsl 20) in
  Gc.compact ();
  Printf.printf "%d\n%!" (resident () - before);
  ignore (Sys.opaque_identity l);
  if Array.length Sys.argv > 2 then
    match Sys.argv.(2) with
    | "raise" -> failwith "uncaught"
    | "exit" -> exit 3
    | "fork" -> if Unix.fork () > 0 then ignore (Unix.wait ())
    | "domain" -> Domain.join
      (Domain.spawn (fun () -> ignore (grow [] 1_000_000)))
    | way -> failwith ("no way " ^ way)
