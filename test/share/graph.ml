(* A random graph, and what it has to look like outside of OCaml's heap.

     graph SEED NODES ROUNDS [DOMAINS]

   The process changes its graph, forks, and so do its children; all of them go
   on changing theirs and collecting, and compare it with the model now and
   then.  Where a process shares its heap, a block that is marked, swept, moved
   or freed wrongly shows as a node that is another, or none.  Exits with 3 when
   one does.  Each process that works ends with a line "steps N". *)

open Effect
open Effect.Deep

type _ Effect.t += Ask : int Effect.t

(* One of each kind of block that the collector treats in a way of its own *)
type node = {
  id : int;
  mutable text : string;
  mutable links : node array; (* of any size: pools, medium and large blocks *)
  mutable twice : int Lazy.t;
  mutable even : int -> bool; (* one closure with [odd]: an infix pointer *)
  mutable odd : int -> bool;
  atom : node option Atomic.t;
  mutable floats : float array;
  obj : < id : int >;
}

let arg i = int_of_string Sys.argv.(i)
let seed = arg 1
let nodes = arg 2
let rounds = arg 3
let domains = if Array.length Sys.argv > 4 then arg 4 else 0
let most_links = 4000

let fail fmt =
  Printf.ksprintf
    (fun s ->
       Printf.eprintf "graph %d %d %d, process %d: %s\n%!" seed nodes rounds
         (Unix.getpid ()) s;
       Unix._exit 3)
    fmt

(* The model: which node is in each slot, and which nodes it leads to.  What is
   in no slot is known by its own id. *)
let ints n = Bigarray.(Array1.create int c_layout n)
let slot_id = ints nodes
let n_links = ints nodes
let link_ids = Array.init nodes (fun _ -> ints most_links)
let ephe_key = ints nodes
let dead = Bigarray.(Array1.create int8_unsigned c_layout 20_000_000)
let last_id = ref 0

let text_of id =
  String.init (id mod 97) (fun i -> Char.chr (33 + (id + i) mod 90))

let parity id =
  let rec even n = if n = 0 then id land 1 = 0 else odd (n - 1)
  and odd n = if n = 0 then id land 1 = 1 else even (n - 1) in
  even, odd

let node links =
  incr last_id;
  let id = !last_id in
  let even, odd = parity id in
  let half = string_of_int id in
  { id; text = text_of id; links; twice = lazy (2 * int_of_string half); even;
    odd; atom = Atomic.make None; floats = Array.make (id mod 9) (float id);
    obj = object method id = id end }

let check_node where n =
  if n.id < 1 || n.id > !last_id then fail "%s: a node %d" where n.id;
  if n.text <> text_of n.id then fail "%s: text of %d" where n.id;
  if n.obj#id <> n.id then fail "%s: object of %d" where n.id;
  if not (n.even (n.id land 1)) || n.odd (2 - (n.id land 1)) then
    if n.even 0 <> (n.id land 1 = 0) then fail "%s: closure of %d" where n.id;
  if n.odd 0 <> (n.id land 1 = 1) then fail "%s: closure of %d" where n.id;
  Array.iter
    (fun x -> if x <> float n.id then fail "%s: floats of %d" where n.id)
    n.floats

let () = Random.init seed

let slots =
  Array.init nodes (fun i ->
      let n = node [||] in
      slot_id.{i} <- n.id;
      n_links.{i} <- 0;
      n)

let weak = Weak.create nodes
let ephes = Array.map (fun n -> Ephemeron.K1.make n (node [||])) slots
let () = Array.iteri (fun i n -> ephe_key.{i} <- n.id) slots

(* Fibers that are suspended: a node each is only on the stack of one. *)
type fiber = { k : (int, int) continuation; answer : int }

let fibers : fiber option array = Array.make 60 None
let in_handler = ref (fun () -> ())

(* The inner handler leaves the effect to the outer one, which adds the fiber
   between them to the continuation. *)
let suspend nested =
  let outer = node [||] and inner = node [||] in
  let answer = outer.id + if nested then inner.id else 0 in
  let kept = ref None in
  let store (type a) (eff : a Effect.t)
    : ((a, int) continuation -> int) option =
    match eff with
    | Ask -> Some (fun k -> kept := Some { k; answer }; 0)
    | _ -> None in
  let ask n =
    let x = perform Ask in
    check_node "fiber" n;
    x + n.id in
  let between () =
    let n = node [||] in
    let x =
      if nested then
        match_with ask inner
          { retc = Fun.id; exnc = raise;
            effc = (fun _ -> !in_handler (); check_node "between" n; None) }
      else perform Ask in
    check_node "between" n;
    check_node "outer" outer;
    x + outer.id in
  ignore
    (match_with between () { retc = Fun.id; exnc = raise; effc = store } : int);
  !kept

let resume i =
  match fibers.(i) with
  | None -> fibers.(i) <- suspend (Random.bool ())
  | Some { k; answer } ->
    fibers.(i) <- None;
    if continue k 7 <> answer + 7 then fail "answer of a fiber"

let check () =
  for i = 0 to nodes - 1 do
    let n = slots.(i) in
    if n.id <> slot_id.{i} then fail "slot %d: %d for %d" i n.id slot_id.{i};
    if dead.{n.id} = 1 then fail "finalised: %d" n.id;
    check_node "slot" n;
    if Array.length n.links <> n_links.{i} then fail "links of %d" n.id;
    Array.iteri
      (fun j m ->
         if m.id <> link_ids.(i).{j} then fail "link %d of %d" j n.id;
         if j < 30 then check_node "link" m)
      n.links;
    Option.iter (check_node "weak") (Weak.get weak i);
    Option.iter (check_node "atomic") (Atomic.get n.atom);
    match Ephemeron.K1.query ephes.(i) n with
    | Some m ->
      check_node "ephemeron" m;
      if ephe_key.{i} <> n.id then fail "key of ephemeron %d" i
    | None -> if ephe_key.{i} = n.id then fail "ephemeron of %d" n.id
  done

let any () = Random.int nodes
let target () = if Random.int 4 = 0 then node [||] else slots.(any ())

let links () =
  let n =
    match Random.int 150 with
    | 0 -> 2000 + Random.int (most_links - 2000)
    | 1 | 2 | 3 -> 520 + Random.int 1400
    | 4 -> 130 + Random.int 380
    | k -> k mod 8 in
  Array.init n (fun _ -> target ())

let put i n =
  slots.(i) <- n;
  slot_id.{i} <- n.id;
  n_links.{i} <- Array.length n.links;
  Array.iteri (fun j m -> link_ids.(i).{j} <- m.id) n.links

let collect () =
  match Random.int 14 with
  | 0 -> Gc.full_major ()
  | 1 -> Gc.compact ()
  | 2 | 3 -> Gc.major ()
  | 4 | 5 | 6 -> Gc.minor ()
  | 7 -> Unix.sleepf 0.002 (* idle: with Xidle_compact_ms=0 it is collected *)
  | _ -> ignore (Gc.major_slice (Random.int 30_000))

(* At random, where there is something to set *)
let set_knob () =
  let open Runtime_jemalloc in
  let pick l = List.nth l (Random.int (List.length l)) in
  match Random.int 6 with
  | 0 -> Knob.set Knob.idle_compact_ms (pick [ 0; 1; 100; -1 ])
  | 1 -> Knob.set Knob.max_overhead (pick [ 0; 80; 1_000_000 ])
  | 2 -> Knob.set Knob.memory_limit (pick [ 0; 1 lsl 26; -1 ])
  | 3 -> Knob.set Knob.background_purge (Random.bool ())
  | 4 -> Knob.set Knob.idle_slices (Random.bool ())
  | _ -> Knob.set Knob.dirty_decay_ms (pick [ 0; 1; 1000; -1 ])

let steps = ref 0

(* Nodes with links are in one slot each, whose model has the links. *)
let change () =
  incr steps;
  let i = any () in
  let n = slots.(i) in
  let l = Array.length n.links in
  match Random.int 16 with
  | 0 | 1 | 2 ->
    if Random.int 50 = 0 && Runtime_jemalloc.available then set_knob ();
    let n = node (links ()) in
    if Random.int 5 = 0 then Gc.finalise (fun n -> dead.{n.id} <- 1) n;
    put i n
  | 3 | 4 ->
    if l > 0 then begin
      let j = Random.int l and m = target () in
      n.links.(j) <- m;
      link_ids.(i).{j} <- m.id
    end
  | 5 ->
    let m = target () and from = if l > 0 then Random.int l else 0 in
    Array.fill n.links from (l - from) m;
    for j = from to l - 1 do link_ids.(i).{j} <- m.id done
  | 6 ->
    let o = any () in
    let l = min l (Array.length slots.(o).links) in
    Array.blit slots.(o).links 0 n.links 0 l;
    for j = 0 to l - 1 do link_ids.(i).{j} <- link_ids.(o).{j} done
  | 7 -> Atomic.set n.atom (Some (node [||]))
  | 8 ->
    ignore
      (Atomic.compare_and_set n.atom (Atomic.get n.atom) (Some (target ())))
  | 9 -> if Lazy.force n.twice <> 2 * n.id then fail "lazy of %d" n.id
  | 10 ->
    let even, odd = parity n.id in
    if Random.bool () then n.even <- even else n.odd <- odd;
    n.floats <- Array.copy n.floats;
    n.text <- text_of n.id;
    n.twice <- lazy (2 * n.id)
  | 11 ->
    (* only on the stack for a while *)
    let o = any () in
    put i (node [||]);
    if Random.int 30 = 0 then collect ();
    put o n
  | 12 -> Weak.set weak i (if Random.bool () then Some (target ()) else None)
  | 13 ->
    ephes.(i) <- Ephemeron.K1.make n (node [||]);
    ephe_key.{i} <- n.id
  | 14 -> if Random.int 10 = 0 then resume (Random.int (Array.length fibers))
  | _ ->
    if Random.int 40 = 0 then begin
      let m = Marshal.(from_string (to_string n.floats []) 0) in
      if m <> n.floats then fail "marshalled floats of %d" n.id;
      ignore (Obj.reachable_words (Obj.repr n.text))
    end

let work rounds =
  for r = 1 to rounds do
    for _ = 1 to nodes / 2 do change () done;
    collect ();
    if r mod 5 = 0 then check ()
  done;
  check ()

(* Domains with heaps of their own, beside the one that shares its *)
let beside stop () =
  let lists = Array.make 300 [] in
  let k = ref 0 in
  while not (Atomic.get stop) do
    incr k;
    let i = !k * 7919 mod 300 in
    List.iter (fun (x, y) -> if x <> y then fail "another domain's list")
      lists.(i);
    lists.(i) <- List.init (!k mod 60) (fun x -> x, x);
    if !k mod 3000 = 0 then Gc.major ()
  done

let with_domains f =
  let stop = Atomic.make false in
  let all = List.init domains (fun _ -> Domain.spawn (beside stop)) in
  f ();
  Atomic.set stop true;
  List.iter Domain.join all

let tell_steps () = Printf.printf "steps %d\n%!" !steps

let worker f =
  match Unix.fork () with
  | 0 ->
    Random.init (seed + !last_id);
    steps := 0;
    (try f () with e -> fail "%s" (Printexc.to_string e));
    tell_steps ();
    Unix._exit 0
  | pid -> pid

let wait pid =
  match Unix.waitpid [] pid with
  | _, Unix.WEXITED 0 -> ()
  | _, Unix.WEXITED n -> exit n
  | _ -> fail "a worker was killed"

let share () = Runtime_jemalloc.(if available then share_heap ())
let unshare () = Runtime_jemalloc.(if available then unshare_heap ())

(* A worker that forks another in each of the two states that it may be in:
   before its first collection and after some. *)
let generations () =
  wait (worker (fun () -> work (rounds / 2)));
  work (1 + Random.int rounds);
  let child = worker (fun () -> work rounds) in
  work (rounds / 2);
  wait child;
  if Random.bool () then begin
    unshare ();
    work (rounds / 2);
    share ();
    wait (worker (fun () -> work (rounds / 2)))
  end;
  work (rounds / 2)

(* The fork is in a handler: its child adds a fiber to a continuation that was
   there before. *)
let fork_in_handler () =
  let child = ref 0 in
  (in_handler := fun () ->
      in_handler := (fun () -> ());
      Gc.full_major ();
      child := Unix.fork ());
  let fiber = suspend true in
  if !child = 0 then begin
    steps := 0;
    work rounds;
    Option.iter
      (fun { k; answer } ->
         if continue k 7 <> answer + 7 then fail "answer of a fiber")
      fiber;
    tell_steps ();
    Unix._exit 0
  end
  else wait !child

let () =
  work rounds;
  for i = 1 to 3 do
    if Random.bool () then Gc.compact ();
    share ();
    let quick = worker (fun () -> if domains = 0 then generations ()) in
    let other = worker (fun () -> with_domains (fun () -> work (2 * rounds))) in
    work rounds;
    fork_in_handler ();
    work rounds;
    wait quick;
    if i = 2 then unshare ();
    work rounds;
    wait other;
    work rounds
  done;
  tell_steps ()
