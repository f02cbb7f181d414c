(* Ends while another domain is allocating and a thread is blocked. *)

let () =
  let started = Atomic.make false in
  let _ : unit Domain.t = Domain.spawn (fun () ->
    let r = ref [] in
    while true do
      r := List.init 1_000 (fun i -> [| i; i |]);
      Atomic.set started true
    done) in
  let _ : Thread.t = Thread.create (fun () -> Thread.delay 60.) () in
  while not (Atomic.get started) do Domain.cpu_relax () done;
  print_endline "done"
