(* Grows a heap, drops part of it, compacts; prints the figures of the process.

    grow KIND MIB: KIND is small (blocks of 1 to 20 words, every second one
   dropped), pooled (129 to 510 words, the same), medium (1,000 to 8,000 words,
   every second run of 64 dropped), large (64 KiB to 4 MiB, every second one
   dropped), boundary (129 to 1,000 words, a separate half dropped) or unpooled
   (511 to 2,000 words, the same).  MIB is the size grown to.  Prints

    KIND live MIB rss MIB mappings N emptied MIB

    with RSS as it is when Gc.compact has just returned, and "emptied" the RSS
   above that at the start once everything is dropped and compacted. *)

let random = Random.State.make [| 7 |]

let between a b = a + Random.State.int random (b - a + 1)

(* A list of lists of 64 blocks each, about [bytes] in all *)
let blocks size bytes =
  let rec run n acc left =
    if n = 0 then acc, left
    else
      let words = size () in
      run (n - 1) (Array.make words n :: acc) (left - 8 * (words + 4)) in
  let rec runs acc left =
    if left <= 0 then acc
    else
      let r, left = run 64 [] left in
      runs (r :: acc) left in
  runs [] bytes

let rec every_second = function
  | a :: _ :: rest -> a :: every_second rest
  | rest -> rest

let first_half size bytes =
  let kept = blocks size (bytes / 2) in
  let dropped = blocks size (bytes / 2) in
  ignore (Sys.opaque_identity dropped);
  kept

let grow kind bytes =
  match kind with
  | "small" -> List.rev_map every_second (blocks (fun () -> between 1 20) bytes)
  | "pooled" ->
      List.rev_map every_second (blocks (fun () -> between 129 510) bytes)
  | "medium" -> every_second (blocks (fun () -> between 1_000 8_000) bytes)
  | "large" ->
      List.rev_map every_second (blocks (fun () -> between 8_192 524_288) bytes)
  | "boundary" -> first_half (fun () -> between 129 1_000) bytes
  | "unpooled" -> first_half (fun () -> between 511 2_000) bytes
  | _ -> failwith ("no such kind: " ^ kind)

let in_channel name f =
  let ic = open_in name in
  Fun.protect ~finally:(fun () -> close_in ic) (fun () -> f ic)

let rec rss ic =
  let line = input_line ic in
  match Scanf.sscanf line "VmRSS: %d kB" Fun.id with
  | kib -> kib * 1024
  | exception Scanf.Scan_failure _ -> rss ic

let rss () = in_channel "/proc/self/status" rss

let rec lines ic n =
  match input_line ic with
  | _ -> lines ic (n + 1)
  | exception End_of_file -> n

let mappings () = in_channel "/proc/self/maps" (fun ic -> lines ic 0)

let mib bytes = (bytes + (1 lsl 19)) asr 20

let () =
  let kind = Sys.argv.(1) and bytes = int_of_string Sys.argv.(2) lsl 20 in
  let at_start = rss () in
  let heap = ref (grow kind bytes) in
  Gc.compact ();
  let after = rss () and mappings = mappings () in
  let live = 8 * (Gc.stat ()).live_words in
  ignore (Sys.opaque_identity !heap);
  heap := [];
  Gc.compact ();
  Printf.printf "%s live %d rss %d mappings %d emptied %d\n"
    kind (mib live) (mib after) mappings (mib (rss () - at_start))
