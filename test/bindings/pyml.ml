(* Python calls OCaml, and OCaml Python; objects are custom blocks, which must
   be finalised on the thread that Python knows: there is no other. *)

let () =
  Py.initialize ~version:3 ();
  let twice = Py.Callable.of_function (fun args ->
      if Py.Int.to_int args.(0) mod 10 = 0 then Rest.rest ();
      Py.Int.of_int (2 * Py.Int.to_int args.(0))) in
  let m = Py.Import.add_module "rest" in
  Py.Module.set m "twice" twice;
  ignore (Py.Run.simple_string "from rest import twice");
  let all = Py.Run.eval "[twice(i) for i in range(200)]" in
  Rest.rest ();
  let all = Py.List.to_list_map Py.Int.to_int all in
  Rest.say "sum: %d" (List.fold_left ( + ) 0 all);
  let objects = Array.init 1000 (fun i ->
      if i mod 100 = 0 then Rest.rest ();
      Py.Run.eval (Printf.sprintf "{'a': %d, 'b': 'x' * %d}" i (i mod 50))) in
  Rest.rest ();
  let sum = Array.fold_left (fun sum o ->
      sum + Py.Int.to_int (Py.Dict.find_string o "a")
      + String.length (Py.String.to_string (Py.Dict.find_string o "b")))
      0 objects in
  Rest.say "objects: %d" sum;
  let sleep = Py.Module.get_function (Py.import "time") "sleep" in
  for _ = 1 to 5 do ignore (sleep [| Py.Float.of_float 0.02 |]) done;
  match Py.Run.eval "sorted([3, 1, 2], key=lambda i: twice(i) // (i - 2))" with
  | _ -> Rest.say "no exception"
  | exception Py.E (_, e) -> Rest.say "%s" (Py.Object.to_string e)
