(* grow MIB [WAY]: grows a heap of MIB, prints by how many bytes the resident set
   has grown, and ends that WAY. *)

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)

let resident () =
  let ic = open_in "/proc/self/statm" in
  let pages = Scanf.sscanf (input_line ic) "%d %d" (fun _ resident -> resident) in
  close_in ic;
  pages * 4096

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
    | "domain" -> Domain.join (Domain.spawn (fun () -> ignore (grow [] 1_000_000)))
    | way -> failwith ("no way " ^ way)
