(* phases SEED MIB SECONDS [stay]: a peak of MIB, then work on the scattered
   twentieth that survives.  A step replaces one of the survivors, so that they
   gather again; or these stay where they are, and it replaces one of 100,000 copies.
   Prints RSS at the end and its mean over the work in MiB, the heap at the end in
   MiB, compactions, and thousands of steps. *)

let words_in_mib = 1024 * 1024 / (Sys.word_size / 8)

let rss () =
  let ic = open_in "/proc/self/statm" in
  let line = input_line ic in
  close_in ic;
  Scanf.sscanf line "%d %d" (fun _ pages -> pages / 256)

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = Random.State.make [| arg 1 |] in
  let seconds = float (arg 3) and stay = Array.length Sys.argv > 4 in
  (* 130 bytes each, with the block around it *)
  let n = arg 2 * 1024 * 1024 / 130 in
  let blocks =
    Array.init n
      (fun i -> Some (String.make (8 + Random.State.int r 190) 'x', i)) in
  Array.iteri (fun i _ -> if i mod 20 <> 0 then blocks.(i) <- None) blocks;
  let copies = Array.make 100_000 "" in
  let began = Unix.gettimeofday () in
  let at = ref 0 and steps = ref 0 and looks = ref 0 and sum = ref 0 in
  while Unix.gettimeofday () -. began < seconds do
    for _ = 1 to 1000 do
      at := (!at + 7) mod (n / 20);
      match blocks.(20 * !at) with
      | Some (s, j) ->
        let copy = String.concat "" [ s ] in
        if stay then copies.(!at mod Array.length copies) <- copy
        else blocks.(20 * !at) <- Some (copy, j + 1)
      | None -> assert false
    done;
    incr steps;
    if float !looks *. 0.1 < Unix.gettimeofday () -. began then begin
      incr looks;
      sum := !sum + rss ()
    end
  done;
  let s = Gc.quick_stat () in
  Printf.printf "%d %d %d %d %d\n" (rss ()) (!sum / !looks)
    (s.heap_words / words_in_mib) s.compactions !steps
