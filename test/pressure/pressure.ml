(* pressure MODE FIFO: programs whose memory comes back by Xpressure alone, when
   this one itself writes to the FIFO that the runtime watches. *)

open Runtime_jemalloc

let fifo = Sys.argv.(2)

let sign () =
  let fd = Unix.openfile fifo [ O_WRONLY; O_NONBLOCK ] 0 in
  assert (Unix.write_substring fd "!" 0 1 = 1);
  Unix.close fd

let rss () = Status.mib "VmRSS"
let events () = (statistics ()).pressure_events

(* Looks again and again, with [work] between, for 30 s at most *)
let becomes ?(work = fun () -> Unix.sleepf 0.02) what holds =
  let till = Unix.gettimeofday () +. 30. in
  while not (holds ()) && Unix.gettimeofday () < till do work () done;
  if not (holds ()) then begin
    Printf.printf "%s: no; RSS %d MiB, %d events\n" what (rss ()) (events ());
    exit 1
  end

let falls_to ?work mib = becomes ?work "RSS falls" (fun () -> rss () <= mib)

let threads () = Array.length (Sys.readdir "/proc/self/task")

let rec grow l bytes = if bytes <= 0 then l else grow (bytes :: l) (bytes - 24)
let state = ref []

(* 256 MiB, known to the collector *)
let build () =
  state := grow [] (256 lsl 20);
  Gc.full_major ();
  assert (rss () > 250)

let allocate () = ignore (Sys.opaque_identity (grow [] (1 lsl 20)))

(* Garbage that nobody has found *)
let idle () =
  build ();
  state := [];
  Unix.sleepf 0.3;
  assert (rss () > 250);
  sign ();
  falls_to 30

(* The program is at work, and never in a blocking section. *)
let busy () =
  build ();
  state := [];
  sign ();
  falls_to ~work:allocate 100

(* Free pages go back while a domain is in C code that looks at nothing. *)
let free () =
  build ();
  state := [];
  Gc.full_major ();
  assert (rss () > 250);
  sign ();
  falls_to ~work:(fun () -> ignore (Sys.opaque_identity (rss ()))) 60

let hooks () =
  build ();
  let called = ref 0 in
  let hook = Limit.on_pressure (fun () -> incr called; state := []) in
  sign ();
  (* what the hook lets go is collected in the same turn *)
  falls_to ~work:allocate 100;
  assert (!called = 1);
  Limit.remove hook

let once () =
  build ();
  sign ();
  becomes ~work:allocate "an event" (fun () -> events () = 1);
  for _ = 1 to 20 do sign (); Unix.sleepf 0.02; allocate () done;
  assert (events () = 1)

let off () =
  build ();
  state := [];
  let before = threads () in
  Knob.(set pressure false);
  sign ();
  for _ = 1 to 25 do Unix.sleepf 0.02; allocate () done;
  Knob.(set pressure true);
  assert (before = threads () && events () = 0 && rss () > 100)

let count () =
  build ();
  print_int (threads ())

(* In a child, and in one of a program that has its thread already: of what is
   written into a FIFO one of the two hears. *)
let child () =
  let in_child () = match Unix.fork () with
    | 0 ->
      build ();
      state := [];
      falls_to ~work:(fun () -> sign (); allocate ()) 100;
      exit 0
    | pid -> assert (snd (Unix.waitpid [] pid) = Unix.WEXITED 0) in
  in_child ();
  build ();
  in_child ();
  state := []

let domains () =
  let stop = Atomic.make false in
  let others = List.init 2 (fun _ -> Domain.spawn (fun () ->
    while not (Atomic.get stop) do allocate () done)) in
  busy ();
  Atomic.set stop true;
  List.iter Domain.join others

(* Started without a standard input, which the thread is not to be *)
let streams () =
  build ();
  becomes ~work:allocate "a thread" (fun () -> threads () > 1);
  match Unix.fstat Unix.stdin with
  | _ -> assert false
  | exception Unix.Unix_error (EBADF, _, _) ->
    state := [];
    sign ();
    falls_to ~work:allocate 100

(* As daemons do with what they do not know.  Then the program opens its own, by
   all numbers below [most]. *)
let most = 256

let reopen_all open_one =
  build ();
  becomes ~work:allocate "a thread" (fun () -> threads () > 1);
  let fd_of_int : int -> Unix.file_descr = Obj.magic in
  for i = 3 to most - 1 do
    try Unix.close (fd_of_int i) with Unix.Unix_error (EBADF, _, _) -> ()
  done;
  let rec all l = match open_one () with
    | fd -> all (fd :: l)
    | exception Unix.Unix_error (EMFILE, _, _) -> l in
  all []

(* They are whole after a sign, and in a child that is forked then. *)
let closed () =
  let pipe () =
    let ends = Unix.pipe () in
    Unix.set_nonblock (fst ends);
    assert (Unix.write_substring (snd ends) "12345" 0 5 = 5);
    ends in
  let pipes = reopen_all pipe in
  let a, b = List.hd pipes and pipes = List.tl pipes in
  Unix.close a; (* room for the FIFO *)
  Unix.close b;
  let are_whole f = List.iter (fun (a, b) -> f a; f b) pipes in
  (* the thread may have ended *)
  (try sign () with Unix.Unix_error (ENXIO, _, _) -> ());
  Unix.sleepf 0.3;
  (match Unix.fork () with
   | 0 -> are_whole (fun fd -> ignore (Unix.fstat fd)); Unix._exit 0
   | pid -> assert (snd (Unix.waitpid [] pid) = Unix.WEXITED 0));
  are_whole (fun fd -> ignore (Unix.fstat fd));
  let data = Bytes.create 8 in
  List.iter (fun (a, _) -> assert (Unix.read a data 0 8 = 5)) pipes

(* The end of the runtime writes to none of them.  Prints how many there are. *)
let ended () =
  let n = ref 0 in
  let file () =
    let name = Printf.sprintf "own.%d" !n in
    let fd = Unix.openfile name [ O_RDWR; O_CREAT; O_TRUNC ] 0o600 in
    incr n;
    assert (Unix.write_substring fd "12345" 0 5 = 5) in
  print_int (List.length (reopen_all file))

let () = match Sys.argv.(1) with
  | "idle" -> idle ()
  | "busy" -> busy ()
  | "free" -> free ()
  | "hooks" -> hooks ()
  | "once" -> once ()
  | "off" -> off ()
  | "count" -> count ()
  | "child" -> child ()
  | "domains" -> domains ()
  | "streams" -> streams ()
  | "closed" -> closed ()
  | "ended" -> ended ()
  | _ -> exit 2
