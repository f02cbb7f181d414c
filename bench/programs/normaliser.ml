(* normaliser SEED MIB ROUNDS: random expressions of sums and products over six
   variables, distributed and simplified to polynomials.  Equal expressions are
   made once: a table keeps those of late, so that the heap stays at about MIB.  A
   round makes as many as fill it once.  Prints a checksum. *)

(* A monomial is its variables, in order, each as often as its degree.  A
   polynomial is in the order of its monomials; no coefficient is 0. *)
type term = { coefficient : int; monomial : int list }

type expression = { id : int; shape : shape; normal : term list }
and shape =
  | Number of int
  | Variable of int
  | Sum of expression * expression
  | Product of expression * expression

module Table = Hashtbl.Make (struct
  type t = shape

  let equal a b =
    match a, b with
    | Number i, Number j | Variable i, Variable j -> i = j
    | Sum (a, b), Sum (c, d) | Product (a, b), Product (c, d) -> a == c && b == d
    | _ -> false

  let hash = function
    | Number i -> i land max_int
    | Variable i -> 17 * i + 5
    | Sum (a, b) -> (a.id * 65599 + b.id * 31 + 1) land max_int
    | Product (a, b) -> (a.id * 65599 + b.id * 31 + 2) land max_int
end)

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.8
let variables = 6
let degree = 9

(* Coefficients and values are below this *)
let modulus = 1_000_003

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let rec add p q =
  match p, q with
  | [], rest | rest, [] -> rest
  | a :: p', b :: q' ->
    let order = compare a.monomial b.monomial in
    if order < 0 then a :: add p' q
    else if order > 0 then b :: add p q'
    else
      match (a.coefficient + b.coefficient) mod modulus with
      | 0 -> add p' q'
      | coefficient -> { a with coefficient } :: add p' q'

let rec merge (m : int list) (n : int list) =
  match m, n with
  | [], rest | rest, [] -> rest
  | i :: m', j :: n' -> if i <= j then i :: merge m' n else j :: merge m n'

let times a b =
  { coefficient = a.coefficient * b.coefficient mod modulus;
    monomial = merge a.monomial b.monomial }

(* In halves, so that what is added is of like length *)
let rec multiply p q =
  match p with
  | [] -> []
  | [ a ] ->
    List.sort (fun a b -> compare a.monomial b.monomial) (List.map (times a) q)
  | _ ->
    let half = List.length p / 2 in
    let first = List.filteri (fun i _ -> i < half) p
    and second = List.filteri (fun i _ -> i >= half) p in
    add (multiply first q) (multiply second q)

let normalise = function
  | Number 0 -> []
  | Number i -> [ { coefficient = i; monomial = [] } ]
  | Variable i -> [ { coefficient = 1; monomial = [ i ] } ]
  | Sum (a, b) -> add a.normal b.normal
  | Product (a, b) -> multiply a.normal b.normal

(* Without the parts that other expressions have too *)
let words shape normal =
  let own = match shape with Product _ -> 6 + 3 * degree | _ -> 3 in
  16 + own * List.length normal

type table = {
  known : expression Table.t;
  order : shape Queue.t;
  limit : int;
  mutable size : int;
  mutable made : int;  (* words, ever *)
}

let rec shrink t =
  if t.size > t.limit then begin
    let shape = Queue.pop t.order in
    t.size <- t.size - words shape (Table.find t.known shape).normal;
    Table.remove t.known shape;
    shrink t
  end

let make t shape =
  match Table.find_opt t.known shape with
  | Some e -> e
  | None ->
    let e = { id = t.made; shape; normal = normalise shape } in
    let size = words shape e.normal in
    Table.replace t.known shape e;
    Queue.push shape t.order;
    t.size <- t.size + size;
    t.made <- t.made + size;
    shrink t;
    e

(* Of at most [size] leaves and at most this degree *)
let rec expression t r size degree =
  if size <= 1 then
    make t (if random r 4 = 0 then Number (random r 9)
            else Variable (random r variables))
  else begin
    let left = 1 + random r (size - 1) in
    if degree > 1 && random r 2 = 0 then begin
      let share = 1 + random r (degree - 1) in
      let a = expression t r left share in
      make t (Product (a, expression t r (size - left) (degree - share)))
    end else begin
      let a = expression t r left degree in
      make t (Sum (a, expression t r (size - left) degree))
    end
  end

let rec value at e =
  match e.shape with
  | Number i -> i
  | Variable i -> at.(i)
  | Sum (a, b) -> (value at a + value at b) mod modulus
  | Product (a, b) -> value at a * value at b mod modulus

let normal_value at e =
  let term_value t =
    List.fold_left (fun v i -> v * at.(i) mod modulus) t.coefficient t.monomial in
  List.fold_left (fun v t -> (v + term_value t) mod modulus) 0 e.normal

let () =
  let r = ref (int_of_string Sys.argv.(1)) in
  let mib = float_of_string Sys.argv.(2) in
  let limit = int_of_float (mib *. live_share *. 1048576.) / 8 in
  let t = { known = Table.create 1000; order = Queue.create (); limit; size = 0;
            made = 0 } in
  let sum = ref 0 in
  while t.made < int_of_string Sys.argv.(3) * limit do
    let e = expression t r (10 + random r 50) degree in
    let at = Array.init variables (fun _ -> random r modulus) in
    let v = value at e in
    if v <> normal_value at e then begin
      prerr_endline "normaliser: a polynomial is not equal to its expression";
      exit 2
    end;
    sum := !sum + v + List.length e.normal
  done;
  Printf.printf "%d\n" !sum
