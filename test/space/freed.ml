(* freed HOW: grows a heap of 600 MiB, lets go of it, and gives it back: by
   Gc.compact, or by sleeping until it has gone.  Then C wants as much.  Prints
   VmData, in KiB, before it does, and whether it had it. *)

let status name =
  let ic = open_in "/proc/self/status" in
  let rec find () =
    match String.split_on_char ':' (input_line ic) with
    | [ key; value ] when key = name ->
      Scanf.sscanf value " %d kB" (fun kib -> kib)
    | _ -> find () in
  let value = find () in
  close_in ic;
  value

let mib = 600

(* 24 bytes each *)
let grow () =
  let l = ref [] in
  for _ = 1 to mib lsl 20 / 24 do l := () :: !l done;
  ignore (Sys.opaque_identity (List.length !l))

let () =
  grow ();
  (match Sys.argv.(1) with
   | "compact" -> Gc.compact ()
   | _ ->
     Gc.full_major ();
     let tries = ref 0 in
     while status "VmData" > 64 lsl 10 && !tries < 600 do
       Unix.sleepf 0.1;
       incr tries
     done);
  Printf.printf "%d\n%!" (status "VmData");
  match Bigarray.(Array1.create char c_layout (mib lsl 20)) with
  | a -> ignore (Sys.opaque_identity a); print_endline "ok"
  | exception Out_of_memory -> print_endline "Out_of_memory"
