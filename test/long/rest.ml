(* A program that often rests: its heap is collected and compacted again and
   again.  rest FILE: rounds of work and rest until FILE is there.  After
   another one all is dropped, and two thirds of what it took go back. *)

let fail s = Printf.eprintf "rest: %s\n%!" s; Unix._exit 3

(* The value of a slot can be told from its number and its generation. *)
let slots = 40_000
let value i n = String.make (16 + i * 7 mod 400) (Char.chr ((i + n) land 127))
let generations = Array.make slots 0
let kept = Array.init slots (fun i -> value i 0)
let checked = ref 0

let check () =
  incr checked;
  Array.iteri
    (fun i s -> if s <> value i generations.(i) then fail "a value is lost")
    kept

(* A fifth of what is promoted here stays. *)
let change n =
  let garbage = List.init (4 * slots) (fun i -> value i n) in
  for i = 0 to slots - 1 do
    if (i + n) mod 3 = 0 then begin
      generations.(i) <- n;
      kept.(i) <- value i n
    end
  done;
  Gc.minor ();
  ignore (Sys.opaque_identity (List.length garbage))

let rec rounds n file =
  check ();
  change n;
  Unix.sleepf 0.1;
  if Sys.file_exists file then check () else rounds (n + 1) file

let rec falls_to least tries =
  let rss = Status.mib "VmRSS" in
  if rss > least && tries > 0 then begin
    Unix.sleepf 0.1;
    falls_to least (tries - 1)
  end
  else rss

let () =
  Array.fill kept 0 slots "";
  Gc.compact ();
  let least = Status.mib "VmRSS" in
  Array.iteri (fun i _ -> kept.(i) <- value i 0) kept;
  rounds 1 Sys.argv.(1);
  let idle = Runtime_jemalloc.((statistics ()).idle_collections) in
  change 0;
  let most = Status.mib "VmRSS" in
  Array.fill kept 0 slots "";
  let rss = falls_to (least + (most - least) / 3) 300 in
  Printf.printf
    "%d rounds, %d idle collections; RSS %d MiB, then %d, at first %d\n%!"
    !checked idle most rss least;
  if idle = 0 then fail "no idle collection";
  if most < least + 24 then fail "it took nothing";
  if rss > least + (most - least) / 3 then fail "it gave nothing back";
  print_endline "whole"
