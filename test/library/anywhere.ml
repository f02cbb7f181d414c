(* Nothing deadlocks from a finaliser, an alarm, a signal handler, another
   domain or thread, or a forked child, while all of them work. *)
open Runtime_jemalloc

let everything () =
  let s = statistics () in
  assert (s.address_space > 0 && in_use () > 0);
  purge ();
  purge ~lazily:true ();
  decay ();
  Mallctl.refresh ();
  ignore Mallctl.(get Size "stats.active");
  ignore (Knob.all ());
  Knob.(set muzzy_decay_ms 500);
  assert ((Limit.state ()).process > 0);
  share_heap ();
  unshare_heap ();
  ignore (pressure ())

let calls = Atomic.make 0
let count () = everything (); Atomic.incr calls

let allocate () = ignore
  (Sys.opaque_identity (List.init 20_000 (fun i -> Some i)))

let finalisers () =
  let alarm = Gc.create_alarm count in
  for _ = 1 to 20 do
    Gc.finalise (fun _ -> count ()) (ref 0);
    Gc.finalise_last count (ref 0);
    allocate ();
    Gc.full_major ()
  done;
  Gc.delete_alarm alarm

let signals () =
  let old = Sys.signal Sys.sigalrm (Sys.Signal_handle (fun _ -> count ())) in
  ignore (Unix.setitimer Unix.ITIMER_REAL
    { it_interval = 0.001; it_value = 0.001 });
  let until = Unix.gettimeofday () +. 1. in
  while Unix.gettimeofday () < until do allocate (); everything () done;
  ignore (Unix.setitimer Unix.ITIMER_REAL { it_interval = 0.; it_value = 0. });
  Sys.set_signal Sys.sigalrm old

let threads () =
  let t = List.init 3 (fun _ -> Thread.create (fun () ->
    for _ = 1 to 50 do allocate (); count () done) ()) in
  let children = List.init 10 (fun _ ->
    match Unix.fork () with
    | 0 -> finalisers (); count (); assert (stats_print () <> ""); exit 0
    | pid -> pid) in
  List.iter (fun pid -> assert (snd (Unix.waitpid [] pid) = Unix.WEXITED 0))
    children;
  List.iter Thread.join t

let domains () =
  let d = Domain.spawn (fun () ->
    for _ = 1 to 100 do allocate (); count () done) in
  for _ = 1 to 100 do allocate (); count () done;
  Domain.join d

let () =
  finalisers ();
  signals ();
  threads ();
  domains ();
  at_exit everything;
  assert (Atomic.get calls > 300)
