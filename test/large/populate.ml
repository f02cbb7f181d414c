(* Prints, for a block with fields and for one of bytes, how many percent of it
   are in pages before it is written; or "none" where the kernel cannot. *)

external resident_when_allocated : int -> int -> int = "resident_when_allocated"
external can_populate : unit -> bool = "can_populate"

let words = 1_000_000

let percent tag = resident_when_allocated words tag * 100 / (8 * words)

let () =
  if can_populate () then
    Printf.printf "%d %d\n" (percent 0) (percent Obj.string_tag)
  else print_endline "none"
