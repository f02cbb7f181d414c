(* genscript SEED GROUPS: prints a script for the OCaml toplevel, of so many
   groups of definitions: functions, types, modules, classes, lists and pattern
   matches.  The script computes a number, fails if it is not what was found here,
   and prints it. *)

let modulus = 10_007

let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let p = Printf.printf
let ints r n = List.init n (fun _ -> random r 1000)
let literal l = "[ " ^ String.concat "; " (List.map string_of_int l) ^ " ]"

(* Group [i] defines the number v[i] from the one before.  Each of these prints
   what the group is about, and gives an expression with its value. *)

let arithmetic r i =
  let a = 1 + random r 50 and b = random r 100 and x = random r 100 in
  p "let f%d x y = if x < %d then (x * %d + y) mod 1009 else abs (y - x)\n" i b a;
  Printf.sprintf "f%d %d %d" i x a,
  if x < b then (x * a + a) mod 1009 else abs (a - x)

let rec tree r i leaf depth =
  match if depth = 0 then random r 2 else 2 + random r 2 with
  | 0 -> Printf.sprintf "Leaf%d" i, leaf
  | 1 ->
    let n = random r 100 in
    Printf.sprintf "Number%d %d" i n, n + 1
  | 2 ->
    let text, value = tree r i leaf (depth - 1) in
    Printf.sprintf "Next%d { n = %d; rest = (%s) }" i depth text, value + depth
  | _ ->
    let left, a = tree r i leaf (depth - 1) in
    let right, b = tree r i leaf (depth - 1) in
    Printf.sprintf "Pair%d (%s, %s)" i left right, a + 2 * b

let variant r i =
  let leaf = random r 100 in
  p "type t%d =\n  | Leaf%d\n  | Number%d of int\n" i i i;
  p "  | Next%d of { n : int; rest : t%d }\n  | Pair%d of t%d * t%d\n" i i i i i;
  p "let rec f%d = function\n  | Leaf%d -> %d\n" i i leaf;
  p "  | Number%d n -> n + 1\n" i;
  p "  | Next%d { n; rest } -> n + f%d rest\n" i i;
  p "  | Pair%d (a, b) -> f%d a + 2 * f%d b\n" i i i;
  let text, value = tree r i leaf (2 + random r 3) in
  Printf.sprintf "f%d (%s)" i text, value

let structure r i =
  let count = random r 1000 and length = random r 20 and a = 1 + random r 9 in
  p "module M%d : sig\n  type t\n  val make : int -> string -> t\n" i;
  p "  val add : int -> t -> t\n  val size : t -> int\nend = struct\n";
  p "  type t = { count : int; name : string }\n";
  p "  let make count name = { count; name }\n";
  p "  let add n t = { t with count = t.count + %d * n }\n" a;
  p "  let size { count; name } = count + String.length name\nend\n";
  Printf.sprintf "M%d.(size (add %d (make %d %S)))" i length count
    (String.make length 'm'),
  count + a * length + length

let list r i =
  let l = ints r (5 + random r 30) and a = random r 10 and b = random r 1000 in
  p "let l%d = %s\n" i (literal l);
  p "let f%d = List.map (fun x -> (x, x + %d)) (List.filter (( > ) %d) l%d)\n"
    i a b i;
  Printf.sprintf "List.fold_left (fun n (x, y) -> n + x * y) 0 f%d" i,
  List.fold_left (fun n x -> if b > x then n + x * (x + a) else n) 0 l

let functor_use r i =
  let l = ints r 20 in
  p "module S%d = Set.Make (struct\n  type t = int\n" i;
  p "  let compare a b = compare (b : int) a\nend)\n";
  Printf.sprintf "S%d.(cardinal (of_list %s))" i (literal l),
  List.length (List.sort_uniq compare l)

let cases r i =
  let l = ints r (3 + random r 12) in
  p "let f%d = function\n" i;
  List.iteri (fun j n -> p "  | %d, \"case %d\" -> %d\n" j j n) l;
  p "  | n, s when n > 100 -> String.length s\n  | n, _ -> n\n";
  let j = random r (List.length l) in
  Printf.sprintf "f%d (%d, \"case %d\") + f%d (101, \"more\") + f%d (%d, \"\")"
    i j j i i j,
  List.nth l j + 4 + j

let labels r i =
  let a = random r 100 and b = random r 100 in
  p "let rec f%d ?(step = 1) ~stop g n =\n" i;
  p "  if n >= stop then [] else g n :: f%d ~step ~stop g (n + step)\n" i;
  Printf.sprintf
    "List.length (f%d ~stop:%d string_of_int 0)\n  \
     + List.fold_left ( + ) 0 (f%d ~step:%d ~stop:%d (fun n -> n) 0)"
    i a i (b + 1) b,
  a

let objects r i =
  let a = random r 1000 and b = random r 100 in
  p "class c%d start = object (self)\n  val mutable total = start\n" i;
  p "  method add n = total <- total + n\n";
  p "  method twice n = self#add n; self#add n\n";
  p "  method total : int = total\nend\n";
  Printf.sprintf "(let c = new c%d %d in c#twice %d; c#total)" i a b, a + 2 * b

let groups =
  [| arithmetic; variant; structure; list; functor_use; cases; labels; objects |]

let () =
  let r = ref (int_of_string Sys.argv.(1)) and n = int_of_string Sys.argv.(2) in
  let value = ref 0 in
  p "let v0 = 0\n";
  for i = 1 to n do
    let text, v = groups.(random r (Array.length groups)) r i in
    p "let v%d = (%d * v%d + %s) mod %d\n\n" i (i mod 9 + 1) (i - 1) text modulus;
    value := ((i mod 9 + 1) * !value + v) mod modulus
  done;
  p "let () =\n  if v%d <> %d then begin\n" n !value;
  p "    prerr_endline \"script: wrong result\";\n    exit 2\n  end;\n";
  p "  Printf.printf \"%%d\\n\" v%d\n" n
