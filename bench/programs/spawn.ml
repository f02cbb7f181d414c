(* spawn SEED TIMES: starts a domain and waits for its end, TIMES times.  Each
   makes about 3 MiB of strings and keeps a third, past its minor collections.
   Prints a checksum.  OCaml 5 only. *)

let bytes_kept = 1 lsl 20

let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

(* Strings with the number that each of their bytes is *)
let rec make r kept left =
  if left <= 0 then kept
  else begin
    let n = random r 200 and byte = random r 256 in
    let strings = List.init 3 (fun _ -> String.make n (Char.chr byte)) in
    make r ((List.hd (Sys.opaque_identity strings), byte) :: kept) (left - n - 64)
  end

let sum kept =
  let one total (s, byte) =
    if not (String.for_all (fun c -> Char.code c = byte) s) then begin
      prerr_endline "spawn: a string has changed";
      exit 2
    end;
    total + byte * String.length s in
  List.fold_left one 0 kept

let work seed () =
  let kept = make (ref seed) [] bytes_kept in
  Gc.minor ();
  sum kept

let () =
  let seed = int_of_string Sys.argv.(1) and total = ref 0 in
  for i = 1 to int_of_string Sys.argv.(2) do
    total := !total + Domain.join (Domain.spawn (work (seed + i)))
  done;
  Printf.printf "%d\n" !total
