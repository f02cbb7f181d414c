(* C memory that a call holds is freed, whatever ends the call. *)
open Runtime_jemalloc

let mib = 1 lsl 20

(* Bytes in the process beside the heap *)
let outside () =
  Limit.((state ()).process) - (statistics ()).resident

let leaks_nothing what f =
  let before = outside () in
  f ();
  let grown = outside () - before in
  if grown > 8 * mib then
    failwith (Printf.sprintf "%s: %d bytes more" what grown)

exception Signal

(* Each holds 2 MiB while a handler may raise, once. *)
let handlers_that_raise () =
  let options = String.make (2 * mib) 'x' in
  let may_raise = ref false in
  let every s =
    ignore Unix.(setitimer ITIMER_REAL { it_interval = s; it_value = s }) in
  Sys.set_signal Sys.sigalrm
    (Sys.Signal_handle (fun _ ->
       if !may_raise then begin
         may_raise := false;
         raise Signal
       end));
  every 0.0001;
  for _ = 1 to 50 do
    try
      may_raise := true;
      while true do ignore (stats_print ~options ()) done
    with Signal -> ()
  done;
  every 0.

let no_memory () =
  let limit = Knob.(get heap_limit) in
  Knob.(set heap_limit 1);
  for _ = 1 to 500 do
    match stats_print () with
    | _ -> failwith "it had memory"
    | exception Out_of_memory -> ()
  done;
  Knob.(set heap_limit limit)

let () =
  Knob.(set memory_limit 0);
  ignore (stats_print ());
  leaks_nothing "a handler that raises" handlers_that_raise;
  leaks_nothing "a string that has no room" no_memory
