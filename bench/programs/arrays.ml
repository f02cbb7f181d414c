(* arrays SEED MIB LEAST MOST STEPS: a store of MIB of arrays of LEAST to MOST words;
   a step replaces one of them.  Prints a checksum. *)

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = ref (arg 1) and least = arg 3 and most = arg 4 in
  let n = arg 2 * 131072 / ((least + most) / 2) in
  let array i = Array.make (least + random r (most - least + 1)) i in
  let store = Array.init n array in
  let sum = ref 0 in
  for step = 1 to arg 5 do
    let i = random r n in
    let old = store.(i) in
    if old.(0) <> i || old.(Array.length old - 1) <> i then begin
      prerr_endline "arrays: an array has changed";
      exit 2
    end;
    sum := (!sum + step * Array.length old) land (1 lsl 48 - 1);
    store.(i) <- array i
  done;
  Printf.printf "%d\n" !sum
