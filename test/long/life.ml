(* A program that grows, drops and rests. *)

let () =
  for round = 1 to 20 do
    let map = Hashtbl.create 16 in
    for i = 1 to 20_000 do
      Hashtbl.replace map i (String.make (i mod 300) (Char.chr (i land 127)))
    done;
    if round mod 5 = 0 then Gc.compact ();
    Hashtbl.iter
      (fun i s ->
         if not (String.for_all (( = ) (Char.chr (i land 127))) s) then
           failwith "life: another string")
      map
  done
