(* bytecode SEED MIB ROUNDS: a stack machine with closures and environments, and a
   small Lisp that is compiled to it.  A round runs its programs: primes, queens,
   rewriting, sorting.  Results are kept, so that the heap stays at about MIB.
   Prints a checksum.  Meant to be compiled to bytecode. *)

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.33

let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let fail what = prerr_endline ("bytecode: " ^ what); exit 2

(* Text of the Lisp *)

type term = Atom of string | List of term list

let words text =
  let b = Buffer.create 1000 in
  String.iter (function
      | ('(' | ')') as c -> Buffer.add_char b ' '; Buffer.add_char b c;
        Buffer.add_char b ' '
      | '\n' -> Buffer.add_char b ' '
      | c -> Buffer.add_char b c) text;
  List.filter (( <> ) "") (String.split_on_char ' ' (Buffer.contents b))

(* Terms up to the bracket that closes, and the words behind it *)
let rec terms before = function
  | [] -> List.rev before, []
  | ")" :: rest -> List.rev before, rest
  | "(" :: rest ->
    let inside, rest = terms [] rest in
    terms (List inside :: before) rest
  | word :: rest -> terms (Atom word :: before) rest

(* The machine *)

type operation =
  | Add | Subtract | Multiply | Modulo | Less | Equal
  | Pair | Head | Tail | Is_pair

type instruction =
  | Push of int
  | Push_empty
  | Variable of int  (* so many places from the top of the environment *)
  | Global of int
  | Close of instruction list  (* of one parameter *)
  | Call
  | Bind  (* from the stack to the environment *)
  | Unbind
  | Choose of instruction list * instruction list
  | Do of operation

type value =
  | Int of int
  | Empty
  | Cell of value * value
  | Closure of instruction list * value list

let truth b = Int (if b then 1 else 0)

let operate operation a b =
  match operation, a, b with
  | Add, Int a, Int b -> Int (a + b)
  | Subtract, Int a, Int b -> Int (a - b)
  | Multiply, Int a, Int b -> Int (a * b)
  | Modulo, Int a, Int b -> Int (a mod b)
  | Less, Int a, Int b -> truth (a < b)
  | Equal, Int a, Int b -> truth (a = b)
  | Pair, a, b -> Cell (a, b)
  | _ -> fail "wrong operands"

let operate_one operation a =
  match operation, a with
  | Head, Cell (a, _) | Tail, Cell (_, a) -> a
  | Is_pair, Cell _ -> Int 1
  | Is_pair, _ -> Int 0
  | _ -> fail "wrong operand"

(* Where calls return to: the code and the environment there.  A call at the end
   of a function adds none. *)
let returning code environment frames =
  match code with [] -> frames | _ -> (code, environment) :: frames

let rec run globals code stack environment frames =
  match code, stack with
  | [], _ ->
    (match frames, stack with
     | (code, environment) :: frames, _ ->
       run globals code stack environment frames
     | [], [ result ] -> result
     | _ -> fail "no result")
  | Push i :: code, _ -> run globals code (Int i :: stack) environment frames
  | Push_empty :: code, _ -> run globals code (Empty :: stack) environment frames
  | Variable n :: code, _ ->
    run globals code (List.nth environment n :: stack) environment frames
  | Global n :: code, _ ->
    run globals code (globals.(n) :: stack) environment frames
  | Close body :: code, _ ->
    run globals code (Closure (body, environment) :: stack) environment frames
  | Call :: code, x :: Closure (body, closed) :: stack ->
    run globals body stack (x :: closed) (returning code environment frames)
  | Bind :: code, x :: stack -> run globals code stack (x :: environment) frames
  | Unbind :: code, _ -> run globals code stack (List.tl environment) frames
  | Choose (yes, no) :: code, Int test :: stack ->
    run globals (if test = 0 then no else yes) stack environment
      (returning code environment frames)
  | Do (Head | Tail | Is_pair as operation) :: code, a :: stack ->
    run globals code (operate_one operation a :: stack) environment frames
  | Do operation :: code, b :: a :: stack ->
    run globals code (operate operation a b :: stack) environment frames
  | _ -> fail "the stack is too short"

(* From terms to code *)

let operations =
  [ "+", Add; "-", Subtract; "*", Multiply; "mod", Modulo; "<", Less; "=", Equal;
    "cons", Pair; "head", Head; "tail", Tail; "pair?", Is_pair ]

let rec place name n = function
  | [] -> None
  | first :: _ when first = name -> Some n
  | _ :: rest -> place name (n + 1) rest

(* [local] and [global]: names of variables, as they lie in the environment *)
let rec compile global local term =
  let code = compile global local in
  match term with
  | Atom "nil" -> [ Push_empty ]
  | Atom name ->
    (match int_of_string_opt name, place name 0 local with
     | Some i, _ -> [ Push i ]
     | None, Some n -> [ Variable n ]
     | None, None ->
       match place name 0 global with
       | Some n -> [ Global n ]
       | None -> fail ("no variable " ^ name))
  | List [ Atom "if"; test; yes; no ] ->
    code test @ [ Choose (code yes, code no) ]
  | List [ Atom "let"; Atom name; value; body ] ->
    code value @ Bind :: compile global (name :: local) body @ [ Unbind ]
  | List [ Atom "fun"; List names; body ] -> lambda global local names body
  | List (Atom name :: arguments) when List.mem_assoc name operations ->
    List.concat_map code arguments @ [ Do (List.assoc name operations) ]
  | List (f :: arguments) ->
    code f @ List.concat_map (fun a -> code a @ [ Call ]) arguments
  | List [] -> fail "nothing to call"

(* A function of several parameters is one that makes the next *)
and lambda global local names body =
  match names with
  | [] -> compile global local body
  | Atom name :: names ->
    [ Close (lambda global (name :: local) names body) ]
  | List _ :: _ -> fail "a parameter is no name"

(* All functions that the text defines; each may call each *)
let load text =
  let definition = function
    | List [ Atom "define"; Atom name; value ] -> name, value
    | _ -> fail "no definition" in
  let definitions = List.map definition (fst (terms [] (words text))) in
  let names = List.map fst definitions in
  let globals = Array.make (List.length names) Empty in
  List.iteri
    (fun i (_, value) ->
       globals.(i) <- run globals (compile names [] value) [] [] [])
    definitions;
  fun text ->
    match terms [] (words text) with
    | [ term ], [] -> run globals (compile names [] term) [] [] []
    | _ -> fail "no term"

let library = "
(define range (fun (a b) (if (< a b) (cons a (range (+ a 1) b)) nil)))
(define filter (fun (f l)
  (if (pair? l)
      (if (f (head l))
          (cons (head l) (filter f (tail l)))
          (filter f (tail l)))
      nil)))
(define fold (fun (f x l) (if (pair? l) (fold f (f x (head l)) (tail l)) x)))
(define append (fun (l m)
  (if (pair? l) (cons (head l) (append (tail l) m)) m)))
(define length (fold (fun (n x) (+ n 1)) 0))

(define sieve (fun (l)
  (if (pair? l)
      (cons (head l)
            (sieve (filter (fun (n) (< 0 (mod n (head l)))) (tail l))))
      nil)))
(define primes (fun (n) (sieve (range 2 n))))

(define safe (fun (queen distance placed)
  (if (pair? placed)
      (let difference (- queen (head placed))
        (if (= difference 0) 0
          (if (= (* difference difference) (* distance distance)) 0
            (safe queen (+ distance 1) (tail placed)))))
      1)))
(define extend (fun (n placed)
  (fold (fun (all queen)
          (if (safe queen 1 placed) (cons (cons queen placed) all) all))
        nil (range 0 n))))
(define place (fun (n rows)
  (if (= rows 0)
      (cons nil nil)
      (fold (fun (all placed) (append (extend n placed) all))
            nil (place n (- rows 1))))))
(define queens (fun (n) (place n n)))

(define rewrite (fun (word)
  (fold (fun (made letter)
          (if (= letter 0) (cons 1 (cons 0 made)) (cons 0 made)))
        nil word)))
(define rewritten (fun (times word)
  (if (= times 0) word (rewritten (- times 1) (rewrite word)))))

(define numbers (fun (n seed)
  (if (= n 0) nil
    (let next (mod (* seed 37) 997)
      (cons next (numbers (- n 1) next))))))
(define sort (fun (l)
  (if (pair? l)
      (append (sort (filter (fun (x) (< x (head l))) (tail l)))
        (cons (head l)
          (sort (filter (fun (x) (< (- (head l) 1) x)) (tail l)))))
      nil)))
"

(* Results, and what they are to be *)

let rec ints = function
  | Empty -> []
  | Cell (Int i, rest) -> i :: ints rest
  | _ -> fail "not a list of numbers"

let rec words_of = function
  | Cell (a, b) -> 3 + words_of a + words_of b
  | Int _ -> 2
  | _ -> 0

let rec lists = function
  | Empty -> []
  | Cell (l, rest) -> ints l :: lists rest
  | _ -> fail "not a list of lists"

let is_prime n =
  let rec from d = d * d > n || (n mod d <> 0 && from (d + 1)) in
  from 2

(* Attacks neither in a column nor in a diagonal *)
let rec is_placed = function
  | [] -> true
  | queen :: rest ->
    let apart i other = other <> queen && abs (other - queen) <> i + 1 in
    not (List.mem false (List.mapi apart rest)) && is_placed rest

let rec fibonacci n = if n < 2 then n else fibonacci (n - 1) + fibonacci (n - 2)

type job = Primes of int | Queens of int | Rewriting of int | Sorting of int * int

let text = function
  | Primes n -> Printf.sprintf "(primes %d)" n
  | Queens n -> Printf.sprintf "(queens %d)" n
  | Rewriting n -> Printf.sprintf "(rewritten %d (cons 0 nil))" n
  | Sorting (n, seed) -> Printf.sprintf "(sort (numbers %d %d))" n seed

let is_right job value =
  match job with
  | Primes n ->
    ints value = List.filter is_prime (List.init (n - 2) (fun i -> i + 2))
  | Queens n ->
    let solutions = [| 1; 1; 0; 0; 2; 10; 4; 40 |] and all = lists value in
    List.length all = solutions.(n) && List.for_all is_placed all
  | Rewriting n -> List.length (ints value) = fibonacci (n + 2)
  | Sorting (n, seed) ->
    let rec numbers n x =
      if n = 0 then [] else let x = x * 37 mod 997 in x :: numbers (n - 1) x in
    ints value = List.sort compare (numbers n seed)

let random_job r =
  match random r 4 with
  | 0 -> Primes (50 + random r 200)
  | 1 -> Queens (4 + random r 3)
  | 2 -> Rewriting (8 + random r 14)
  | _ -> Sorting (50 + random r 200, 1 + random r 900)

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = ref (arg 1) and evaluate = load library in
  let limit = int_of_float (live_share *. float (arg 2 * 1048576 / 8)) in
  let kept = Queue.create () and size = ref 0 and sum = ref 0 in
  let check (job, value) =
    if not (is_right job value) then fail ("wrong result of " ^ text job) in
  for _ = 1 to arg 3 * 100 do
    let job = random_job r in
    let value = evaluate (text job) in
    Queue.push (job, value) kept;
    size := !size + words_of value;
    sum := !sum + words_of value;
    while !size > limit do
      let old = Queue.pop kept in
      check old;
      size := !size - words_of (snd old)
    done
  done;
  Queue.iter check kept;
  Printf.printf "%d\n" !sum
