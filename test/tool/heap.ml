(* heap WHAT: a heap that the tool looks at.  Says "ready" and waits for its
   input to end. *)

(* In a program's data, and not the runtime's table *)
let decoy = "OCamlHeapMap\001\002\003\000\001\000\000\000\000\001\000\000"

let wait () =
  print_endline "ready";
  (try ignore (input_line stdin) with End_of_file -> ());
  ignore (Sys.opaque_identity decoy)

let () =
  match Sys.argv.(1) with
  | "heap" ->
    let small = List.init 2_000_000 (fun i -> Some i) in
    let large = Bytes.make (32 lsl 20) 'x' in
    let domain = Domain.spawn
      (fun () -> while not (Sys.opaque_identity true) do () done) in
    Domain.join domain;
    wait ();
    ignore (Sys.opaque_identity (small, large))
  | "parameters" -> print_endline (Sys.getenv "OCAMLRUNPARAM")
  | "status" -> exit (int_of_string Sys.argv.(2))
  | "signal" -> Unix.kill (Unix.getpid ()) Sys.sigkill
  | "tree" ->
    let children = List.init 3 (fun _ ->
      match Unix.fork () with
      | 0 ->
        let l = List.init 500_000 (fun i -> Some i) in
        Unix.sleepf 0.6;
        ignore (Sys.opaque_identity l);
        exit 0
      | pid -> pid) in
    List.iter (fun pid -> ignore (Unix.waitpid [] pid)) children
  | "term" ->
    ignore (Unix.sigprocmask Unix.SIG_UNBLOCK [Sys.sigterm]);
    Sys.set_signal Sys.sigterm (Sys.Signal_handle (fun _ -> exit 7));
    print_endline "ready";
    for _ = 1 to 600 do Unix.sleepf 0.05 done
  | what -> failwith what
