(* strings SEED MIB ROUNDS: strings of 8 to 4,000 bytes, built with buffers, by
   concatenation and as parts of others, and now and then one of 100 KiB to 1 MiB.
   They are kept in a ring, so that the heap stays at about MIB; a round makes as
   many as the ring holds.  Prints a checksum. *)

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.4

(* With the rare large ones *)
let mean_bytes = 1100

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

(* As many from 8 to 16 as from 16 to 32, and so on *)
let random_length r =
  let least = 8 lsl random r 9 in
  min 4000 (least + random r least)

let any r ring = fst ring.(random r (Array.length ring))

(* At most [length] bytes of one in the ring *)
let part r ring length =
  let s = any r ring in
  let length = min length (String.length s) in
  String.sub s (random r (String.length s - length + 1)) length

let buffered r ring length =
  let b = Buffer.create 16 in
  while Buffer.length b < length do
    Buffer.add_string b (string_of_int (random r 1_000_000));
    Buffer.add_char b ' ';
    Buffer.add_string b (part r ring (min 200 (length - Buffer.length b + 8)))
  done;
  Buffer.contents b

let concatenated r ring length =
  let rec parts left =
    if left <= 0 then []
    else begin
      let p = part r ring (min left (8 + random r 300)) in
      p :: parts (left - String.length p - 2)
    end in
  String.concat ", " (parts length)

let make r ring =
  match random r 1500 with
  | 0 -> buffered r ring (102_400 + random r 946_176)
  | n when n mod 3 = 0 -> buffered r ring (random_length r)
  | n when n mod 3 = 1 -> concatenated r ring (random_length r)
  | _ ->
    let s = part r ring (random_length r) in
    if String.length s < 8 then string_of_int (10_000_000 + random r 1000) else s

(* Of a few bytes: to make the string is what counts *)
let sum s =
  let n = String.length s in
  let rec from i sum =
    if i >= n then sum else from (i + 61) (sum * 31 + Char.code s.[i]) in
  from (n mod 7) n land 0xffffff

let summed s = s, sum s

let check (s, summed) =
  if sum s <> summed then begin
    prerr_endline "strings: a string has changed";
    exit 2
  end

let () =
  let r = ref (int_of_string Sys.argv.(1)) in
  let mib = float_of_string Sys.argv.(2) in
  let slots =
    int_of_float (mib *. live_share *. 1048576.) / (mean_bytes + 40) in
  let ring = Array.make slots (summed (String.init 4000 (fun _ -> 's'))) in
  let at = ref 0 and total = ref 0 in
  (* the first one fills the ring *)
  for _ = 0 to int_of_string Sys.argv.(3) do
    for _ = 1 to slots do
      (* some are passed over, and live longer *)
      at := (!at + 1 + random r 3) mod slots;
      check ring.(!at);
      ring.(!at) <- summed (make r ring);
      total := !total + snd ring.(!at)
    done
  done;
  Array.iter check ring;
  Printf.printf "%d\n" !total
