(* Threads and domains block and wake up while their heap is collected: nothing
   of it is lost.  storm SEED SECONDS DOMAINS THREADS WITH... with: signals,
   memprof, alarms, events, forks (of one domain only), spawns *)

module M = Map.Make (Int)
module W = Weak.Make (struct
    type t = string
    let equal = String.equal
    let hash = Hashtbl.hash
  end)

let seed = int_of_string Sys.argv.(1)
let seconds = float_of_string Sys.argv.(2)
let domains = int_of_string Sys.argv.(3)
let threads = int_of_string Sys.argv.(4)

let is_with what =
  Array.exists (( = ) what) (Array.sub Sys.argv 5 (Array.length Sys.argv - 5))

let finalised = Atomic.make 0
let sampled = Atomic.make 0
let alarms = Atomic.make 0
let until = ref (Unix.gettimeofday () +. seconds)
let fail s = prerr_endline s; Unix._exit 2

(* What one thread holds *)
type held = {
  mutable map : string M.t; (* [value k] for each key *)
  arrays : (int, string array) Hashtbl.t; (* string_of_int *)
  weak : int ref Weak.t; (* the thread's number *)
  set : W.t;
  mutable keys : string list; (* that [set] must have *)
  ephemerons : (int ref, string) Ephemeron.K1.t option array;
}

let value k = String.make (k mod 300) (Char.chr (k land 127))

let change r id h =
  for _ = 1 to Random.State.int r 3000 do
    let k = Random.State.int r 20000 in
    h.map <- M.add k (value k) h.map;
    if k land 3 = 0 then h.map <- M.remove (Random.State.int r 20000) h.map
  done;
  if Random.State.int r 10 = 0 then h.map <- M.empty;
  if Random.State.int r 5 = 0 then
    Hashtbl.replace h.arrays (Random.State.int r 100)
      (Array.init (Random.State.int r 60000) string_of_int);
  if Random.State.int r 8 = 0 then Hashtbl.reset h.arrays;
  let b = Bytes.make 100 'a' in
  Gc.finalise
    (fun b ->
       if Bytes.get b 3 <> 'a' then fail "finaliser";
       Atomic.incr finalised) b;
  Weak.set h.weak (Random.State.int r 50) (Some (ref id));
  let key = ref id in
  h.ephemerons.(Random.State.int r 20) <-
    Some (Ephemeron.K1.make key (value id));
  h.keys <- W.merge h.set (string_of_int (Random.State.int r 1000)) :: h.keys;
  if Random.State.int r 30 = 0 then h.keys <- []

let verify id h =
  M.iter (fun k v -> if v <> value k then fail "map") h.map;
  Hashtbl.iter
    (fun _ -> Array.iteri
      (fun i s -> if s <> string_of_int i then fail "array"))
    h.arrays;
  for i = 0 to 49 do
    match Weak.get h.weak i with
    | Some v -> if !v <> id then fail "weak"
    | None -> ()
  done;
  List.iter (fun k -> if not (W.mem h.set k) then fail "weak set") h.keys;
  Array.iter
    (Option.iter (fun e ->
         match Ephemeron.K1.query e (ref id) with
         | Some _ -> fail "ephemeron"
         | None -> ()))
    h.ephemerons

let channel = Event.new_channel ()

let block r =
  match Random.State.int r 5 with
  | 0 -> Unix.sleepf 0.0005
  | 1 ->
    (try ignore (Unix.select [] [] [] (Random.State.float r 0.02))
     with Unix.Unix_error (EINTR, _, _) -> ())
  | 2 -> Unix.sleepf (Random.State.float r 0.03)
  | 3 when is_with "events" ->
    ignore (Event.poll (Event.choose [
        Event.wrap (Event.receive channel)
          (fun s -> if s <> value 77 then fail "event");
        Event.send channel (value 77) ]))
  | _ -> Thread.yield ()

let work id () =
  let r = Random.State.make [| seed; id |] in
  let h = {
    map = M.empty; arrays = Hashtbl.create 16; weak = Weak.create 50;
    set = W.create 10; keys = []; ephemerons = Array.make 20 None } in
  while Unix.gettimeofday () < !until do
    change r id h;
    verify id h;
    block r
  done

let with_alarm f =
  let a = Gc.create_alarm (fun () -> Atomic.incr alarms) in
  f ();
  Gc.delete_alarm a

(* Callbacks run OCaml code that allocates. *)
let with_memprof f =
  let note _ = Atomic.incr sampled;
    Some (Sys.opaque_identity (Bytes.create 9)) in
  let forget b = if Bytes.length b <> 9 then fail "memprof" in
  ignore (Gc.Memprof.start ~sampling_rate:0.01 ~callstack_size:5 {
      alloc_minor = note; alloc_major = note;
      promote = (fun b -> Some b); dealloc_minor = forget;
      dealloc_major = forget });
  f ();
  Gc.Memprof.stop ()

let in_domain d () =
  let all () =
    let ts =
      List.init threads (fun t -> Thread.create (work (100 * d + t)) ()) in
    work (100 * d + 99) ();
    List.iter Thread.join ts in
  let all () = if is_with "alarms" then with_alarm all else all () in
  if is_with "memprof" then with_memprof all else all ();
  (* It ends without ephemerons: where it has some whose keys are dead, stock's
     debug runtime too stops once in a while (num_domains_todo,
     num_domains_done). *)
  if d > 0 then Gc.full_major ()

(* Children of a process whose threads block and wake up: each does the same
   for a moment. *)
let fork_many () =
  let n = ref 0 in
  while Unix.gettimeofday () < !until do
    match Unix.fork () with
    | 0 ->
      until := Unix.gettimeofday () +. 0.3;
      work 1000 ();
      Unix._exit 0
    | child ->
      Unix.sleepf 0.02;
      incr n;
      let rec wait () =
        try snd (Unix.waitpid [] child)
        with Unix.Unix_error (EINTR, _, _) -> wait () in
      if wait () <> WEXITED 0 then fail "child"
  done;
  Printf.printf "%d children\n" !n

(* Ephemerons that domains leave to others when they end *)
let spawn_many () =
  let left = Queue.create () in
  let in_domain n () =
    let l = List.init 10_000 value in
    let es = List.init 500
      (fun i -> let k = ref i in k, Ephemeron.K1.make k (value i)) in
    if n land 1 = 0 then Unix.sleepf 0.002;
    List.iteri (fun i s -> if s <> value i then fail "domain") l;
    es in
  let intact (k, e) =
    if Ephemeron.K1.query e k <> Some (value !k) then fail "left ephemeron" in
  let rec go n =
    if Unix.gettimeofday () < !until then begin
      Queue.push (Domain.join (Domain.spawn (in_domain n))) left;
      if n >= 10 then ignore (Queue.pop left);
      Queue.iter (List.iter intact) left;
      go (n + 1)
    end in
  go 0

let () =
  if is_with "signals" then begin
    Sys.set_signal Sys.sigalrm (Signal_handle (fun _ ->
        ignore (Sys.opaque_identity (List.init 100 string_of_int))));
    ignore (Unix.setitimer Unix.ITIMER_REAL
              { it_interval = 0.013; it_value = 0.013 })
  end;
  let others =
    (if is_with "forks" then [ Thread.create fork_many () ] else [])
    @ (if is_with "spawns" then [ Thread.create spawn_many () ] else []) in
  let ds = List.init domains (fun d -> Domain.spawn (in_domain (d + 1))) in
  in_domain 0 ();
  List.iter Domain.join ds;
  List.iter Thread.join others;
  let stat = Gc.quick_stat () in
  Printf.printf
    "finalised %d, sampled %d, alarms %d; %d compactions, %d cycles\n"
    (Atomic.get finalised) (Atomic.get sampled) (Atomic.get alarms)
    stat.compactions stat.major_collections;
  if is_with "memprof" && Atomic.get sampled = 0 then fail "no samples";
  if is_with "alarms" && Atomic.get alarms = 0 then fail "no alarms"
