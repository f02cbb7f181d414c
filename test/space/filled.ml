(* filled bytes|arrays WORDS ODD: fills a limited address space with blocks of
   so many words, which lie in pools, keeps one of ODD, compacts, and prints how
   many of these have changed, of how many blocks.  What becomes of the others
   darkens arrays, not bytes. *)

let words = int_of_string Sys.argv.(2)

module type KIND = sig
  type t
  val none : t
  val make : int -> t
  val is_made : int -> t -> bool
end

module Bytes_of = struct
  type t = bytes
  let none = Bytes.empty
  let make i =
    let b = Bytes.make (8 * words) ' ' in
    Bytes.set_int64_ne b 0 (Int64.of_int i);
    Bytes.set_int64_ne b (8 * (words - 1)) (Int64.of_int i);
    b
  let is_made i b =
    Bytes.length b = 8 * words
    && Bytes.get_int64_ne b 0 = Int64.of_int i
    && Bytes.get_int64_ne b (8 * (words - 1)) = Int64.of_int i
end

module Array_of = struct
  type t = int array
  let none = [||]
  let make i = Array.make words i
  let is_made i a =
    Array.length a = words && a.(0) = i && a.(words - 1) = i
end

let changed (type t) (module K : KIND with type t = t) odd =
  let blocks = Array.make 1_000_000 K.none and n = ref 0 in
  (try
     while !n < Array.length blocks do
       blocks.(!n) <- K.make !n;
       incr n
     done
   with Out_of_memory -> ());
  for i = 0 to !n - 1 do
    if i mod odd <> 0 then blocks.(i) <- K.none
  done;
  Gc.compact ();
  let changed = ref 0 in
  for i = 0 to !n - 1 do
    if i mod odd = 0 && not (K.is_made i blocks.(i)) then incr changed
  done;
  Printf.printf "%d of %d\n" !changed !n

let () =
  let odd = int_of_string Sys.argv.(3) in
  match Sys.argv.(1) with
  | "bytes" -> changed (module Bytes_of) odd
  | "arrays" -> changed (module Array_of) odd
  | _ -> prerr_endline "usage: filled bytes|arrays WORDS ODD"; exit 2
