(* trees SEED MIB ROUNDS: binary trees of different depths, built and dropped,
   while others live longer.  The heap stays at about MIB; a round builds as much
   as the long-lived trees hold, half of it to replace some of them.  Prints a
   checksum. *)

type tree = Leaf | Node of { left : tree; key : int; right : tree }

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.36
let bytes_in_node = 32

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let rec build key depth =
  if depth = 0 then Leaf
  else begin
    let left = build (2 * key) (depth - 1) in
    let right = build (2 * key + 1) (depth - 1) in
    Node { left; key; right }
  end

let rec is_built tree key depth =
  match tree with
  | Leaf -> depth = 0
  | Node n ->
    n.key = key && is_built n.left (2 * key) (depth - 1)
    && is_built n.right (2 * key + 1) (depth - 1)

let nodes depth = 1 lsl depth - 1

(* 3 to 16.  A deeper one is rarer, so that each depth has as many nodes. *)
let rec random_depth r =
  let depth = 3 + random r 14 in
  if random r (nodes depth) < nodes 3 then depth else random_depth r

type planted = { tree : tree; key : int; depth : int }

let plant r depth =
  let key = 1 + random r 1000 in
  { tree = build key depth; key; depth }

(* Checks a tree that is about to be dropped *)
let sum p =
  if not (is_built p.tree p.key p.depth) then begin
    prerr_endline "trees: a tree has changed";
    exit 2
  end;
  p.key * p.depth

let rec forest r size planted =
  if size <= 0 then Array.of_list planted
  else begin
    let depth = random_depth r in
    forest r (size - nodes depth) (plant r depth :: planted)
  end

let () =
  let r = ref (int_of_string Sys.argv.(1)) in
  let mib = float_of_string Sys.argv.(2) in
  let size = int_of_float (mib *. live_share *. 1048576.) / bytes_in_node in
  let kept = forest r size [] in
  let total = ref 0 in
  for _ = 1 to int_of_string Sys.argv.(3) do
    let built = ref 0 in
    while !built < size do
      let at = random r (Array.length kept) in
      let depth = kept.(at).depth in
      total := !total + sum kept.(at);
      (* as deep as the old one, so that the heap stays as large *)
      kept.(at) <- plant r depth;
      total := !total + sum (plant r depth);
      built := !built + 2 * nodes depth
    done
  done;
  let all = Array.fold_left (fun total p -> total + sum p) !total kept in
  Printf.printf "%d\n" all
