(* domains SEED MIB ROUNDS: two domains.  One makes batches of records and passes
   them through a bounded queue to the other, which checks and drops them.  Both
   also keep blocks of their own, and replace some of them with each batch.  The
   heap stays at about MIB; a round is a hundred batches.  Prints a checksum.
   OCaml 5 only. *)

type item = {
  number : int;
  name : string;
  values : float array;
  next : item option;
}

(* Of the heap, the rest is garbage that is not collected yet *)
let live_share = 0.36
let batches_in_round = 100
let items_in_batch = 1000
let queue_length = 16

let random r n =
  r := (!r * 25214903917 + 11) land (1 lsl 48 - 1);
  (!r lsr 17) mod n

let fail what = prerr_endline ("domains: " ^ what); exit 2

type 'a queue = {
  items : 'a Queue.t;
  lock : Mutex.t;
  not_empty : Condition.t;
  not_full : Condition.t;
}

let create () =
  { items = Queue.create (); lock = Mutex.create ();
    not_empty = Condition.create (); not_full = Condition.create () }

let push q x =
  Mutex.lock q.lock;
  while Queue.length q.items >= queue_length do
    Condition.wait q.not_full q.lock
  done;
  Queue.push x q.items;
  Condition.signal q.not_empty;
  Mutex.unlock q.lock

let pop q =
  Mutex.lock q.lock;
  while Queue.is_empty q.items do Condition.wait q.not_empty q.lock done;
  let x = Queue.pop q.items in
  Condition.signal q.not_full;
  Mutex.unlock q.lock;
  x

(* Some 170 bytes with what holds it *)
let item r next =
  let number = random r 1000 in
  { number; name = String.make (8 + number mod 90) 'x';
    values = Array.make (number mod 10) (float number); next }

let batch r =
  let rec from n next =
    if n = 0 then next else from (n - 1) (Some (item r next)) in
  from items_in_batch None

(* The sum of the numbers, if all items are as they were made *)
let rec sum total count = function
  | None -> if count <> items_in_batch then fail "an item is missing" else total
  | Some i ->
    let values = Array.fold_left (+.) 0. i.values in
    if String.length i.name <> 8 + i.number mod 90
    || int_of_float values <> i.number * (i.number mod 10) then
      fail "an item has changed";
    sum (total + i.number) (count + 1) i.next

(* What a domain has of its own: blocks of 1 to 400 words, 1.6 KiB on average *)
let own r mib =
  let size = live_share *. float mib *. 1048576. /. 2. in
  Array.init (int_of_float size / 1640) (fun i -> Array.make (1 + random r 400) i)

(* As many bytes as a batch *)
let replace r blocks =
  for _ = 1 to items_in_batch / 10 do
    let i = random r (Array.length blocks) in
    let block = blocks.(i) in
    if block.(Array.length block - 1) <> i then fail "a block has changed";
    blocks.(i) <- Array.make (1 + random r 400) i
  done

let produce q seed mib batches =
  let r = ref seed in
  let blocks = own r mib in
  let total = ref 0 in
  for _ = 1 to batches do
    let b = batch r in
    total := sum !total 0 b;
    push q b;
    replace r blocks
  done;
  !total

let consume q seed mib batches =
  let r = ref seed in
  let blocks = own r mib in
  let total = ref 0 in
  for _ = 1 to batches do
    total := sum !total 0 (pop q);
    replace r blocks
  done;
  !total

let () =
  let arg n = int_of_string Sys.argv.(n) in
  let q = create () in
  let batches = arg 3 * batches_in_round in
  let producer = Domain.spawn (fun () -> produce q (arg 1) (arg 2) batches) in
  let consumed = consume q (arg 1 + 1) (arg 2) batches in
  if Domain.join producer <> consumed then fail "the sums differ";
  Printf.printf "%d\n" consumed
