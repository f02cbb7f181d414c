(* Locks the process's memory, now and to come, grows a heap of 500 MiB, lets go
   of it and compacts.  Prints RSS in KiB, full and in the end; "refused" where
   memory cannot be locked. *)

external lock : unit -> bool = "lock_all"

let rss () =
  let ic = open_in "/proc/self/statm" in
  let kib = Scanf.sscanf (input_line ic) "%_d %d" (fun pages -> pages * 4) in
  close_in ic;
  kib

let () =
  if not (lock ()) then print_endline "refused"
  else begin
    let l = ref [] in
    for _ = 1 to 500 lsl 20 / 24 do l := () :: !l done;
    ignore (Sys.opaque_identity (List.length !l));
    Printf.printf "%d\n%!" (rss ());
    l := [];
    Gc.compact ();
    Printf.printf "%d\n%!" (rss ())
  end
