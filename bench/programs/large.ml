(* large SEED DOMAINS MIB LEAST MOST STEPS: each domain keeps MIB in strings of
   LEAST to MOST words, and replaces one of them in each step.  Only their
   first and last pages are touched.  Prints a checksum.  OCaml 5 only. *)

let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let run seed mib least most steps =
  let r = ref seed in
  let string () = Bytes.create (8 * (least + random r (most - least + 1))) in
  let store = Array.init (mib * 131072 / ((least + most) / 2)) (fun _ -> string ()) in
  let sum = ref 0 in
  for _ = 1 to steps do
    let i = random r (Array.length store) in
    sum := !sum + Bytes.length store.(i);
    store.(i) <- string ()
  done;
  !sum

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let work n () = run (arg 1 + n) (arg 3) (arg 4) (arg 5) (arg 6) in
  let others =
    List.init (arg 2 - 1) (fun n -> Domain.spawn (work (n + 1))) in
  let first = work 0 () in
  let sum = List.fold_left (fun sum d -> sum + Domain.join d) first others in
  Printf.printf "%d\n" sum
