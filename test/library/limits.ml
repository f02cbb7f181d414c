(* limits CASE: Runtime_jemalloc.Limit.  [set]: limits that the program sets;
   [auto]: one that the system sets. *)
open Runtime_jemalloc.Limit

let mib = 1 lsl 20

let grow n = List.init n (fun i -> Some (ref i))

(* How often [f] of the two is called in three cycles *)
let calls on =
  let n = ref 0 in
  let hook = on (fun () -> incr n) in
  for _ = 1 to 3 do Gc.full_major () done;
  remove hook;
  !n

let refused n =
  match set (Bytes n) with
  | () -> failwith "Limit.set takes it"
  | exception Invalid_argument m ->
    assert (m = "Runtime_jemalloc.Limit.set: Bytes takes 1 and more")

let none () =
  let s = state () in
  assert (get () = Unlimited);
  assert (s.soft = None && s.hard = None && s.cgroup = None);
  assert (s.process > mib);
  assert (near () = 0.);
  assert (calls (on_soft ~above:0.) > 0); (* of nothing *)
  assert (calls on_soft = 0 && calls on_hard = 0)

let bytes () =
  set (Bytes (1024 * mib));
  assert (get () = Bytes (1024 * mib));
  let kept = grow 1_000_000 in
  let s = state () in
  assert (s.soft = Some (1024 * mib) && s.hard = None && s.cgroup = None);
  assert (s.process > 32 * mib && s.process < 512 * mib);
  let part = float s.process /. float (1024 * mib) in
  assert (abs_float (near () -. part) < 0.01);
  assert (calls (on_soft ~above:(part /. 2.)) > 0);
  assert (calls on_soft = 0 && calls (on_hard ~above:0.01) = 0);
  refused 0;
  refused (-1);
  assert (get () = Bytes (1024 * mib));
  ignore (Sys.opaque_identity kept)

let auto () =
  set Auto;
  assert (get () = Auto);
  let s = state () in
  (match s.soft, s.hard with
   | Some soft, None -> assert (0 < soft) (* an rlimit kills nobody *)
   | Some soft, Some hard -> assert (0 < soft && soft < hard)
   | None, _ -> failwith "no limit was found");
  assert (near () > 0. && near () < 1.);
  assert (calls (on_hard ~above:0.) > 0);
  assert (calls on_hard = 0);
  refused 0;
  assert (get () = Auto);
  set Unlimited

let () =
  assert (get () = Auto); (* the default *)
  set Unlimited;
  none ();
  match Sys.argv.(1) with
  | "set" -> bytes (); set Unlimited; none ()
  | "auto" -> auto (); none ()
  | case -> failwith case
