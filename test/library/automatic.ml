(* The knob of idle collections changes while their thread watches. *)

open Runtime_jemalloc

let mib = 1 lsl 20

(* Enough for a thread, and a twentieth of it survives *)
let kept = ref [||]

let grow_and_drop () =
  let blocks = Array.init (32 * mib / 128)
    (fun i -> Bytes.make (i mod 200) 'x') in
  kept := Array.init (Array.length blocks / 20) (fun i -> blocks.(20 * i))

(* The thread has seen it. *)
let moment () = Unix.sleepf 0.05

let collections () = (statistics ()).idle_collections

let is_collected () =
  let before = collections () in
  let rec look n =
    if collections () = before then begin
      assert (n > 0);
      Unix.sleepf 0.5;
      look (n - 1)
    end in
  look 20

let fork_ends_well () =
  match Unix.fork () with
  | 0 -> exit 0
  | child -> assert (snd (Unix.waitpid [] child) = Unix.WEXITED 0)

(* Of all threads, while this one sleeps for a second *)
let cpu () =
  let before = Sys.time () in
  Unix.sleepf 1.;
  Sys.time () -. before

let () =
  Knob.(set idle_compact_ms 3_600_000);
  grow_and_drop ();
  moment ();
  Knob.(set idle_compact_ms (-1));
  moment ();
  fork_ends_well ();
  let seconds = cpu () in
  Printf.printf "turned off: %.2f s of a second\n%!" seconds;
  assert (seconds < 0.5);
  assert (collections () = 0);
  Knob.(set idle_compact_ms 3_600_000);
  moment ();
  Knob.(set idle_compact_ms 50);
  is_collected ();
  fork_ends_well ();
  ignore (Sys.opaque_identity !kept)
