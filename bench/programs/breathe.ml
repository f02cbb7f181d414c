(* breathe SEED MIB ROUNDS WAIT: a heap that grows to MIB, keeps a tenth of it side by
   side, waits for WAIT seconds, and grows again, ROUNDS times.  Prints the seconds
   but for the waits, and the mean of its resident set in MiB, looked at twenty
   times a round and while it waits. *)

let resident_sum = ref 0. and looks = ref 0

let look () =
  let ic = open_in "/proc/self/statm" in
  let line = input_line ic in
  close_in ic;
  incr looks;
  resident_sum := !resident_sum
                  +. Scanf.sscanf line "%d %d" (fun _ pages -> float pages /. 256.)

let wait seconds =
  for _ = 1 to int_of_float (seconds /. 0.05) do Unix.sleepf 0.05; look () done

(* Lists of strings of 8 to 200 bytes *)
let grow r bytes =
  let l = ref [] and size = ref 0 and next = ref 0 in
  while !size < bytes do
    let n = 8 + Random.State.int r 193 in
    l := Bytes.make n 'x' :: !l;
    size := !size + n + 40;
    if !size >= !next then (look (); next := !next + bytes / 20)
  done;
  !l

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = Random.State.make [| arg 1 |] in
  let seconds = float_of_string Sys.argv.(4) in
  let began = Unix.gettimeofday () and waited = ref 0. in
  let kept = ref [] in
  for _ = 1 to arg 3 do
    kept := [];
    let l = grow r (arg 2 lsl 20) in
    let n = List.length l / 10 in
    kept := List.filteri (fun i _ -> i < n) l;
    Gc.full_major ();
    let t = Unix.gettimeofday () in
    wait seconds;
    waited := !waited +. Unix.gettimeofday () -. t
  done;
  ignore (Sys.opaque_identity !kept);
  Printf.printf "%.3f %.1f\n" (Unix.gettimeofday () -. began -. !waited)
    (!resident_sum /. float !looks)
