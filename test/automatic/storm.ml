(* Threads and domains block and wake up while their heap is collected: nothing of
   it is lost.  storm SEED SECONDS DOMAINS THREADS *)
module M = Map.Make (Int)
let seed = int_of_string Sys.argv.(1)
let seconds = float_of_string Sys.argv.(2)
let domains = int_of_string Sys.argv.(3)
let threads = int_of_string Sys.argv.(4)
let finalised = Atomic.make 0
let until = Unix.gettimeofday () +. seconds
let fail s = prerr_endline s; exit 2
let work id () =
  let r = Random.State.make [| seed; id |] in
  let m = ref M.empty in
  let w = Weak.create 50 in
  let e = Ephemeron.K1.make (ref 0) (ref 1) in
  ignore e;
  let tbl = Hashtbl.create 16 in
  while Unix.gettimeofday () < until do
    for _ = 1 to Random.State.int r 3000 do
      let k = Random.State.int r 20000 in
      m := M.add k (String.make (k mod 300) (Char.chr (k land 127))) !m;
      if k land 3 = 0 then m := M.remove (Random.State.int r 20000) !m
    done;
    if Random.State.int r 10 = 0 then m := M.empty;
    if Random.State.int r 5 = 0 then Hashtbl.replace tbl (Random.State.int r 100) (Array.init (Random.State.int r 60000) string_of_int);
    if Random.State.int r 8 = 0 then Hashtbl.reset tbl;
    let b = Bytes.make 100 'a' in
    Gc.finalise (fun b -> if Bytes.get b 3 <> 'a' then fail "finaliser"; Atomic.incr finalised) b;
    Weak.set w (Random.State.int r 50) (Some (ref id));
    M.iter (fun k v -> if String.length v <> k mod 300 || (v <> "" && v.[0] <> Char.chr (k land 127)) then fail "map") !m;
    Hashtbl.iter (fun _ a -> Array.iteri (fun i s -> if s <> string_of_int i then fail "array") a) tbl;
    for i = 0 to 49 do match Weak.get w i with Some v -> if !v <> id then fail "weak" | None -> () done;
    match Random.State.int r 4 with
    | 0 -> Unix.sleepf 0.0005
    | 1 -> (try ignore (Unix.select [] [] [] (Random.State.float r 0.02)) with Unix.Unix_error (EINTR, _, _) -> ())
    | 2 -> Unix.sleepf (Random.State.float r 0.03)
    | _ -> Thread.yield ()
  done
let in_domain d () =
  let ts = List.init threads (fun t -> Thread.create (work (100 * d + t)) ()) in
  work (100 * d + 99) ();
  List.iter Thread.join ts
let () =
  Sys.set_signal Sys.sigalrm (Signal_handle (fun _ -> ignore (Sys.opaque_identity (List.init 100 string_of_int))));
  ignore (Unix.setitimer Unix.ITIMER_REAL { it_interval = 0.013; it_value = 0.013 });
  let ds = List.init domains (fun d -> Domain.spawn (in_domain (d + 1))) in
  in_domain 0 ();
  List.iter Domain.join ds;
  Printf.printf "ok, finalised %d, compactions %d majors %d\n" (Atomic.get finalised) (Gc.quick_stat ()).compactions (Gc.quick_stat()).major_collections
