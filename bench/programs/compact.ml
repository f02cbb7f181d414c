(* compact SEED MIB EMPTY [records]: grows a heap to MIB of small blocks, or of
   records with strings, drops EMPTY percent of it, scattered, and compacts.  Prints
   the seconds that took, and the resident set after it in MiB. *)

let resident () =
  let ic = open_in "/proc/self/statm" in
  let line = input_line ic in
  close_in ic;
  Scanf.sscanf line "%d %d" (fun _ pages -> pages / 256)

let numbers bytes = List.init (bytes / 40) (fun i -> Some (Obj.repr i))

(* 8 to 200 bytes, 147 with all that holds them *)
let records bytes =
  List.init (bytes / 147) (fun i ->
    Some (Obj.repr (i, String.make (8 + (i * 7919 mod 193)) 'x')))

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let grow = if Array.length Sys.argv > 4 then records else numbers in
  let r = Random.State.make [| arg 1 |] in
  let kept = ref (grow (arg 2 lsl 20)) in
  kept := List.filter (fun _ -> Random.State.int r 100 >= arg 3) !kept;
  let began = Unix.gettimeofday () in
  Gc.compact ();
  let seconds = Unix.gettimeofday () -. began in
  Printf.printf "%.3f %d\n" seconds (resident ());
  ignore (Sys.opaque_identity !kept)
