(* work CASE: memory that the runtime's own threads give back, if the system
   lets them be made. *)

external touch_tls : int -> int = "work_touch_tls"
external bind : unit -> bool = "work_bind"
external unshare_user : unit -> string = "work_unshare_user"

(* MiB *)
let rss () =
  let ic = open_in "/proc/self/statm" in
  let pages = Scanf.sscanf (input_line ic) "%d %d"
    (fun _ resident -> resident) in
  close_in ic;
  pages / 256

let grow () = Array.init 1_000_000 (fun i -> [ i ])

let others () =
  Sys.readdir "/proc/self/task" |> Array.to_list
  |> List.filter (( <> ) (string_of_int (Unix.getpid ())))

(* With much thread-local data of the program's in the stacks of its threads *)
let idle () =
  assert (touch_tls 7 = 7);
  let a = ref (grow ()) in
  let peak = rss () in
  ignore (Sys.opaque_identity !a);
  a := [||];
  let rec wait n =
    if rss () > peak / 2 then begin
      if n = 0 then (Printf.printf "%d of %d MiB\n" (rss ()) peak; exit 1);
      Unix.sleepf 0.5;
      wait (n - 1)
    end in
  wait 40

(* Blocks that come and go, each of which wants to be noted when it goes; what
   is left shrinks while the program works. *)
let busy () =
  let a = ref (grow ()) in
  let peak = rss () in
  let blocks = Array.make 100 Bytes.empty in
  for i = 1 to 20_000 do
    blocks.(i mod 100) <- Bytes.create 20_000
  done;
  ignore (Sys.opaque_identity !a);
  a := [||];
  Gc.full_major ();
  let rec work n =
    if rss () > peak / 2 then begin
      if n = 0 then (Printf.printf "%d of %d MiB\n" (rss ()) peak; exit 1);
      for i = 1 to 10_000 do
        blocks.(i mod 100) <- Bytes.create 20_000
      done;
      work (n - 1)
    end in
  work 10_000

(* What the runtime makes each of its threads for *)
let make_all () =
  let a = ref (grow ()) in
  ignore (Sys.opaque_identity !a);
  a := [||];
  Gc.full_major ();
  Unix.sleepf 0.3;
  ignore (Sys.opaque_identity (grow ()));
  Unix.sleepf 0.3

(* The threads are made by one that has another policy than the process has,
   and is bound to one processor. *)
let scheduling () =
  let work () =
    assert (bind ());
    let before = others () in
    make_all ();
    let field task name =
      let ic = open_in (Printf.sprintf "/proc/self/task/%s/status" task) in
      let rec find () =
        let line = input_line ic in
        match String.index_opt line ':' with
        | Some i when String.sub line 0 i = name -> line
        | _ -> find () in
      Fun.protect ~finally:(fun () -> close_in ic) find in
    (* the last but 11 of 52 *)
    let policy task =
      let ic = open_in (Printf.sprintf "/proc/self/task/%s/stat" task) in
      let line = input_line ic in
      close_in ic;
      let after = String.rindex line ')' + 2 in
      let fields =
        String.split_on_char ' '
          (String.sub line after (String.length line - after)) in
      List.nth fields 38 in
    let made = List.filter (fun t -> not (List.mem t before)) (others ()) in
    let main = string_of_int (Unix.getpid ()) in
    assert (List.length made = 3);
    List.iter
      (fun t ->
         Printf.printf "%s: policy %s, %s\n" t (policy t)
           (field t "Cpus_allowed_list");
         assert (policy t = "0");
         assert (field t "Cpus_allowed_list" = field main "Cpus_allowed_list"))
      made in
  Thread.join (Thread.create work ())

(* What the kernel says to a process that wants a user namespace of its own: it
   lets none have it that has several threads. *)
let unshare () =
  make_all ();
  print_endline (unshare_user ())

let () =
  match Sys.argv.(1) with
  | "idle" -> idle ()
  | "busy" -> busy ()
  | "scheduling" -> scheduling ()
  | "unshare" -> unshare ()
  | _ -> exit 2
