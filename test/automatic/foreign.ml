external hold : 'a -> int -> 'a = "foreign_hold"
external calls : int -> unit = "foreign_calls"

let table = Hashtbl.create 16

let work i =
  Hashtbl.replace table (i mod 50) (List.init 2000 (fun n -> string_of_int (n + i)));
  Hashtbl.iter
    (fun _ l -> assert (List.length l = 2000))
    table

let () =
  Callback.register "work" work;
  ignore (Thread.create (fun () -> ()) ());
  let garbage = Array.init 500_000 (fun i -> Some (string_of_int i)) in
  let some = Array.init 5000 (fun i -> garbage.(100 * i)) in
  let held = hold some 2 in
  assert (held == some);
  Array.iteri (fun i s -> assert (s = Some (string_of_int (100 * i)))) held;
  calls 300;
  Printf.printf "%d\n" (Gc.quick_stat ()).compactions
