external hold : 'a -> int -> 'a = "foreign_hold"
external calls : int -> unit = "foreign_calls"
external forks : int -> unit = "foreign_forks"
type custom
external custom : unit -> custom = "foreign_custom"
external finalised : unit -> int = "foreign_finalised"

let compactions () = (Gc.quick_stat ()).compactions

let table = Hashtbl.create 16
let customs = ref []

let work i =
  Hashtbl.replace table (i mod 50) (List.init 2000 (fun n -> string_of_int (n + i)));
  Hashtbl.iter
    (fun _ l -> assert (List.length l = 2000))
    table

(* The heap stays above the 4 MiB from which on there are collections.  A function,
   since bytecode keeps what is on the stack. *)
let some_of_many () =
  let many = Array.init 500_000 (fun i -> Some (string_of_int i)) in
  Array.init 125_000 (fun i -> many.(4 * i))

let () =
  Callback.register "work" work;
  ignore (Thread.create (fun () -> ()) ());
  customs := List.init 100 (fun _ -> custom ());
  let some = some_of_many () in
  Gc.full_major ();
  let compacted = compactions () in
  assert (List.length !customs = 100 && finalised () = 0);
  (* nothing is allocated from here on: only an idle collection finds them *)
  customs := [];
  let held = hold some 2 in
  assert (held == some);
  assert (finalised () = 100);
  assert (compactions () > compacted || Sys.ocaml_version < "5.2");
  Array.iteri (fun i s -> assert (s = Some (string_of_int (4 * i)))) held;
  calls 300;
  for n = 1 to 20 do
    ignore (Sys.opaque_identity (List.init 100_000 string_of_int));
    forks (n * 500)
  done;
  Printf.printf "%d\n" (compactions ())
