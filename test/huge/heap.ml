(* heap MODE SECONDS: what transparent huge pages make of a heap, in MiB:
   purged: "RSS right after the purge, RSS after so many seconds"
   compacted: the same, purged by Gc.compact
   filled: "huge pages, huge pages after the purge, after filling the heap again
     and so many seconds"
   small: "RSS" of a heap of 100 KiB *)

let field file name =
  let ic = open_in file in
  let total = ref 0 in
  (try
     while true do
       let line = input_line ic in
       match String.index_opt line ':' with
       | Some i when String.sub line 0 i = name ->
         total := !total + Scanf.sscanf
           (String.sub line (i + 1) (String.length line - i - 1)) " %d kB"
             Fun.id
       | _ -> ()
     done
   with End_of_file -> ());
  close_in ic;
  !total

let rss () = field "/proc/self/status" "VmRSS" / 1024
let huge () = field "/proc/self/smaps" "AnonHugePages" / 1024

(* Lists of 48 KiB, so that a list that dies frees a pool *)
let make_list i = List.init 2_048 (fun j -> i + j)
let lists = Array.make (512 * 1024 / 48) []

let fill () =
  for i = 0 to Array.length lists - 1 do
    if lists.(i) = [] then lists.(i) <- make_list i
  done;
  Gc.full_major ()

(* Keeps every twentieth *)
let drop () =
  for i = 0 to Array.length lists - 1 do
    if i mod 20 > 0 then lists.(i) <- []
  done;
  Gc.full_major ()

(* dirty_decay_ms + 1 s *)
let decay = 2.0

let () =
  let seconds = float_of_string Sys.argv.(2) in
  match Sys.argv.(1) with
  | "purged" | "compacted" as mode ->
    fill ();
    drop ();
    if mode = "compacted" then Gc.compact () else Unix.sleepf decay;
    let after = rss () in
    Unix.sleepf seconds;
    Printf.printf "%d %d\n" after (rss ())
  | "filled" ->
    fill ();
    let full = huge () in
    drop ();
    Unix.sleepf decay;
    let dropped = huge () in
    fill ();
    Unix.sleepf seconds;
    Printf.printf "%d %d %d\n" full dropped (huge ())
  | "small" ->
    let l = ref [] in
    for i = 1 to 4_000 do l := i :: !l done;
    Gc.full_major ();
    Unix.sleepf seconds;
    Printf.printf "%d\n" (field "/proc/self/status" "VmRSS");
    assert (List.hd !l > 0)
  | mode -> failwith mode
