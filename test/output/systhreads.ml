(* Threads of one domain, some allocating, some compacting, some waiting. *)

let n = int_of_string Sys.argv.(1)

let () =
  let mutex = Mutex.create () and full = Condition.create () in
  let queue = Queue.create () in
  let producer k =
    for i = 1 to 100 * n do
      let b = Bytes.make (i * 97 mod 20_000) (Char.chr (65 + k)) in
      Mutex.lock mutex;
      Queue.push b queue;
      Condition.signal full;
      Mutex.unlock mutex;
      if i mod 50 = 0 then Thread.delay 0.001;
      if i mod 100 = 0 then Gc.compact ()
    done in
  let total = ref 0 in
  let consumer () =
    for _ = 1 to 300 * n do
      Mutex.lock mutex;
      while Queue.is_empty queue do Condition.wait full mutex done;
      let b = Queue.pop queue in
      Mutex.unlock mutex;
      Bytes.iter (fun c -> total := !total + Char.code c) b
    done in
  let consumer = Thread.create consumer () in
  let producers = List.init 3 (Thread.create producer) in
  List.iter Thread.join producers;
  Thread.join consumer;
  Printf.printf "%d\n" !total
