(* Grows a heap of small and large blocks, drops half of it in a scattered
   way, compacts, drops the rest, compacts.  After each step one line on
   standard output: the step, the process's RSS (MiB), its mappings, its page
   faults so far and the milliseconds the step took, separated by tabs. *)

let mib = 1024 * 1024

(* About [bytes] of blocks, one list of them to a slot: mostly small ones,
   and for every 64 KiB of those a large one of 16 to 256 KiB. *)
let grow bytes =
  let slot_small = 64 * 1024 in
  let random = Random.State.make [| 42 |] in
  let slot () =
    let rec small acc left =
      if left <= 0 then acc
      else
        let words = 1 + Random.State.int random 20 in
        small (Array.make words 0 :: acc) (left - 8 * (words + 4)) in
    let large = 16 * 1024 + Random.State.int random (240 * 1024) in
    small [] slot_small, Bytes.make large 'x', large in
  let rec fill acc left =
    if left <= 0 then acc
    else
      let (_, _, large) as s = slot () in
      fill (s :: acc) (left - slot_small - large) in
  Array.of_list (List.rev_map (fun (s, l, _) -> s, l) (fill [] bytes))

(* Every second block of each slot, and every second large one. *)
let drop_half slots =
  let rec halve = function
    | a :: _ :: rest -> a :: halve rest
    | rest -> rest in
  Array.mapi
    (fun i (small, large) ->
       halve small, if i land 1 = 0 then large else Bytes.empty)
    slots

let in_channel name f =
  let ic = open_in name in
  Fun.protect ~finally:(fun () -> close_in ic) (fun () -> f ic)

let rec count_lines ic n =
  match input_line ic with
  | _ -> count_lines ic (n + 1)
  | exception End_of_file -> n

let rec kib_of_field ic field =
  let line = input_line ic in
  match String.index_opt line ':' with
  | Some i when String.sub line 0 i = field ->
      Scanf.sscanf (String.sub line (i + 1) (String.length line - i - 1))
        " %d kB" Fun.id
  | _ -> kib_of_field ic field

(* Minor page faults: the 10th field of proc(5)'s stat; the second one, the
   program's name, is in parentheses and may hold anything. *)
let page_faults () =
  in_channel "/proc/self/stat" (fun ic ->
      let line = input_line ic in
      let after = String.rindex line ')' + 2 in
      Scanf.sscanf
        (String.sub line after (String.length line - after))
        "%c %d %d %d %d %d %d %d" (fun _ _ _ _ _ _ _ minflt -> minflt))

let step name f =
  let start = Unix.gettimeofday () in
  let result = f () in
  let ms = (Unix.gettimeofday () -. start) *. 1000. in
  let rss = in_channel "/proc/self/status"
    (fun ic -> kib_of_field ic "VmRSS") in
  let mappings = in_channel "/proc/self/maps" (fun ic -> count_lines ic 0) in
  Printf.printf "%s\t%d\t%d\t%d\t%.0f\n%!"
    name (rss / 1024) mappings (page_faults ()) ms;
  result

let () =
  let size =
    if Array.length Sys.argv > 1 then int_of_string Sys.argv.(1) else 1024 in
  step "start" ignore;
  let slots = ref (step (Printf.sprintf "grow to %d MiB" size)
                     (fun () -> grow (size * mib))) in
  step "drop half, scattered" (fun () -> slots := drop_half !slots);
  step "Gc.compact" Gc.compact;
  ignore (Sys.opaque_identity !slots);
  step "drop the rest" (fun () -> slots := [||]);
  step "Gc.compact" Gc.compact
