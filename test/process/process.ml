(* process CASE MIB: what a program takes that runs under Xmemory_limit, of
   which about MIB lives.  Prints nothing if all is as it should be. *)

let mib = 1 lsl 20
let lives = int_of_string Sys.argv.(2)

let fail fmt = Printf.ksprintf (fun s -> print_endline s; exit 1) fmt

let reset_peak () =
  match open_out "/proc/self/clear_refs" with
  | oc -> output_string oc "5"; close_out oc
  | exception Sys_error _ -> ()

(* Shared libraries do not count; some MiB are for what a slice comes late: by
   more if another domain waits for a processor. *)
let peak () = Status.mib "VmHWM" - Status.mib "RssFile"

let within ?(late = 32) what limit =
  if peak () > limit + limit / late + 4 then
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
  within ~late:10 "domains" (limit ())

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

let () =
  match Sys.argv.(1) with
  | "steady" -> steady () | "followed" -> followed ()
  | "VmSize" | "VmData" as name -> print_int (Status.mib name)
  | "bigarrays" -> bigarrays ()
  | "bigarrays_alone" -> bigarrays_alone ()
  | "lowered" -> lowered () | "large" -> large () | "forked" -> forked ()
  | "domains" -> domains () | "leak" -> leak ()
  | case -> fail "no case %s" case
