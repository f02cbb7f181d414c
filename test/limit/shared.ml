(* shared MIB KIND: under Xheap_limit=[MIB]M and Xfork_share=on.  What is shared
   since a fork and is garbage is collected before a child is told that the heap
   is full.  KIND is small or large.  Prints nothing if all is as it should
   be. *)

let limit = int_of_string Sys.argv.(1) lsl 20
let size = if Sys.argv.(2) = "small" then 400 else 250_000

let blocks part = Array.init (limit / 100 * part / size)
    (fun i -> Bytes.make size (Char.chr (i land 127)))

let fail fmt = Printf.ksprintf (fun s -> prerr_endline s; Unix._exit 1) fmt

let check who =
  Array.iteri (fun i b ->
    Bytes.iter (fun c -> if Char.code c <> i land 127 then fail "%s: wrong" who)
      b)

(* A half of the limit, beside a quarter that lives and two fifths that are
   garbage, both shared *)
let child live () =
  if (Gc.stat ()).heap_words * 8 > limit / 4 then fail "nothing is shared";
  let own = blocks 50 in
  check "of the parent" live;
  check "of the child" own

let () =
  let live = blocks 25 in
  let garbage = ref (blocks 40) in
  Gc.minor ();
  check "garbage" !garbage;
  garbage := [||];
  match Unix.fork () with
  | 0 ->
    (try child live () with Out_of_memory -> fail "Out_of_memory");
    Unix._exit 0
  | pid ->
    if snd (Unix.waitpid [] pid) <> WEXITED 0 then exit 1;
    check "in the parent" live
