(* C sleeps and sorts with the lock of the runtime released, and calls OCaml to
   compare; memory of C's is freed by finalisers; C reads OCaml's own strings,
   with the lock. *)

open Ctypes
module Unlocked = Ctypes_bindings.Unlocked (Unlocked)
module Locked = Ctypes_bindings.Locked (Locked)
module _ = Ctypes_bindings.Callbacks (Callbacks)

let sort () =
  let a = CArray.of_list int (List.init 1000 (fun i -> i * 7919 mod 1009)) in
  let calls = ref 0 in
  Ctypes_bindings.compare :=
    Rest.among_garbage (fun () a b ->
        incr calls;
        if !calls mod 1000 = 0 then Rest.rest ();
        compare a b);
  Unlocked.sort (CArray.start a) 1000;
  let sorted = CArray.to_list a in
  assert (List.sort compare sorted = sorted);
  Rest.say "sorted: %s"
    (Rest.digest (String.concat " " (List.map string_of_int sorted)))

let () = Rest.beside @@ fun () ->
  sort ();
  for i = 1 to 20 do
    let s = Rest.among_garbage (fun () -> String.make (i * 30) 'x') in
    let b = Rest.among_garbage (fun () -> Bytes.create 1000) in
    assert (Unlocked.usleep 20_000 = 0);
    assert (Locked.strlen (ocaml_string_start s) = i * 30);
    ignore (Locked.memcpy (ocaml_bytes_start b) s (i * 30));
    assert (Bytes.sub_string b 0 (i * 30) = s);
    let numbers = CArray.make int 1000 ~initial:i in
    Rest.rest ();
    Rest.say "%d: %d" i (CArray.fold_left ( + ) 0 numbers)
  done
