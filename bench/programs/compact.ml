(* compact MIB [records]: grows a heap to MIB of small blocks, or of records with
   strings, drops half of it, compacts, and grows again.
   Prints the seconds of the compaction and of the growth after it, page faults,
   the resident set after the compaction in MiB, and the seconds of the compaction
   alone. *)

let stat_field file n =
  let ic = open_in file in
  let line = input_line ic in
  close_in ic;
  int_of_string (List.nth (String.split_on_char ' ' line) n)

let numbers bytes = List.init (bytes / 40) (fun i -> Some (Obj.repr i))

(* 8 to 200 bytes, 147 with all that holds them *)
let records bytes =
  List.init (bytes / 147) (fun i ->
    Some (Obj.repr (i, String.make (8 + (i * 7919 mod 193)) 'x')))

let grow = if Array.length Sys.argv > 2 then records else numbers

let timed f =
  let t = Unix.gettimeofday () in
  let v = f () in
  v, Unix.gettimeofday () -. t

let () =
  let bytes = int_of_string Sys.argv.(1) lsl 20 in
  let l = ref (grow bytes) in
  l := List.filteri (fun i _ -> i land 1 = 0) !l;
  let (), compaction = timed Gc.compact in
  let resident = stat_field "/proc/self/statm" 1 / 256 in
  let again, growth = timed (fun () -> grow (bytes / 2)) in
  ignore (Sys.opaque_identity (!l, again));
  Printf.printf "%.3f %d %d %.3f\n" (compaction +. growth)
    (stat_field "/proc/self/stat" 9) resident compaction
