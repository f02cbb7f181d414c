(* What moves blocks while C code may have pointers to them: garbage with a
   block alive here and there, and a rest.  On stock, where a rest moves none,
   and where nobody compacts in a rest for 0.2 s, Gc.compact does. *)

(* A smaller heap is let be. *)
let ballast = Array.init 100_000 (fun i -> Bytes.make (i mod 100) 'x')

let kept = Array.make 32 [||]
let turn = ref 0

(* A hundredth of many small blocks of all sizes lives on for 32 turns. *)
let garbage () =
  let many = Array.init 20_000 (fun i -> Bytes.make (i mod 250) 'x') in
  Gc.minor ();
  kept.(!turn land 31) <- Array.init 200 (fun i -> many.(i * 100));
  incr turn

let compactions () = (Gc.quick_stat ()).compactions

let rest () =
  garbage ();
  let before = compactions () in
  let rec wait n =
    if compactions () = before then
      if n = 0 then Gc.compact () else (Thread.delay 0.02; wait (n - 1)) in
  wait 10

(* [f ()], while another thread makes garbage and rests *)
let beside f =
  let over = Atomic.make false in
  let thread =
    Thread.create (fun () -> while not (Atomic.get over) do rest () done) () in
  let finally () = Atomic.set over true; Thread.join thread in
  Fun.protect ~finally f;
  assert (Bytes.length ballast.(99) = 99)

(* [f] in a thread of its own: what it returns *)
let thread f =
  let result = ref None in
  let t = Thread.create (fun () -> result := Some (f ())) () in
  fun () -> Thread.join t; Option.get !result

(* A value that lies among garbage in the major heap, and so will be moved *)
let among_garbage make =
  let many = Array.init 10_000 (fun _ -> make ()) in
  Gc.minor ();
  many.(5_000)

let digest s = Digest.to_hex (Digest.string s)
let say format = Printf.printf (format ^^ "\n%!")
