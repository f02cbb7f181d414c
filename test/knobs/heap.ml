(* heap MIB: grows a heap of lists, drops it, compacts, and prints what the
   kernel says: resident and lazily freed memory in MiB, and whether most of the
   full heap asks for huge pages (hg), refuses them (nh) or neither. *)

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)

let smaps () =
  let ic = open_in "/proc/self/smaps" in
  let rec read lines = match input_line ic with
    | line -> read (line :: lines)
    | exception End_of_file -> close_in ic; lines in
  read []

(* The sum of a field, in kB, over all mappings *)
let sum field lines =
  List.fold_left (fun sum line ->
    try Scanf.sscanf line "%[^:]: %d kB" (fun name kb ->
      if name = field then sum + kb else sum)
    with Scanf.Scan_failure _ | End_of_file | Failure _ -> sum) 0 lines

(* Of the mapping with most pages *)
let flags lines =
  let of_list = function
    | hg, _ when hg -> "hg" | _, nh when nh -> "nh" | _ -> "neither" in
  let _, _, most = List.fold_left (fun (rss, best, most) line ->
    match Scanf.sscanf line "%[^:]: %d kB" (fun name kb -> name, kb) with
    | "Rss", kb -> kb, best, most
    | _ -> rss, best, most
    | exception (Scanf.Scan_failure _ | End_of_file | Failure _) ->
      let words = String.split_on_char ' ' line in
      if List.hd words = "VmFlags:" && rss >= best then
        rss, rss, of_list (List.mem "hg" words, List.mem "nh" words)
      else rss, best, most) (0, 0, "") (List.rev lines) in
  most

let () =
  let l = ref (grow [] (int_of_string Sys.argv.(1) lsl 20)) in
  assert (List.length !l > 0);
  let before = flags (smaps ()) in
  l := [];
  Gc.compact ();
  let after = smaps () in
  Printf.printf "rss %d lazy %d pages %s\n"
    (sum "Rss" after / 1024) (sum "LazyFree" after / 1024) before
