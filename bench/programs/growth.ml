(* growth SEED MIB KIND: a heap that grows to MIB, all of it kept, and ends.
   KIND: small (lists, records and strings of up to 16 words), boundary (blocks of
   100 to 160 words, around the limit of 128 between stock's pools and large blocks),
   large (arrays of 2,000 to 60,000 words).  Prints a checksum. *)

type item =
  | Numbers of int list
  | Record of { key : int; weight : float; name : string; previous : item }
  | Text of string
  | Block of int array

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

(* What this item alone takes, with its headers and its place in the list *)
let words item =
  let text s = String.length s / 8 + 2 in
  3 + match item with
  | Numbers l -> 2 + 3 * List.length l
  | Record i -> 7 + text i.name
  | Text s -> 2 + text s
  | Block a -> 3 + Array.length a

let small r previous =
  match random r 3 with
  | 0 -> Numbers (List.init (1 + random r 8) (fun i -> i))
  | 1 ->
    let key = random r 1000 in
    Record { key; weight = float key; name = String.make (random r 24) 'n';
             previous }
  | _ -> Text (String.make (random r 127) 't')

let block r least most =
  Block (Array.make (least + random r (most - least + 1)) 7)

let make kind r previous =
  match kind with
  | "small" -> small r previous
  | "boundary" when random r 2 = 0 ->
    Text (String.make (8 * (100 + random r 61) - 1) 't')
  | "boundary" -> block r 100 160
  | "large" -> block r 2_000 60_000
  | _ -> prerr_endline "growth: unknown kind"; exit 2

(* Little of each item is read: the growth is what counts *)
let look = function
  | Numbers l -> List.fold_left (+) 1 l
  | Record i -> i.key + int_of_float i.weight + String.length i.name
  | Text "" -> 3
  | Text s -> String.length s + Char.code s.[String.length s - 1]
  | Block a -> Array.length a + a.(0) + a.(Array.length a - 1)

let () =
  let r = ref (int_of_string Sys.argv.(1)) in
  let limit = int_of_string Sys.argv.(2) * 1024 * 1024 / 8 in
  let kept = ref [] and taken = ref 0 and sum = ref 0 and last = ref (Text "") in
  while !taken < limit do
    let item = make Sys.argv.(3) r !last in
    kept := item :: !kept;
    taken := !taken + words item;
    sum := !sum + look item;
    last := item
  done;
  if List.fold_left (fun sum item -> sum + look item) 0 !kept <> !sum then begin
    prerr_endline "growth: an item has changed";
    exit 2
  end;
  Printf.printf "%d\n" !sum
