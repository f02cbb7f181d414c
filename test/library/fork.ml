(* After a fork parent and child have the same knobs, statistics and heap, and
   from then on each its own. *)

open Runtime_jemalloc

let mib = 1024 * 1024

let what_is () =
  let s = statistics () in
  Knob.(get dirty_decay_ms, get muzzy_decay_ms, get heap_limit),
  (s.dirty_decay_ms, s.heap_limit), s.large_blocks

let ask (_, write) = ignore (Unix.write_substring write "." 0 1)
let wait (read, _) = ignore (Unix.read read (Bytes.create 1) 0 1)

let () =
  let kept = Array.make (4 * mib) 0 in
  Knob.(set dirty_decay_ms 5_000);
  Knob.(set heap_limit (512 * mib));
  let before = what_is () in
  let child_turn = Unix.pipe () and parent_turn = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
    assert (what_is () = before);
    Knob.(set dirty_decay_ms 7_000);
    Knob.(set heap_limit (256 * mib));
    let more = Array.make (6 * mib) 1 in
    let _, (decay, limit), large = what_is () in
    assert (decay = 7_000 && limit = 256 * mib && large > 80 * mib);
    assert (match Array.make (30 * mib) 0 with
      | _ -> false
      | exception Out_of_memory -> true);
    ask parent_turn;
    wait child_turn;
    (* what the parent did since *)
    assert (Knob.(get dirty_decay_ms) = 7_000);
    let _, _, now = what_is () in
    assert (now = large);
    assert (Array.length kept + Array.length more = 10 * mib);
    Unix._exit 0
  | pid ->
    wait parent_turn;
    assert (what_is () = before);
    Knob.(set dirty_decay_ms 1);
    let more = Array.make (30 * mib) 0 in
    ask child_turn;
    let _, status = Unix.waitpid [] pid in
    assert (status = Unix.WEXITED 0);
    assert (Array.length kept + Array.length more = 34 * mib)
