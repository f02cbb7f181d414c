(* descriptors: in a cgroup with a limit, a program that has no descriptor left
   to ask for it with still knows it.  Prints nothing if all is as it should
   be. *)

let fail fmt = Printf.ksprintf (fun s -> print_endline s; exit 1) fmt

let seen () =
  match Runtime_jemalloc.Limit.state () with
  | { process; soft = Some soft; hard = Some hard; cgroup = Some cgroup } ->
    process, soft, hard, cgroup
  | { process; _ } -> fail "no limit, and the process takes %d bytes" process

let rec take descriptors =
  match Unix.openfile "/dev/null" [ O_RDONLY ] 0 with
  | fd -> take (fd :: descriptors)
  | exception Unix.Unix_error (EMFILE, _, _) -> descriptors

(* They are looked at again after a second. *)
let () =
  let _, soft, hard, cgroup = seen () in
  let descriptors = take [] in
  let kept = Bytes.make (50 lsl 20) 'x' in
  Unix.sleepf 1.1;
  let process, soft', hard', cgroup' = seen () in
  List.iter Unix.close descriptors;
  if process < 50 lsl 20 then fail "process: %d" process;
  if cgroup' <> cgroup then fail "of %s" cgroup';
  if abs (soft' - soft) > soft / 5 then fail "soft: %d, %d before" soft' soft;
  if abs (hard' - hard) > hard / 5 then fail "hard: %d, %d before" hard' hard;
  ignore (Sys.opaque_identity kept)
