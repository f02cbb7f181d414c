(* What an idle program does by itself.  idle CASE: exits with 0 if all is as it
   should be. *)

let mib = 1 lsl 20

let rss = Rss.mib

let tasks () = Array.length (Sys.readdir "/proc/self/task")

let cycles () = (Gc.quick_stat ()).major_collections

let has_compaction = Sys.ocaml_release.minor > 1

let compactions () = (Gc.quick_stat ()).compactions

(* [n] MiB, of which one part in 40 is kept *)
let kept = ref [||]

let grow_and_drop n =
  let blocks =
    Array.init (n * mib / 128) (fun i -> Bytes.make (40 + i * 7919 mod 130) 'x')
  in
  let peak = rss () in
  kept := Array.init (Array.length blocks / 40) (fun i -> blocks.(40 * i));
  peak

let intact () =
  Array.iteri
    (fun i b ->
       assert (Bytes.length b = 40 + i * 40 * 7919 mod 130
               && Bytes.for_all (( = ) 'x') b))
    !kept

(* Waits by [block], a short while, for the heap to be [most] MiB at most.  Each
   look is the program's: it must be idle from one to the next. *)
let wait_for ?(block = fun () -> Unix.sleepf 0.5) most =
  let rec look n =
    if rss () > most then
      if n = 0 then (Printf.printf "%d MiB, not %d\n" (rss ()) most; exit 1)
      else (block (); look (n - 1)) in
  look 20

let wait_for_compaction () =
  let rec look n =
    if compactions () = 0 then begin
      assert (n > 0);
      Unix.sleepf 2.;
      look (n - 1)
    end in
  look 10

(* Without a compaction the blocks that are kept hold most of their pools: it
   is seen by the cycles since [before]. *)
let goes_back ?block ?most ?(before = cycles ()) peak =
  let most = Option.value most ~default:(peak / 3) in
  if has_compaction then begin
    wait_for ?block most;
    assert (compactions () >= 1)
  end else begin
    Option.value block ~default:(fun () -> Unix.sleepf 1.5) ();
    assert (cycles () >= before + 2)
  end;
  intact ()

let single () = goes_back (grow_and_drop 100)

let never () =
  let peak = grow_and_drop 100 in
  Unix.sleepf 3.;
  Printf.printf "%d of %d MiB\n" (rss ()) peak;
  assert (rss () > peak * 3 / 4 && compactions () = 0)

(* Blocks stay where they are, as C code may want it: garbage is collected, and
   what is free of it goes back. *)
let unmoved () =
  Gc.set { (Gc.get ()) with max_overhead = 1_000_000 };
  let before = cycles () in
  ignore (grow_and_drop 100);
  Unix.sleepf 2.;
  assert (cycles () >= before + 2 && compactions () = 0);
  intact ()

(* Threads in all the ways that they wait *)
let threads () =
  let peak = grow_and_drop 100 in
  let m = Mutex.create () and c = Condition.create () in
  let channel = Event.new_channel () in
  let stop = ref false in
  let until_stop f () = while not !stop do f () done in
  let waiting = [
    Thread.create (fun () ->
        Mutex.lock m;
        while not !stop do Condition.wait c m done;
        Mutex.unlock m) ();
    Thread.create (fun () -> Event.sync (Event.receive channel)) ();
    Thread.create (until_stop (fun () -> Thread.delay 1.)) ();
    Thread.create (until_stop (fun () -> ignore (Unix.select [] [] [] 1.))) () ]
  in
  goes_back ~block:(fun () -> Thread.delay 1.) peak;
  stop := true;
  Mutex.protect m (fun () -> Condition.broadcast c);
  Event.sync (Event.send channel ());
  List.iter Thread.join waiting

(* Two domains wait, each with a heap of its own, and this one for them. *)
let domains () =
  let one n () =
    let blocks = Array.init 400_000 (fun i -> Some (i + n)) in
    let some = Array.init 4_000 (fun i -> blocks.(i * 100)) in
    Unix.sleepf 4.;
    Array.iteri (fun i v -> assert (v = Some (100 * i + n))) some in
  let peak = grow_and_drop 100 in
  let before = cycles () in
  let ds = List.map (fun n -> Domain.spawn (one n)) [ 1; 2 ] in
  List.iter Domain.join ds;
  (* the minor heaps of three domains stay *)
  goes_back ~most:(peak * 2 / 3) ~before peak

(* Whoever wakes up but does no work is idle: another thread, or a domain, that
   ticks each [ms]. *)
let ticks spawn ms =
  let stop = Atomic.make false and peak = grow_and_drop 100 in
  let tick () =
    while not (Atomic.get stop) do Unix.sleepf (float ms /. 1000.) done in
  let join = spawn tick in
  goes_back ~most:(peak * 2 / 3) peak;
  Atomic.set stop true;
  join ()

let in_thread f = let t = Thread.create f () in fun () -> Thread.join t
let in_domain f = let d = Domain.spawn f in fun () -> Domain.join d

(* The minor heap, of 64 MiB, is empty when its program is idle: it has no
   pages. *)
let minor () =
  Gc.set { (Gc.get ()) with minor_heap_size = 8 * mib };
  ignore (Sys.opaque_identity (List.init 3_000_000 Fun.id));
  Gc.minor ();
  assert (rss () >= 64);
  wait_for 40

(* What statistics say is so, without a compaction too. *)
let told () =
  Gc.set { (Gc.get ()) with max_overhead = 1_000_000 };
  let blocks = ref (List.init 1_000_000 (fun i -> Array.make 8 i)) in
  let words () = (Gc.quick_stat ()).heap_words in
  let peak = words () in
  ignore (Sys.opaque_identity !blocks);
  blocks := [];
  wait_for (peak * 8 / mib / 2);
  Printf.printf "%d words of %d\n" (words ()) peak;
  assert (words () <= peak / 2)

(* Blocks of the C library's, dropped, below one that stays. *)
let c_memory trims =
  let create _ = Bigarray.(Array1.init char c_layout 600 (fun _ -> 'x')) in
  let blocks = ref (Array.init 200_000 create) in
  let last = create () and peak = rss () in
  ignore (Sys.opaque_identity !blocks);
  blocks := [||];
  if trims then wait_for (peak / 3)
  else begin
    Unix.sleepf 2.;
    assert (rss () >= peak / 2)
  end;
  assert (last.{599} = 'x')

(* What a process's pages come to, shared ones counted by their share *)
let pss () =
  let ic = open_in "/proc/self/smaps_rollup" in
  let rec find () =
    match Scanf.sscanf_opt (input_line ic) "Pss: %d" Fun.id with
    | Some kib -> close_in ic; kib / 1024
    | None -> find () in
  find ()

(* A parent whose children share its heap leaves that shared, and collects as
   ever when they have ended. *)
let parent () =
  let letter i = Char.chr (i land 127) in
  let live =
    Array.init (60 * mib / 128) (fun i -> Bytes.make 100 (letter i)) in
  Gc.full_major ();
  let child () =
    match Unix.fork () with
    | 0 -> Unix.sleepf 60.; exit 0
    | child -> child in
  let children = List.init 3 (fun _ -> child ()) in
  let before = cycles () in
  for i = 1 to 10 do
    Unix.sleepf 0.2;
    ignore (Sys.opaque_identity (ref i))
  done;
  Printf.printf "PSS %d of %d MiB\n" (pss ()) (rss ());
  assert (cycles () = before && pss () < rss () / 2);
  List.iter (fun child -> Unix.kill child Sys.sigkill) children;
  List.iter (fun child -> ignore (Unix.waitpid [] child)) children;
  assert (Bytes.get live.(1000) 99 = letter 1000);
  single ()

let fork () =
  match Unix.fork () with
  | 0 -> single ()
  | child ->
    let _, status = Unix.waitpid [] child in
    assert (status = Unix.WEXITED 0);
    single ();
    (* a thread is there now: a child has to have one again *)
    (match Unix.fork () with
     | 0 -> single ()
     | child -> assert (snd (Unix.waitpid [] child) = Unix.WEXITED 0))

(* Which thread of the system's this is: Thread.self knows only OCaml's. *)
let system_thread () = Unix.readlink "/proc/thread-self"

(* Finalisers and alarms wait for the program; what is only weakly reachable
   goes. *)
let finalisers () =
  let here = system_thread () and called = ref [] and alarms = ref [] in
  let finalise f last =
    let b = Bytes.make 100 'f' in
    if last then Gc.finalise_last (fun () -> f ()) b
    else Gc.finalise (fun b -> assert (Bytes.get b 9 = 'f'); f ()) b in
  let note () = called := system_thread () :: !called in
  let alarm =
    Gc.create_alarm (fun () -> alarms := system_thread () :: !alarms) in
  let weak = Weak.create 1 and key = ref (Some (ref 1)) in
  let e = Ephemeron.K1.make (Option.get !key) (Bytes.make 10 'e') in
  Weak.set weak 0 (Some (ref 2));
  finalise note true;
  finalise note false;
  let peak = grow_and_drop 100 in
  assert (Ephemeron.K1.query e (Option.get !key) <> None);
  key := None;
  goes_back peak;
  Gc.minor ();
  assert (!called = [ here; here ]);
  Gc.delete_alarm alarm;
  assert (!alarms <> [] && List.for_all (( = ) here) !alarms);
  assert (Weak.get weak 0 = None);
  assert (Obj.Ephemeron.check_key (Obj.repr e |> Obj.magic) 0 = false)

(* Of small blocks that hold large memory of C's.  Of a small process there is
   nothing to gain, and so no thread to look for it. *)
let bigarrays () =
  let bigarray n =
    let a = Bigarray.Array1.create Bigarray.char Bigarray.c_layout (n * mib) in
    Bigarray.Array1.fill a 'x';
    a in
  let arrays = ref [ bigarray 1 ] in
  Unix.sleepf 0.2;
  assert (tasks () = 1);
  arrays := List.init 100 (fun _ -> bigarray 1);
  Gc.full_major ();
  let before = rss () in
  assert (List.length !arrays = 100 && before > 100);
  arrays := [];
  wait_for (before / 3)

(* Nor is there of a small one that a large one has become by exec, though the
   kernel counts as its peak what that one took. *)
let executed () =
  match Sys.getenv_opt "EXECUTED" with
  | None ->
    ignore (Sys.opaque_identity (Bytes.make (64 * mib) 'x'));
    Unix.putenv "EXECUTED" "yes";
    Unix.execv Sys.executable_name Sys.argv
  | Some _ ->
    for _ = 1 to 3 do Unix.sleepf 0.2 done;
    assert (rss () < 32 && tasks () = 1)

(* What a domain that has ended leaves behind *)
let ended () =
  let peak = Domain.join (Domain.spawn (fun () -> grow_and_drop 100)) in
  goes_back peak

(* A child finds its parent's heap, and leaves it shared. *)
let children () =
  let cycles () = (Gc.quick_stat ()).major_collections in
  let live = Array.init (100 * mib / 128)
    (fun i -> Bytes.make 100 (Char.chr (i land 127))) in
  let child () =
    match Unix.fork () with
    | 0 ->
      let before = cycles () in
      ignore (Sys.opaque_identity (List.init 1000 Option.some));
      Unix.sleepf 1.5;
      exit (if cycles () = before then 0 else 1)
    | child -> child in
  let children = List.init 3 (fun _ -> child ()) in
  List.iter
    (fun child -> assert (snd (Unix.waitpid [] child) = Unix.WEXITED 0))
      children;
  assert (Bytes.get live.(1000) 99 = Char.chr (1000 land 127))

(* Ends at any time of a collection *)
let exits ms =
  ignore (grow_and_drop 30);
  Unix.sleepf (float ms /. 1000.)

(* How often each thread of process [pid] but the first has gone to sleep *)
let sleeps pid =
  let dir = Printf.sprintf "/proc/%d/task" pid in
  let of_task task =
    let ic = open_in (Printf.sprintf "%s/%s/status" dir task) in
    let rec find () =
      match Scanf.sscanf_opt (input_line ic) "voluntary_ctxt_switches: %d"
        Fun.id
      with
      | Some n -> close_in ic; n
      | None -> find () in
    find () in
  Sys.readdir dir |> Array.to_list
  |> List.filter (( <> ) (string_of_int pid))
  |> List.map of_task

(* A child's: who reads the counts must not be who sleeps *)
let rest () =
  let r, w = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
    goes_back (grow_and_drop 100);
    ignore (Unix.write_substring w "x" 0 1);
    Unix.sleepf 60.
  | child ->
    ignore (Unix.read r (Bytes.create 1) 0 1);
    Unix.sleepf 5.;
    let before = sleeps child in
    Unix.sleepf 3.;
    let after = sleeps child in
    Unix.kill child Sys.sigkill;
    ignore (Unix.waitpid [] child);
    List.iter (Printf.printf "%d ") (before @ after);
    assert (before <> [] && before = after)

(* Nothing new to find: no second collection, whatever wakes the program *)
let once () =
  let peak = grow_and_drop 100 in
  goes_back peak;
  let cycles () = (Gc.quick_stat ()).major_collections in
  Unix.sleepf 1.;
  let before = cycles () in
  for _ = 1 to 10 do Unix.sleepf 0.3 done;
  assert (cycles () = before)

(* Nor after a compaction of the program's own *)
let compacted () =
  ignore (grow_and_drop 100);
  Gc.compact ();
  let before = cycles () in
  for _ = 1 to 4 do Unix.sleepf 0.3 done;
  assert (cycles () = before);
  intact ()

(* What is left is what Gc.compact would leave, up to a tenth. *)
let least () =
  goes_back (grow_and_drop 100);
  Unix.sleepf 1.;
  let by_itself = rss () in
  Gc.compact ();
  Printf.printf "%d MiB, after Gc.compact %d\n" by_itself (rss ());
  assert (by_itself <= rss () * 11 / 10)

(* Xidle_pause_ms=MS: a compaction that would stop the program for longer waits
   until the program has been idle for ten times as long as it would take, which
   is more than [moment] for a heap of this size. *)
let moment = 0.5

let pause ms =
  let blocks = Array.init 800_000 (fun i -> Bytes.make (40 + i mod 400) 'x') in
  Gc.full_major ();
  Array.iteri (fun i _ -> if i mod 4 = 0 then blocks.(i) <- Bytes.empty) blocks;
  let rec rounds n =
    if n > 0 && compactions () = 0 then begin
      ignore (Sys.opaque_identity (Array.init 2_000_000 Option.some));
      Unix.sleepf moment;
      rounds (n - 1)
    end in
  if ms > 0 then begin
    rounds 30;
    assert (compactions () > 0)
  end else begin
    rounds 8;
    assert (compactions () = 0);
    wait_for_compaction ()
  end;
  Array.iteri
    (fun i b -> assert (i mod 4 = 0 || Bytes.length b = 40 + i mod 400)) blocks

(* As any compaction, it shows in the runtime's events. *)
let events () =
  let phases = ref [] in
  let note _ _ phase = phases := Runtime_events.runtime_phase_name phase ::
    !phases in
  Runtime_events.start ();
  let cursor = Runtime_events.create_cursor None in
  let callbacks = Runtime_events.Callbacks.create ~runtime_begin:note () in
  let read () = ignore (Runtime_events.read_poll cursor callbacks None) in
  let peak = grow_and_drop 100 in
  read ();
  phases := [];
  goes_back ~block:(fun () -> Unix.sleepf 0.5; read ()) peak;
  assert (List.mem "compaction" !phases)

let () =
  match Sys.argv.(1) with
  | "single" -> single ()
  | "never" -> never ()
  | "unmoved" -> unmoved ()
  | "threads" -> threads ()
  | "domains" -> domains ()
  | "fork" -> fork ()
  | "finalisers" -> finalisers ()
  | "rest" -> rest ()
  | "once" -> once ()
  | "compacted" -> compacted ()
  | "pause" -> pause (int_of_string Sys.argv.(2))
  | "events" -> events ()
  | "least" -> least ()
  | "ended" -> ended ()
  | "children" -> children ()
  | "parent" -> parent ()
  | "thread-ticks" -> ticks in_thread (int_of_string Sys.argv.(2))
  | "domain-ticks" -> ticks in_domain (int_of_string Sys.argv.(2))
  | "minor" -> minor ()
  | "told" -> told ()
  | "bigarrays" -> bigarrays ()
  | "executed" -> executed ()
  | "trims" -> c_memory true
  | "trims-not" -> c_memory false
  | "exits" -> exits (int_of_string Sys.argv.(2))
  | _ -> exit 2
