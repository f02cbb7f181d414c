(* Ends while another domain reads blocks of the major heap and a thread is
   blocked; C's exit takes a while.  The domain does not allocate: OCaml's own
   runtime crashes, now and then, when one starts a collection after
   caml_shutdown. *)

external exit_slowly : unit -> unit = "exit_slowly"

let () =
  exit_slowly ();
  let reading = Atomic.make false in
  let _ : unit Domain.t = Domain.spawn (fun () ->
    let small = List.init 10_000 (fun i -> [| i; i |]) in
    let large = Array.make 100_000 1 in
    Gc.full_major ();
    Atomic.set reading true;
    while true do
      List.iter (fun a -> assert (a.(0) = a.(1))) small;
      Array.iter (fun x -> assert (x = 1)) large
    done) in
  let _ : Thread.t = Thread.create (fun () -> Thread.delay 60.) () in
  while not (Atomic.get reading) do Domain.cpu_relax () done;
  print_endline "done"
