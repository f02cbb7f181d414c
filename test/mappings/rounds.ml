(* rounds MIB ROUNDS: grows a heap to so many MiB of lists and arrays of every
   size, frees half of them here and there, compacts, and so on.  A line for
   each round: "RSS MAPPINGS", in MiB, after the compaction, and the most
   mappings: those beside the ones that it starts with, which are the kernel's,
   the libraries' and the program's. *)

let status name =
  let ic = open_in "/proc/self/status" in
  let rec find () =
    let line = input_line ic in
    match String.split_on_char ':' line with
    | [ key; value ] when key = name ->
      Scanf.sscanf value " %d kB" (fun kib -> kib / 1024)
    | _ -> find () in
  let value = find () in
  close_in ic;
  value

let mappings () =
  let ic = open_in "/proc/self/maps" in
  let rec count n = match input_line ic with
    | _ -> count (n + 1)
    | exception End_of_file -> n in
  let n = count 0 in
  close_in ic;
  n

let random = Random.State.make [| 42 |]

(* About [words] words in blocks of one size *)
let piece words =
  match Random.State.int random 4 with
  | 0 -> Obj.repr (List.init (words / 3) Fun.id)
  | 1 -> Obj.repr (List.init (words / 24) (fun i -> Array.make 20 i))
  | 2 -> Obj.repr (Array.make words 0)
  | _ -> Obj.repr (List.init (words / 1_000) (fun i -> Array.make 996 i))

(* 3 KiB to 1 MiB: 3,072 words as often as 131,072 *)
let words () = 384 lsl Random.State.int random 10

let () =
  let at_start = mappings () in
  let mappings () = mappings () - at_start in
  let mib = int_of_string Sys.argv.(1) in
  let heap = Array.make (mib * 16) (Obj.repr 0) in
  let sizes = Array.make (mib * 16) 0 in
  let filled = ref 0 in
  let put i piece words =
    filled := !filled + words - sizes.(i);
    heap.(i) <- piece;
    sizes.(i) <- words in
  let rec fill i =
    if !filled < mib * 131_072 then begin
      if sizes.(i) = 0 then
        (let words = words () in put i (piece words) words);
      fill (i + 1)
    end in
  let rec drop () =
    if !filled > mib * 65_536 then begin
      put (Random.State.int random (Array.length heap)) (Obj.repr 0) 0;
      drop ()
    end in
  let most = ref 0 in
  for _ = 1 to int_of_string Sys.argv.(2) do
    fill 0;
    most := max !most (mappings ());
    drop ();
    Gc.compact ();
    Printf.printf "%d %d\n%!" (status "VmRSS") (mappings ());
    most := max !most (mappings ())
  done;
  Printf.printf "%d\n" !most
