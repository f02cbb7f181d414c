(* blocking SEED MIB TIMES SECONDS: holds MIB, blocks and wakes up so often, each
   time for so long, and allocates a little between. *)

let () =
  let seed = int_of_string Sys.argv.(1) in
  let held = Array.init (int_of_string Sys.argv.(2)) (fun i ->
      List.init (1024 * 1024 / 40) (fun j -> Some (seed + i + j))) in
  let seconds = float_of_string Sys.argv.(4) in
  for i = 1 to int_of_string Sys.argv.(3) do
    Unix.sleepf seconds;
    ignore (Sys.opaque_identity (Array.make 50 i))
  done;
  ignore (Sys.opaque_identity held)
