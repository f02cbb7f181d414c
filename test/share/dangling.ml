(* Garbage of the parent's that a fork finds half swept: what it leads to is
   freed already, and used again in the child.

     dangling SLICE

   The sweep has come so many words far. *)

let small i = List.init 20 (fun k -> i + k)

(* Blocks of 100 words, a live one beside each dead one, on the same pages.  The
   sweep comes to the lists' size class first. *)
let live, dead =
  let both =
    Array.init 4000 (fun i ->
        Array.make 100 [], ref (Array.init 100 (fun k -> small (i + k)))) in
  Array.map fst both, Array.map snd both

let check () =
  Array.iteri
    (fun i a ->
       Array.iter (fun l -> if l <> [] && l <> small i then exit 3) a)
    live

let child () =
  let unshares = Random.bool () in
  Array.iteri (fun i a -> a.(i mod 100) <- small i) live;
  for i = 1 to 20 do
    let mine = Array.init 20_000 small in
    if i = 10 && unshares then Runtime_jemalloc.unshare_heap ();
    if i mod 5 = 0 then Gc.compact () else Gc.full_major ();
    check ();
    Array.iteri (fun i l -> if l <> small i then exit 4) mine
  done;
  exit 0

let () =
  Random.init (int_of_string Sys.argv.(1));
  Gc.full_major ();
  Array.iter (fun r -> r := [||]) dead;
  (* The first cycle may have marked them already, the second does not. *)
  Gc.major ();
  Gc.major ();
  ignore (Gc.major_slice (int_of_string Sys.argv.(1)));
  Runtime_jemalloc.share_heap ();
  match Unix.fork () with
  | 0 -> child ()
  | pid ->
    check ();
    match Unix.waitpid [] pid with
    | _, Unix.WEXITED 0 -> ()
    | _ -> prerr_endline "the child failed"; exit 3
