(* idle MODE: programs that let go of 256 MiB and then run no OCaml code.  Each
   process that is to be looked at prints its PID when it is idle. *)

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)

(* Blocks of OCaml's lists, all of them free: no compaction, no purge *)
let let_go_of mib =
  let l = ref (grow [] (mib lsl 20)) in
  assert (List.hd !l > 0);
  l := [];
  Gc.full_major ()

let idle () =
  Printf.printf "%d\n%!" (Unix.getpid ());
  Unix.sleepf 20.

let fork child = match Unix.fork () with
  | 0 -> child (); exit 0
  | pid -> pid

let wait pid =
  let _, status = Unix.waitpid [] pid in
  assert (status = Unix.WEXITED 0)

let rss () =
  let ic = open_in "/proc/self/statm" in
  let pages = Scanf.sscanf (input_line ic) "%d %d" (fun _ rss -> rss) in
  close_in ic;
  pages / 256

(* Peaks at 1 GiB of lists, of which one in twenty stays, here and there; then
   replaces those and makes garbage beside, with no call to the GC.  Each
   second, in MiB: what the heap holds, and RSS; to the end, or until it is as
   it should be. *)
let busy ~seconds as_it_should_be =
  let list i = List.init 2_000 (fun j -> i + j) in
  let n = 1024 * 1024 / 47 in
  let lists = Array.init n list in
  for i = 0 to n - 1 do if i mod 20 > 0 then lists.(i) <- [] done;
  let start = Unix.gettimeofday () in
  let rec go_on second =
    while Unix.gettimeofday () < start +. float second do
      for _ = 1 to 100 do
        let i = Random.int (n / 20) * 20 in
        lists.(i) <- list i
      done
    done;
    let heap = (Gc.quick_stat ()).heap_words / 131_072 and rss = rss () in
    Printf.printf "%d %d\n%!" heap rss;
    if second < seconds && not (as_it_should_be ~heap ~rss) then
      go_on (second + 1) in
  go_on 1

(* The heap breathes, so a quarter is not too much. *)
let follows ~heap ~rss = heap <= 300 && rss <= (heap * 5 / 4) + 16

let () = match Sys.argv.(1) with
  | "idle" -> let_go_of 256; idle ()
  | "nothing" -> idle ()
  | "fork" ->
    let_go_of 256;
    let pid = fork (fun () -> ignore (fork idle); idle ()) in
    idle ();
    wait pid
  | "workers" ->
    (* forked while the parent's purge is under way *)
    let_go_of 256;
    let pids = List.init 20 (fun i ->
      Unix.sleepf 0.05;
      fork (fun () -> if i mod 5 = 0 then let_go_of 64; idle ())) in
    List.iter wait pids
  | "forks" ->
    let_go_of 16;
    for i = 1 to int_of_string Sys.argv.(2) do
      if i mod 100 = 0 then let_go_of 4;
      wait (fork (fun () -> if i mod 10 = 0 then let_go_of 1))
    done;
    print_endline "forked"
  | "compact" ->
    for i = 1 to 100 do
      let_go_of 64;
      (* about when the thread looks again *)
      Unix.sleepf (0.09 +. 0.0005 *. float (i mod 40));
      let before = rss () in
      Gc.compact ();
      let after = rss () in
      if after > 16 then Printf.printf "%d: %d -> %d MiB\n" i before after
    done
  | "busy" -> busy ~seconds:8 (fun ~heap:_ ~rss:_ -> false)
  | "follows" -> busy ~seconds:60 follows
  | "exit" -> let_go_of 64; at_exit (fun () -> let_go_of 64)
  | "domains" ->
    List.init 2 (fun _ -> Domain.spawn (fun () ->
      for _ = 1 to 5 do let_go_of 16 done))
    |> List.iter Domain.join;
    let_go_of 64;
    idle ()
  | "signals" ->
    let seen = ref 0 in
    Sys.set_signal Sys.sigusr1 (Sys.Signal_handle (fun _ -> incr seen));
    let_go_of 64;
    for i = 1 to 200 do
      Unix.kill (Unix.getpid ()) Sys.sigusr1;
      if i mod 10 = 0 then let_go_of 4
    done;
    Unix.sleepf 0.01;
    assert (!seen > 0);
    idle ()
  | mode -> failwith mode
