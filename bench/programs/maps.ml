(* maps SEED MIB ROUNDS: versions of two persistent maps, one with int and one
   with string keys, kept in a ring.  A new version is the last one with bindings
   added and removed, at times after a union with part of an older one.  The heap
   stays at about MIB; a round makes as many versions as the ring holds.  Prints a
   checksum. *)

module type Key = sig
  include Map.OrderedType
  val of_int : int -> t
end

module Int_key = struct
  type t = int
  let compare (a : int) b = compare a b
  let of_int i = i
end

module String_key = struct
  type t = string
  let compare = String.compare
  let of_int i = Printf.sprintf "key %d of some" (i * 7919 mod 1_000_003)
end

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let fail () = prerr_endline "maps: a map has changed"; exit 2

module Versions (K : Key) = struct
  module M = Map.Make (K)

  type value = { number : int; text : string }

  (* [sum] is of the numbers of all bindings, and is carried along *)
  type version = { map : value M.t; sum : int }

  let empty = { map = M.empty; sum = 0 }

  let number v key = match M.find_opt key v.map with
    | Some value -> value.number
    | None -> 0

  let insert r v i =
    let key = K.of_int i in
    let n = 1 + random r 1000 in
    let value = { number = n; text = String.make (random r 20) 'v' } in
    { map = M.add key value v.map; sum = v.sum + value.number - number v key }

  let remove v i =
    let key = K.of_int i in
    { map = M.remove key v.map; sum = v.sum - number v key }

  let sum map = M.fold (fun _ value sum -> sum + value.number) map 0

  let check v = if sum v.map <> v.sum then fail ()

  (* The keys below one of [v], and those from there on of [w] *)
  let join v w i =
    let key = K.of_int i in
    let low, _, _ = M.split key v.map in
    let _, at, high = M.split key w.map in
    let at = match at with
      | None -> M.empty
      | Some value -> M.singleton key value in
    let either _ a _ = Some a in
    let map = M.union either low (M.union either at high) in
    { map; sum = sum map }

  (* Half of the keys are bound *)
  let rec edit r keys times v =
    if times = 0 then v
    else begin
      let i = random r keys in
      let v = if random r 2 = 0 then insert r v i else remove v i in
      edit r keys (times - 1) v
    end

  let next r ring keys v =
    let older = ring.(random r (Array.length ring)) in
    let v = if random r 8 = 0 then join v older (random r keys) else v in
    edit r keys (keys / 20) v

  let start r keys versions =
    let all = List.init (keys / 2) (fun i -> 2 * i) in
    Array.make versions (List.fold_left (insert r) empty all)

  let round r ring keys =
    let last = ref ring.(Array.length ring - 1) in
    check ring.(0);
    for i = 0 to Array.length ring - 1 do
      last := next r ring keys !last;
      ring.(i) <- !last
    done

  let checksum ring = Array.fold_left (fun n v -> check v; n + v.sum) 0 ring
end

module Ints = Versions (Int_key)
module Strings = Versions (String_key)

let versions = 16

(* How many keys make a heap of one MiB *)
let keys_in_mib = 850

let () =
  let r = ref (int_of_string Sys.argv.(1)) in
  let keys = int_of_string Sys.argv.(2) * keys_in_mib in
  let ints = Ints.start r keys versions in
  let strings = Strings.start r keys versions in
  for _ = 1 to int_of_string Sys.argv.(3) do
    Ints.round r ints keys;
    Strings.round r strings keys
  done;
  Printf.printf "%d\n" (Ints.checksum ints + Strings.checksum strings)
