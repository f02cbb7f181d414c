(* C parses and calls OCaml for each element, text and comment. *)

let document =
  "<?xml version='1.0'?><!DOCTYPE all [<!ENTITY e 'entity'>]><all>"
  ^ String.concat ""
    (List.init 300 (fun i ->
         Printf.sprintf "<item n='%d' s='%s'>text %d &e;<!--c%d--></item>" i
           (String.make (i mod 50) 'a') i i))
  ^ "</all>"

let parse () =
  let seen = Buffer.create 10_000 and calls = ref 0 in
  let add s =
    incr calls;
    if !calls mod 200 = 0 then Rest.rest ();
    Buffer.add_string seen s in
  let p = Expat.parser_create ~encoding:None in
  Expat.set_start_element_handler p (fun name attributes ->
      add name;
      List.iter (fun (a, v) -> add a; add v) attributes);
  Expat.set_end_element_handler p add;
  Expat.set_character_data_handler p add;
  Expat.set_comment_handler p add;
  Rest.garbage ();
  let n = String.length document in
  let s = Rest.among_garbage (fun () -> String.sub document 0 800) in
  Expat.parse p s;
  Expat.parse_sub p document 800 (n - 800);
  Expat.final p;
  Rest.say "%d calls, %s, line %d" !calls (Rest.digest (Buffer.contents seen))
    (Expat.get_current_line_number p)

let () = Rest.beside (fun () -> for _ = 1 to 3 do parse () done)
