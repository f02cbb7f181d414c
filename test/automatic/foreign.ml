external hold : 'a -> int -> 'a = "foreign_hold"
external calls : int -> unit = "foreign_calls"
external forks : int -> unit = "foreign_forks"
type custom
external custom : int -> int -> custom = "foreign_custom"
external finalised : unit -> int = "foreign_finalised"
external slow : unit -> custom = "foreign_slow"
external slow_finalised : unit -> int = "foreign_slow_finalised"

let compactions () = (Gc.quick_stat ()).compactions

let table = Hashtbl.create 16
let customs = ref []
let slow_customs = ref []

let work i =
  Hashtbl.replace table (i mod 50)
    (List.init 2000 (fun n -> string_of_int (n + i)));
  Hashtbl.iter
    (fun _ l -> assert (List.length l = 2000))
    table

(* The heap stays above the 4 MiB from which on there are collections.  A
   function, since bytecode keeps what is on the stack. *)
let some_of_many () =
  let many = Array.init 500_000 (fun i -> Some (string_of_int i)) in
  Array.init 125_000 (fun i -> many.(4 * i))

let bigarray () =
  Bigarray.Array1.init Bigarray.char Bigarray.c_layout (64 lsl 20)
    (fun _ -> 'x')

let () =
  Callback.register "work" work;
  ignore (Thread.create (fun () -> ()) ());
  customs := List.init 100
    (fun i -> custom (i + 1) (if i mod 10 = 0 then 10_000 else 8));
  slow_customs := List.init 10 (fun _ -> slow ());
  let some = some_of_many () and large = ref (Some (bigarray ())) in
  Gc.full_major ();
  let compacted = compactions () in
  assert (List.length !customs = 100 && finalised () = 0);
  (* nothing is allocated from here on: only an idle collection finds these,
     and one more, in the minor heap *)
  customs := [];
  slow_customs := [];
  ignore (Sys.opaque_identity !large);
  large := None;
  ignore (Sys.opaque_identity (custom 1_000 8));
  let before = Rss.mib () in
  (* Nothing but coming back from a blocking section calls what was left: as
     much as takes a millisecond each time.  Reading what Rss.mib does is
     coming back from several. *)
  let most = ref 0 in
  let rec idle waits =
    let before_it = slow_finalised () in
    let held = hold some 2 in
    most := max !most (slow_finalised () - before_it);
    (* of the C library's memory, on whatever thread *)
    if Rss.mib () <= before - 40 then held
    else begin
      assert (waits > 1);
      idle (waits - 1)
    end in
  let held = idle 15 in
  assert (held == some);
  for n = 1 to 100 do
    let before = slow_finalised () in
    if finalised () < 6_050 || before < 10 then begin
      Thread.delay 0.05;
      ignore (Sys.opaque_identity (ref n));
      most := max !most (slow_finalised () - before)
    end
  done;
  assert (finalised () = 6_050);
  assert (slow_finalised () = 10 && !most = 1);
  (* Gc.compact calls all at once *)
  slow_customs := List.init 10 (fun _ -> slow ());
  Gc.full_major ();
  slow_customs := [];
  ignore (hold some 2);
  assert (slow_finalised () <= 11);
  Gc.compact ();
  assert (slow_finalised () = 20);
  assert (compactions () > compacted || Sys.ocaml_version < "5.2");
  Array.iteri (fun i s -> assert (s = Some (string_of_int (4 * i)))) held;
  calls 300;
  for n = 1 to 20 do
    ignore (Sys.opaque_identity (List.init 100_000 string_of_int));
    forks (n * 500)
  done;
  Printf.printf "%d\n" (compactions ())
