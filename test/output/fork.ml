(* Children that allocate, compact and exit; a grandchild; twenty workers. *)

let n = int_of_string Sys.argv.(1)

let work k =
  let l = List.init (10_000 * n) (fun i -> string_of_int (i * k)) in
  let b = Bytes.make 1_000_000 'x' in
  Gc.compact ();
  (List.fold_left (fun s x -> s + String.length x) 0 l + Bytes.length b) mod 100

let child f =
  match Unix.fork () with
  | 0 -> Unix._exit (f ())
  | pid -> pid

let status pid =
  match Unix.waitpid [] pid with
  | _, Unix.WEXITED s -> s
  | _, (Unix.WSIGNALED s | Unix.WSTOPPED s) -> 1000 + s

let () =
  let kept = List.init (20_000 * n) (fun i -> Array.make 5 i) in
  Printf.printf "child %d\n" (status (child (fun () -> work 3)));
  Printf.printf "grandchild %d\n"
    (status (child (fun () -> status (child (fun () -> work 7)))));
  let workers = List.init 20 (fun k ->
    let pid = child (fun () -> work k) in
    if k mod 5 = 0 then Gc.compact ();
    pid) in
  List.iter (fun pid -> Printf.printf "%d\n" (status pid)) workers;
  Printf.printf "parent %d\n" (List.fold_left (fun s a -> s + a.(0)) 0 kept);
  Printf.printf "parent %d\n" (work 5)
