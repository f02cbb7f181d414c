(* A child that is forked while another thread of its parent purges can purge
   itself: whatever the thread called. *)

open Runtime_jemalloc

let mib = 1024 * 1024

let free_some () =
  ignore (Sys.opaque_identity (List.init 64 (fun _ -> Bytes.make mib 'x')));
  Gc.full_major ()

let child () =
  free_some ();
  purge ();
  let left = (statistics ()).dirty in
  if left > mib then Printf.eprintf "%d KiB are left\n%!" (left / 1024);
  Unix._exit (if left > mib then 1 else 0)

let fork_while purges =
  free_some ();
  let thread = Thread.create purges () in
  Thread.delay 0.0005;
  (match Unix.fork () with
   | 0 -> child ()
   | pid -> assert (Unix.waitpid [] pid = (pid, Unix.WEXITED 0)));
  Thread.join thread;
  Knob.(set dirty_decay_ms 10_000)

let () =
  Knob.(set dirty_decay_ms 10_000);
  for _ = 1 to 10 do
    fork_while (fun () -> Knob.(set dirty_decay_ms 0));
    fork_while Mallctl.(fun () ->
        set Command (Printf.sprintf "arena.%d.purge" (arena ())) ());
    fork_while Mallctl.(fun () ->
        let m = mib Command "arena.0.purge" in
        set_mib (index m 0 (arena ())) ());
    fork_while purge
  done
