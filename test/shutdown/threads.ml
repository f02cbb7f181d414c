(* Ends while threads are blocked: on a mutex, a condition, a read, a delay. *)

let () =
  let held = Mutex.create () and other = Mutex.create () in
  let never = Condition.create () and input, _ = Unix.pipe () in
  let started = Atomic.make 0 in
  let blocked f =
    let _ : Thread.t = Thread.create (fun () ->
      let kept = List.init 10_000 (fun i -> [| i; i |]) in
      Atomic.incr started;
      f ();
      ignore (Sys.opaque_identity kept)) () in
    () in
  Mutex.lock held;
  blocked (fun () -> Mutex.lock held);
  blocked (fun () -> Mutex.lock other; Condition.wait never other);
  blocked (fun () -> ignore (Unix.read input (Bytes.create 1) 0 1));
  blocked (fun () -> Thread.delay 600.);
  while Atomic.get started < 4 do Thread.yield () done;
  print_endline "done"
