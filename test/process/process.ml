(* process CASE MIB: what a program takes that runs under Xmemory_limit, of
   which about MIB lives.  Prints nothing if all is as it should be. *)

let mib = 1 lsl 20
let lives = int_of_string Sys.argv.(2)

let fail fmt = Printf.ksprintf (fun s -> print_endline s; exit 1) fmt

let reset_peak () =
  match open_out "/proc/self/clear_refs" with
  | oc -> output_string oc "5"; close_out oc
  | exception Sys_error _ -> ()

(* Shared libraries do not count; some MiB are for what a slice comes late. *)
let peak () = Status.mib "VmHWM" - Status.mib "RssFile"

let within what limit =
  if peak () > limit + limit / 32 + 4 then
    fail "%s: the process took %d MiB, and may take %d" what (peak ()) limit

(* Live blocks, of which [step] replaces one *)
let state = ref [||]
let fill mb =
  state := Array.init (mb * mib / 300) (fun i -> Array.make (5 + i mod 60) i)
let steps = ref 0
let step () =
  let i = !steps * 7919 mod Array.length !state in
  !state.(i) <- Array.make (5 + i mod 60) i;
  incr steps

let churn n = for _ = 1 to n do step () done

let limit () =
  match Runtime_jemalloc.Limit.(state ()).soft with
  | Some n -> n / mib
  | None -> fail "there is no limit"

let steady () =
  fill lives;
  churn (lives * 12_000);
  within "steady" (limit ())

(* Slices of the program's own, of fixed work: what is allocated before them
   counts for the next that the collector begins. *)
let sliced () =
  fill (lives / 2);
  let all = Array.init (lives * mib / 2 / 16_000) (Array.make 2000) in
  for i = 1 to lives * 500 do
    all.(i mod Array.length all) <- Array.make 2000 i;
    churn 20;
    if i mod 2 = 0 then ignore (Gc.major_slice 1)
  done;
  within "sliced" (limit ())

(* Collection takes the part of the time that it may, though what lives does
   not fit: not a cycle for each 2 MiB, which would be [lives] * 2 of them. *)
let paced () =
  fill lives;
  Gc.full_major ();
  let cycles () = (Gc.quick_stat ()).major_collections in
  let before = cycles () in
  churn (lives * 15_000);
  if cycles () - before > lives / 2 then
    fail "paced: %d cycles" (cycles () - before)

(* A limit of the system's on address space: the one in force changes with what
   the process has of it beside its pages. *)
let followed () =
  fill lives;
  for _ = 1 to 1000 do
    churn (lives * 12);
    let near = Runtime_jemalloc.Limit.near () in
    if near > 1.15 then fail "followed: %.2f of the limit" near
  done

let bigarray size =
  let open Bigarray in
  let a = Array1.create char c_layout size in
  Array1.fill a 'x';
  a

(* Bigarrays come and go, as large together as the heap. *)
let bigarrays () =
  fill (lives / 2);
  let all = Array.init (lives / 4) (fun _ -> bigarray (2 * mib)) in
  for i = 1 to lives * 4 do
    all.(i mod Array.length all) <- bigarray (2 * mib);
    churn 200
  done;
  within "bigarrays" (limit ())

(* All of it in bigarrays, and hardly any heap *)
let bigarrays_alone () =
  let all = Array.init lives (fun _ -> bigarray mib) in
  for i = 1 to lives * 20 do all.(i mod lives) <- bigarray mib done;
  within "bigarrays alone" (limit ())

(* Lowered while the program runs, and raised again *)
let lowered () =
  let lower = lives * 3 / 2 in
  let goes_past what =
    if peak () < lower + lives / 4 then
      fail "%s: the process takes %d MiB only" what (peak ()) in
  fill lives;
  churn (lives * 6000);
  goes_past "before";
  Runtime_jemalloc.Limit.set (Bytes (lower * mib));
  churn (lives * 6000);
  reset_peak ();
  churn (lives * 6000);
  within "lowered" lower;
  Runtime_jemalloc.Limit.set Unlimited;
  if Runtime_jemalloc.Limit.near () <> 0. then fail "raised: there is a limit";
  churn (lives * 12_000);
  goes_past "raised"

(* With no descriptor left nothing can be asked, but what was known stays, and
   the heap is known. *)
let descriptors () =
  fill (lives / 2);
  let limit = limit () in
  let descriptors = ref [] in
  (try
    while true do
      descriptors := Unix.openfile "/dev/null" [ O_RDONLY ] 0 :: !descriptors
    done
  with Unix.Unix_error (EMFILE, _, _) -> ());
  let other = Array.init (lives / 2 * mib / 300) (Array.make 35) in
  state := Array.append !state other;
  churn (lives * 6000);
  let s = Runtime_jemalloc.Limit.state () in
  List.iter Unix.close !descriptors;
  if s.process < lives * mib || s.process > limit * mib * 5 / 4 then
    fail "descriptors: the process takes %d bytes" s.process;
  within "descriptors" limit

(* Large blocks: each is garbage as the next is allocated. *)
let large () =
  for i = 1 to 40 do
    ignore (Sys.opaque_identity (Bytes.make (lives * mib / 3 + i) 'x'))
  done;
  within "large" (limit ())

(* A child counts itself: it does not begin with its parent's garbage. *)
let forked () =
  fill lives;
  let pid = Unix.fork () in
  churn (lives * 6000);
  within "forked" (limit ());
  if pid <> 0 then
    match Unix.waitpid [] pid with
    | _, WEXITED 0 -> ()
    | _ -> fail "the child failed"

let domains () =
  let worker seed () =
    let n = lives / 2 * mib / 300 in
    let a = Array.init n (fun i -> Array.make (5 + i mod 60) i) in
    for k = 1 to lives * 3000 do
      let i = (k * 7919 + seed) mod n in
      a.(i) <- Array.make (5 + i mod 60) i
    done in
  let other = Domain.spawn (worker 1) in
  worker 0 ();
  Domain.join other;
  within "domains" (limit ())

(* Others wait meanwhile, as an idle pool of domains does. *)
let mutex = Mutex.create () and over = Condition.create () and ended = ref false
let wait () =
  Mutex.lock mutex;
  while not !ended do Condition.wait over mutex done;
  Mutex.unlock mutex

let beside_waiting n work =
  let waiting = List.init n (fun _ -> Domain.spawn wait) in
  work ();
  Mutex.protect mutex (fun () -> ended := true; Condition.broadcast over);
  List.iter Domain.join waiting

let waiting () =
  beside_waiting 3 (fun () -> fill lives; churn (lives * 12_000));
  within "waiting" (limit ())

let joined () =
  Domain.join (Domain.spawn (fun () -> fill lives; churn (lives * 12_000)));
  within "joined" (limit ())

(* Each ends before it would do a slice; what it has made lives for a while.
   Another does it, some domains later. *)
let ending () =
  let kept = Array.make lives [] in
  for i = 1 to lives * 20 do
    kept.(i mod lives) <-
      Domain.join (Domain.spawn (fun () -> List.init 40_000 Fun.id))
  done;
  within "ending" (limit () * 11 / 10)

(* Beyond the limit for good, with hardly any heap: the program is told. *)
let outside () =
  let all = Array.init lives (fun _ -> bigarray mib) in
  let began = Unix.gettimeofday () in
  (match
     while Unix.gettimeofday () -. began < 100. do
       ignore (Sys.opaque_identity (Array.make 1000 0))
     done
   with
   | () -> fail "outside: not told"
   | exception Out_of_memory -> ());
  ignore (Sys.opaque_identity all)

(* Past the limit for good, with MIB in bigarrays: goes on for a while, then is
   told, by the hook first, and can go on when it gives way. *)
let leak () =
  let told = ref 0 in
  let hook = Runtime_jemalloc.Limit.on_soft (fun () -> incr told) in
  let beside = Array.init lives (fun _ -> bigarray mib) in
  let l = ref [] in
  let began = Unix.gettimeofday () in
  (match
     while true do
       l := Array.make 30 0 :: !l;
       if Unix.gettimeofday () -. began > 250. then fail "leak: not told";
       (* the program has other work to do, so that it lives long enough *)
       if List.compare_length_with !l 2 > 0 && Random.int 400 = 0 then
         ignore (Sys.opaque_identity (Digest.string (String.make 5000 'x')))
     done
   with
   | exception Out_of_memory -> l := []
   | () -> ());
  Runtime_jemalloc.Limit.remove hook;
  if !told = 0 then fail "leak: the hook was not called";
  ignore (Sys.opaque_identity beside);
  Gc.full_major ();
  fill (limit () / 2);
  churn 100_000

(* Of several domains that work one is told: the rest need not give way, too. *)
let told () =
  let told = Atomic.make 0 and ended = Atomic.make false in
  let began = Unix.gettimeofday () in
  let rec work step =
    if Unix.gettimeofday () -. began > 250. then fail "told: nobody is";
    if not (Atomic.get ended) then begin
      (try for _ = 1 to 10_000 do step () done
       with Out_of_memory -> Atomic.incr told);
      work step
    end in
  let other () =
    let a = Array.make 3000 [||] and i = ref 0 in
    work (fun () -> a.(!i mod 3000) <- Array.make 40 !i; incr i) in
  let others = List.init 3 (fun _ -> Domain.spawn other) in
  let l = ref [] and n = ref 0 and first = ref infinity in
  work (fun () ->
    if Atomic.get told > 0 then begin
      let now = Unix.gettimeofday () in
      first := min !first now;
      if now > !first +. 2. then Atomic.set ended true
    end else if !n < lives * mib / 320 then begin
      incr n;
      l := Array.make 38 0 :: !l
    end;
    ignore (Sys.opaque_identity (Array.make 38 0)));
  List.iter Domain.join others;
  ignore (Sys.opaque_identity !l);
  if Atomic.get told <> 1 then fail "told: %d domains" (Atomic.get told)

(* Returns the reading end of a pipe that stderr writes to, and that is full. *)
let fill_stderr () =
  let ours, theirs = Unix.pipe () and text = Bytes.make 4096 'x' in
  Unix.set_nonblock theirs;
  (try while true do ignore (Unix.write theirs text 0 4096) done
   with Unix.Unix_error _ -> ());
  Unix.clear_nonblock theirs;
  Unix.dup2 theirs Unix.stderr;
  ours

let rec read_until pipe sign =
  let text = Bytes.create 4096 in
  let n = Unix.read pipe text 0 4096 in
  if not (Bytes.contains (Bytes.sub text 0 n) sign) then read_until pipe sign

(* While nobody reads the report the domain that writes it waits.  The other
   goes on, and reads it. *)
let unread () =
  let pipe = fill_stderr () in
  let steps = [| Atomic.make 0; Atomic.make 0 |] in
  let rec work own l seen since : unit =
    let now = Unix.gettimeofday () and other = Atomic.get steps.(1 - own) in
    Atomic.incr steps.(own);
    for _ = 1 to 1000 do ignore (Sys.opaque_identity (Array.make 400 0)) done;
    let l =
      if List.compare_length_with l (lives * mib / 640_000) >= 0 then l
      else List.init 1000 (fun _ -> Array.make 38 0) :: l in
    if other <> seen then work own l other now
    else if now < since +. 5. then work own l seen since
    else begin
      read_until pipe 'M'; (* as in MiB *)
      ignore (Sys.opaque_identity l);
      exit 0
    end in
  (* It may be told, too: only the first time is reported. *)
  let rec go_on own =
    try work own [] 0 (Unix.gettimeofday ()) with Out_of_memory -> go_on own in
  let other = Domain.spawn (fun () -> go_on 1) in
  go_on 0;
  Domain.join other

let () =
  match Sys.argv.(1) with
  | "steady" -> steady ()
  | "paced" -> paced ()
  | "followed" -> followed ()
  | "VmSize" | "VmData" as name -> print_int (Status.mib name)
  | "sliced" -> sliced ()
  | "bigarrays" -> bigarrays ()
  | "bigarrays_alone" -> bigarrays_alone ()
  | "descriptors" -> descriptors ()
  | "lowered" -> lowered () | "large" -> large () | "forked" -> forked ()
  | "waiting" -> waiting () | "joined" -> joined () | "ending" -> ending ()
  | "outside" -> outside () | "domains" -> domains () | "leak" -> leak ()
  | "told" -> told () | "unread" -> unread ()
  | case -> fail "no case %s" case
