(* Patterns, custom blocks, with callouts: C calls OCaml in a match. *)

let () = Rest.beside @@ fun () ->
  let word i =
    String.make (1 + i mod 7) (Char.chr (97 + i mod 26)) ^ string_of_int i in
  let words = String.concat " " (List.init 300 word) in
  let calls = ref 0 and sum = ref 0 in
  let callout d =
    incr calls;
    if !calls mod 100 = 0 then Rest.rest ();
    sum := !sum * 3 + d.Pcre2.callout_number + d.Pcre2.current_position in
  for i = 1 to 5 do
    let rex = Pcre2.regexp
        (Printf.sprintf "([a-z]+)(?C1)(%d[0-9]*)(?C2)" i) in
    Rest.rest ();
    let found = Pcre2.extract_all ~rex ~callout words in
    Rest.rest ();
    let all = String.concat "," (List.concat_map Array.to_list
                                   (Array.to_list found)) in
    let swapped = Pcre2.replace ~rex ~callout ~templ:"$2$1" words in
    Rest.say "%d: %d matches, %s, %s" i (Array.length found)
      (Rest.digest all) (Rest.digest swapped)
  done;
  match Pcre2.exec ~pat:"a(?C3)b" ~callout:(fun _ -> Rest.rest (); raise Exit)
          "xab" with
  | _ -> Rest.say "no exception"
  | exception Exit ->
    Rest.say "%d calls, %x; an exception through C" !calls !sum
