(* state MIB DIRECTORY: what a program sees of its limit in the cgroup
   DIRECTORY, which may take MIB.  Prints nothing if all is as it should be. *)

let mib = 1 lsl 20
let limit = int_of_string Sys.argv.(1) * mib
let fail fmt = Printf.ksprintf (fun s -> print_endline s; exit 1) fmt

(* Percent of the limit.  A little of it is used by others: the shell that began
   this, and the kernel. *)
let is_about what n percent =
  if n > limit / 100 * percent || n < limit / 100 * (percent - 20) then
    fail "%s: %d KiB of %d" what (n / 1024) (limit / 1024)

(* First while the program is small, as it is when it begins *)
let () =
  ignore (Runtime_jemalloc.Limit.state ());
  let kept = Bytes.make (limit / 2) 'x' in
  match Runtime_jemalloc.Limit.state () with
  | { process; soft = Some soft; hard = Some hard; cgroup = Some cgroup } ->
    if process < limit / 2 then fail "process: %d" process;
    if cgroup <> Sys.argv.(2) then fail "of %s" cgroup;
    is_about "soft" soft 90;
    is_about "hard" hard 95;
    ignore (Sys.opaque_identity kept)
  | _ -> fail "no limit of a cgroup was found"
