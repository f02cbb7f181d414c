(* parse SEED MIB ROUNDS FILE: reads an OCaml source file, cuts it into lexemes,
   and builds the tree of its brackets with positions, again and again.  The last
   trees are kept, so that the heap stays at about MIB; a round builds as many as
   are kept.  Prints a checksum. *)

type kind = Word | Number | Text | Comment | Operator

type position = { offset : int; line : int; column : int }

type tree =
  | Lexeme of kind * string * position
  | Group of { opening : string; inside : tree list; start : position }

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.35

(* Not that of Stdlib, which is another one in OCaml 4 *)
let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let fail what = prerr_endline ("parse: " ^ what); exit 2

let read file =
  let ic = open_in_bin file in
  let s = really_input_string ic (in_channel_length ic) in
  close_in ic;
  s

(* The end of the file reads as zeros *)
let at s i = if i < String.length s then s.[i] else '\000'

let rec skip s i is = if is (at s i) then skip s (i + 1) is else i

let is_letter = function
  | 'a' .. 'z' | 'A' .. 'Z' | '0' .. '9' | '_' | '\'' -> true
  | _ -> false

let is_in_number c = is_letter c && c <> '\'' || c = '.'

let is_operator = function
  | '!' | '$' | '%' | '&' | '*' | '+' | '-' | '.' | '/' | ':' | '<' | '=' | '>'
  | '?' | '@' | '^' | '|' | '~' | '#' -> true
  | _ -> false

let is_blank c = c = ' ' || c = '\n' || c = '\t' || c = '\r'

(* The end of the string whose first character after the quote is at [i] *)
let rec string_end s i =
  match at s i with
  | '"' -> i + 1
  | '\\' -> string_end s (i + 2)
  | '\000' -> fail "a string without end"
  | _ -> string_end s (i + 1)

(* The same for {id|, with |id} to end it *)
let quoted_end s i mark =
  let close = "|" ^ mark ^ "}" in
  let n = String.length close in
  let rec from i =
    if i + n > String.length s then fail "a quoted string without end"
    else if String.sub s i n = close then i + n
    else from (i + 1) in
  from i

(* The mark of the quoted string that starts at [i], if one does *)
let quote_mark s i =
  let stop = skip s (i + 1) (fun c -> c = '_' || (c >= 'a' && c <= 'z')) in
  if at s i = '{' && at s stop = '|' then
    Some (String.sub s (i + 1) (stop - i - 1))
  else None

(* The end of the character that starts at [i], or of the quote alone *)
let character_end s i =
  if at s (i + 1) = '\\' then
    skip s (i + 3) (fun c -> c <> '\'' && c <> '\n' && c <> '\000') + 1
  else if at s (i + 2) = '\'' then i + 3
  else i + 1

let rec comment_end s i depth =
  match at s i with
  | '*' when at s (i + 1) = ')' ->
    if depth = 1 then i + 2 else comment_end s (i + 2) (depth - 1)
  | '(' when at s (i + 1) = '*' -> comment_end s (i + 2) (depth + 1)
  | '"' -> comment_end s (string_end s (i + 1)) depth
  | '\'' -> comment_end s (character_end s i) depth
  | '\000' -> fail "a comment without end"
  | _ -> comment_end s (i + 1) depth

(* Which lexeme starts at [i], and where it ends *)
let lexeme s i =
  match s.[i] with
  | '0' .. '9' -> Number, skip s i is_in_number
  | '"' -> Text, string_end s (i + 1)
  | '\'' ->
    let stop = character_end s i in
    if stop = i + 1 then Word, skip s stop is_letter else Text, stop
  | '(' when at s (i + 1) = '*' && at s (i + 2) <> ')' ->
    Comment, comment_end s (i + 2) 1
  | c when is_letter c -> Word, skip s i is_letter
  | c when is_operator c ->
    (* so that the end of an array is a bracket of its own *)
    let stop = skip s i is_operator in
    let closes = stop > i + 1 && at s (stop - 1) = '|' && at s stop = ']' in
    Operator, if closes then stop - 1 else stop
  | _ -> Operator, i + 1

let closing = function "(" -> ")" | "[" -> "]" | "{" -> "}" | _ -> "|]"

type cursor = { mutable here : position; mutable lexemes : int }

(* Moves to [stop] *)
let move s cursor stop =
  let { offset; line; column } = cursor.here in
  let rec from i line column =
    if i = stop then cursor.here <- { offset = stop; line; column }
    else if s.[i] = '\n' then from (i + 1) (line + 1) 0
    else from (i + 1) line (column + 1) in
  from offset line column

(* The next lexeme, its kind, and where it starts *)
let next s cursor =
  move s cursor (skip s cursor.here.offset is_blank);
  let start = cursor.here in
  let i = start.offset in
  if i = String.length s then None
  else begin
    let kind, stop =
      match quote_mark s i with
      | Some mark -> Text, quoted_end s (i + String.length mark + 2) mark
      | None ->
        match s.[i], at s (i + 1) with
        | '[', '|' | '|', ']' -> Operator, i + 2
        | _ -> lexeme s i in
    move s cursor stop;
    cursor.lexemes <- cursor.lexemes + 1;
    Some (kind, String.sub s i (stop - i), start)
  end

(* All up to the bracket [close], or to the end of the file where it is "" *)
let rec trees s cursor close before =
  match next s cursor with
  | None -> if close = "" then List.rev before else fail "a bracket is not closed"
  | Some (Operator, text, _) when text = close -> List.rev before
  | Some (Operator, (")" | "]" | "}" | "|]"), _) -> fail "a bracket is not opened"
  | Some (Operator, (("(" | "[" | "{" | "[|") as opening), start) ->
    let inside = trees s cursor (closing opening) [] in
    trees s cursor close (Group { opening; inside; start } :: before)
  | Some (kind, text, start) ->
    trees s cursor close (Lexeme (kind, text, start) :: before)

let parse s =
  let cursor = { here = { offset = 0; line = 1; column = 0 }; lexemes = 0 } in
  let tree = trees s cursor "" [] in
  tree, cursor.lexemes

let rec is_at s text i j =
  j = String.length text || (at s (i + j) = text.[j] && is_at s text i (j + 1))

(* Lexemes, while each is what the file has in its place *)
let rec count s trees =
  let one n = function
    | Lexeme (_, text, p) when is_at s text p.offset 0 -> n + 1
    | Group g when is_at s g.opening g.start.offset 0 -> n + 2 + count s g.inside
    | _ -> fail "a lexeme has changed" in
  List.fold_left one 0 trees

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let r = ref (arg 1) and s = read Sys.argv.(4) in
  let check (tree, lexemes) =
    if count s tree <> lexemes then fail "a lexeme is missing";
    lexemes in
  let first = parse s in
  let words = live_share *. float (arg 2 * 1048576 / 8) in
  let n = int_of_float words / Obj.reachable_words (Obj.repr first) + 1 in
  let kept = Array.make n first in
  for i = 1 to n - 1 do kept.(i) <- parse s done;
  let sum = ref 0 in
  for i = 1 to arg 3 * n do
    let old = random r n in
    sum := (!sum + i * check kept.(old)) land 0xffffffffff;
    kept.(old) <- parse s
  done;
  Printf.printf "%d\n" (Array.fold_left (fun sum t -> sum + check t) !sum kept)
