(* The typed control interface: right and wrong names, types and values. *)
open Runtime_jemalloc
open Mallctl

let error name expected f =
  match f () with
  | _ -> failwith (name ^ ": no error")
  | exception (Error e as exn) ->
    if e.name <> name || e.reason <> expected then
      failwith (name ^ ": " ^ Printexc.to_string exn)

let get_error ty name reason =
  error name reason (fun () -> ignore (get ty name));
  error name reason (fun () -> ignore (get_mib (mib ty name)))

(* Every name in the table that is made from jemalloc's manual has the type that
   it says, or is not in this jemalloc: profiling and the like. *)
let documented file =
  let ic = open_in file in
  let known = ref 0 and absent = ref 0 in
  let try_get (type a) (ty : a ty) name =
    match get ty name with
    | _ -> incr known
    | exception Error { reason = Unknown_name | Write_only; _ } ->
      incr absent in
  (try
     while true do
       match String.split_on_char ' ' (input_line ic) with
       | [ "Bool"; name ] -> try_get Bool name
       | [ "Unsigned"; name ] -> try_get Unsigned name
       | [ "Size"; name ] -> try_get Size name
       | [ "Ssize"; name ] -> try_get Ssize name
       | [ "Uint64"; name ] -> try_get Uint64 name
       | [ "String"; name ] -> try_get String name
       | _ -> ()
     done
   with End_of_file -> close_in ic);
  Printf.printf "%d names, %d not in this jemalloc\n" !known !absent;
  assert (!known > 120)

let () =
  documented Sys.argv.(1);
  assert (get String "version" = jemalloc_version ());
  assert (get Bool "config.stats");
  let page = get Size "arenas.page" in
  assert (page >= 4096 && page land (page - 1) = 0);
  let largest = get Unsigned "arenas.nlextents" - 1 in (* 7 EiB *)
  assert (get Size (Printf.sprintf "arenas.lextent.%d.size" largest) = max_int);
  assert (get Unsigned "arenas.narenas" > arena ());
  let here fmt = Printf.sprintf fmt (arena ()) in
  let dirty = here "arena.%d.dirty_decay_ms" in
  assert (get Ssize dirty = Knob.(get dirty_decay_ms));

  (* set, and by MIB *)
  let other = get Unsigned "arenas.create" in
  let others = Printf.sprintf "arena.%d.dirty_decay_ms" other in
  set Ssize others 77;
  assert (get Ssize others = 77);
  let m = index (mib Ssize "arena.0.dirty_decay_ms") 0 other in
  assert (get_mib m = 77);
  set_mib m (-1);
  assert (get Ssize others = -1);
  set Unsigned "thread.arena" other;
  set Command (here "arena.%d.purge") ();
  set_mib (index (mib Command "arena.0.decay") 0 (arena ())) ();
  let pdirty = index (mib Size "stats.arenas.0.pdirty") 0 (arena ()) in
  refresh ();
  assert (get_mib pdirty = get Size (here "stats.arenas.%d.pdirty"));
  let bin = index (index (mib Uint64 "stats.arenas.0.bins.0.nmalloc")
                     0 (arena ())) 1 2 in
  assert (get_mib bin = get Uint64 (here "stats.arenas.%d.bins.2.nmalloc"));
  assert (get Unsigned (here "stats.arenas.%d.mutexes.large.max_num_thds")
    >= 0);

  (* what is wrong *)
  get_error Size "no.such.name" Unknown_name;
  get_error Size "" Unknown_name;
  get_error Size "version\000x" Unknown_name;
  get_error Size (String.make 10_000 'x') Unknown_name;
  get_error Size "stats.arenas.999999999999999999999.pdirty" Unknown_name;
  List.iter
    (fun number -> get_error Size ("arena." ^ number ^ ".name") Unknown_name)
    [ "+0"; "-0"; " 0"; "\t0"; "\0110"; "0x0"; "0 " ];
  List.iter
    (fun n ->
       get_error Ssize (Printf.sprintf "arena.%d.muzzy_decay_ms" n) Unknown_name;
       error (Printf.sprintf "arena.%d.dirty_decay_ms" n) Unknown_name
         (fun () -> get_mib (index m 0 n));
       get_error Size (Printf.sprintf "arena.%d.oversize_threshold" n)
         Unknown_name)
    [ 4095; 4096; 4097; max_int ];
  assert (get Size (here "arena.%d.oversize_threshold") > 0);
  get_error String "arena.4097.dss" Unknown_name;
  assert (get String "arena.4096.dss" = get String "arena.0.dss");
  List.iter
    (fun what ->
       let name = "arena.4097." ^ what in
       error name Unknown_name (fun () -> set Command name ());
       error name Unknown_name
         (fun () ->
            set_mib (index (mib Command ("arena.0." ^ what)) 0 4097) ());
       set Command ("arena.4096." ^ what) ())
    [ "decay"; "purge" ];
  get_error String "stats.allocated" (Wrong_type "Size");
  get_error Uint64 "stats.allocated" (Wrong_type "Size");
  get_error Size "version" (Wrong_type "String");
  get_error Bool "epoch" (Wrong_type "Uint64");
  error "stats.allocated" Read_only (fun () -> set Size "stats.allocated" 1);
  error "version" Read_only (fun () -> set String "version" "6");
  error others (Refused "the value is not accepted")
    (fun () -> set Ssize others (-2));
  let knob's = Refused "it is a knob's: Knob.set sets it" in
  error dirty knob's (fun () -> set Ssize dirty 77);
  error dirty knob's (fun () -> set_mib (index m 0 (arena ())) 77);
  error "thread.arena" (Refused "the heap's arena is for the heap only")
    (fun () -> set Unsigned "thread.arena" (arena ()));
  error "thread.arena" (Refused "the value is out of range")
    (fun () -> set Unsigned "thread.arena" (-1));
  error "max_background_threads" (Refused "the value is out of range")
    (fun () -> set Size "max_background_threads" (-1));
  let no_threads =
    Refused "a forked child would have no such threads; background_purge \
             has one that it gets" in
  set Bool "background_thread" false;
  set_mib (mib Bool "background_thread") false;
  error "background_thread" no_threads
    (fun () -> set Bool "background_thread" true);
  error "background_thread" no_threads
    (fun () -> set_mib (mib Bool "background_thread") true);
  assert (not (get Bool "background_thread"));
  let refused = Refused "it would take memory that is in use" in
  List.iter
    (fun what ->
       let name = here "arena.%d." ^ what in
       error name refused (fun () -> set Command name ());
       error name refused (fun () -> ignore (mib Command name));
       error ("arena.4096." ^ what) refused
         (fun () -> set Command ("arena.4096." ^ what) ()))
    [ "reset"; "destroy" ];
  get_error Size (here "arena.%d.extent_hooks")
    (Wrong_type "a pointer or another that is not offered");
  (match index m 1 0 with
   | _ -> assert false
   | exception Invalid_argument _ -> ());
  (match index m 0 (-1) with
   | _ -> assert false
   | exception Invalid_argument _ -> ());
  assert (Printexc.to_string (Error { name = "x"; reason = Read_only })
          = "Runtime_jemalloc.Mallctl.Error: x: it can only be read");

  (* jemalloc's own report *)
  let text = stats_print () in
  assert (String.starts_with ~prefix:"___ Begin jemalloc statistics ___" text);
  assert (String.length (stats_print ~options:"gmdabxeh" ())
    < String.length text);
  assert (String.starts_with ~prefix:"{\"jemalloc\":"
    (stats_print ~options:"J" ()));
  Out_channel.with_open_bin "stats.json" (output_stats ~options:"J");
  assert (In_channel.with_open_bin "stats.json" In_channel.length > 10_000L)
