(* Signal handlers that allocate, at any moment of the collector's work, and
   handlers that raise out of an allocation. *)

exception Alarm

let n = int_of_string Sys.argv.(1)

let () =
  let handled = ref 0 and garbage = ref [] in
  Sys.set_signal Sys.sigalrm (Sys.Signal_handle (fun _ ->
    incr handled;
    garbage := List.init 1_000 (fun i -> Array.make (i mod 200) i)));
  let interval = { Unix.it_interval = 0.002; it_value = 0.002 } in
  ignore (Unix.setitimer Unix.ITIMER_REAL interval);
  let live = ref [] in
  while !handled < 20 * n do
    live := List.init 10_000 (fun i -> string_of_int i);
    Gc.compact ()
  done;
  ignore (Unix.setitimer Unix.ITIMER_REAL
    { Unix.it_interval = 0.; it_value = 0. });
  Unix.sleepf 0.01; (* the last one is not for the next handler *)
  assert (List.for_all (fun a -> Array.for_all (( = ) (a.(0))) a)
            (List.filter (fun a -> a <> [||]) !garbage));
  Printf.printf "handled %d\n" (List.length !live);
  Sys.set_signal Sys.sigalrm (Sys.Signal_handle (fun _ -> raise Alarm));
  let raised = ref 0 in
  for _ = 1 to 10 * n do
    match
      ignore (Unix.setitimer Unix.ITIMER_REAL
                { Unix.it_interval = 0.; it_value = 0.002 });
      while true do
        garbage := List.init 300 (fun i -> Array.make i i)
      done
    with
    | () -> ()
    | exception Alarm -> incr raised
  done;
  assert (List.for_all (fun a -> Array.for_all (( = ) (Array.length a)) a)
            !garbage);
  Printf.printf "raised %d\n" !raised
