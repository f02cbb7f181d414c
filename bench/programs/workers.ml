(* workers SEED WORKERS TASKS MIB CALL WAIT: forked workers.  Each task builds a
   state of MIB, of hash tables of records, strings, lists and arrays, keeps 2 to
   10% of it, drops the rest and waits WAIT seconds.  CALL after each task: none,
   full_major, compact.  Prints 0. *)

type item = { key : int; name : string; values : float list; next : item option }

(* Some 330 bytes with what holds it *)
let item r key next =
  { key; name = String.make (8 + Random.State.int r 193) 'x';
    values = List.init (key mod 4) float; next }

let state r mib =
  let n = mib * 1024 * 1024 / 330 in
  let table = Hashtbl.create 1000 and last = ref None in
  for key = 1 to n do
    let i = item r key (if key mod 5 = 0 then None else !last) in
    last := Some i;
    Hashtbl.replace table key i
  done;
  let arrays =
    List.init (mib / 8) (fun i -> Array.make (Random.State.int r 60_000) i) in
  table, arrays

(* Scattered: each with what it is linked to *)
let keep r (table, arrays) =
  let percent = 2 + Random.State.int r 9 in
  let kept =
    Hashtbl.fold
      (fun k v l -> if k * 7919 mod 1000 < percent * 10 / 3 then v :: l else l)
      table [] in
  kept, List.filteri (fun i _ -> i mod 20 = 0) arrays

let rec intact i =
  i.key mod 4 = List.length i.values && String.for_all (( = ) 'x') i.name
  && match i.next with None -> true | Some next -> intact next

let worker seed tasks mib call wait n =
  let r = Random.State.make [| seed; n |] in
  let kept = ref ([], []) in
  for _ = 1 to tasks do
    kept := ([], []);
    kept := keep r (state r mib);
    call ();
    if wait > 0. then Unix.sleepf wait;
    if not (List.for_all intact (fst !kept)) then exit 2
  done;
  exit 0

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let seed = arg 1 and workers = arg 2 and tasks = arg 3 and mib = arg 4
  and wait = float_of_string Sys.argv.(6)
  and call = match Sys.argv.(5) with
    | "none" -> ignore
    | "full_major" -> Gc.full_major
    | "compact" -> Gc.compact
    | _ -> exit 2 in
  let fork n =
    match Unix.fork () with
    | 0 -> worker seed tasks mib call wait n
    | pid -> pid in
  let end_well pid = snd (Unix.waitpid [] pid) = Unix.WEXITED 0 in
  if not (List.for_all end_well (List.init workers fork)) then exit 2;
  print_endline "0"
