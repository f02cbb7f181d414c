(* stale idle|compact: a compaction moves blocks that C code has pointers to;
   then it reads them. *)

external keep : int ref array -> unit = "stale_keep"
external sleep : int -> unit = "stale_sleep"
external moved : int ref array -> int = "stale_moved"
external read : unit -> unit = "stale_read"

let one_in_a_hundred () =
  let many = Array.init 500_000 ref in
  Array.init 5_000 (fun i -> many.(i * 100))

let () =
  let blocks = one_in_a_hundred () in
  Gc.minor ();
  keep blocks;
  let compact = match Sys.argv.(1) with
    | "idle" -> fun () -> sleep 100
    | "compact" -> Gc.compact
    | mode -> failwith mode in
  for _ = 1 to 300 do if moved blocks = 0 then compact () done;
  if moved blocks = 0 then (print_endline "no block has moved"; exit 1);
  read ();
  Array.iteri (fun i r -> assert (!r = i * 100)) blocks;
  print_endline "read"
