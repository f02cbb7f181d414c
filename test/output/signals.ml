(* Signal handlers that allocate, at any moment of the collector's work. *)

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
  ignore (Unix.setitimer Unix.ITIMER_REAL { Unix.it_interval = 0.; it_value = 0. });
  assert (List.for_all (fun a -> Array.for_all (( = ) (a.(0))) a)
            (List.filter (fun a -> a <> [||]) !garbage));
  Printf.printf "handled %d\n" (List.length !live)
