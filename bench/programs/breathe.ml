(* breathe MIB ROUNDS WAIT: a heap that grows to MIB, keeps a tenth of it side by
   side, waits for WAIT seconds, and grows again, ROUNDS times.  Prints what it took: seconds
   but for the waits, page faults, and the mean of its resident set in MiB, looked
   at twenty times a round and while it waits. *)

let resident_sum = ref 0. and looks = ref 0

let stat_field file n =
  let ic = open_in file in
  let line = input_line ic in
  close_in ic;
  int_of_string (List.nth (String.split_on_char ' ' line) n)

let look () =
  incr looks;
  resident_sum := !resident_sum
                  +. float (stat_field "/proc/self/statm" 1) /. 256.

let wait seconds =
  for _ = 1 to int_of_float (seconds /. 0.05) do Unix.sleepf 0.05; look () done

(* Lists of strings of 8 to 200 bytes *)
let grow bytes =
  let l = ref [] and size = ref 0 and i = ref 0 and next = ref 0 in
  while !size < bytes do
    let n = 8 + !i * 7919 mod 193 in
    l := Bytes.make n 'x' :: !l;
    size := !size + n + 40;
    incr i;
    if !size >= !next then (look (); next := !next + bytes / 20)
  done;
  !l

let () =
  let mib = int_of_string Sys.argv.(1) and rounds = int_of_string Sys.argv.(2)
  and seconds = float_of_string Sys.argv.(3) in
  let began = Unix.gettimeofday () and waited = ref 0. in
  let kept = ref [] in
  for _ = 1 to rounds do
    kept := [];
    let l = grow (mib lsl 20) in
    let n = List.length l / 10 in
    kept := List.filteri (fun i _ -> i < n) l;
    Gc.full_major ();
    let t = Unix.gettimeofday () in
    wait seconds;
    waited := !waited +. Unix.gettimeofday () -. t
  done;
  ignore (Sys.opaque_identity !kept);
  Printf.printf "%.3f %d %.1f\n" (Unix.gettimeofday () -. began -. !waited)
    (stat_field "/proc/self/stat" 9) (!resident_sum /. float !looks)
