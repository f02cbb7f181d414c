(* On OCaml's own runtime: nothing is available, and everything says so. *)
open Runtime_jemalloc

let unavailable what f =
  match f () with
  | () -> failwith (what ^ " returned")
  | exception Unavailable -> ()

let () =
  assert (not available);
  unavailable "jemalloc_version" (fun () -> ignore (jemalloc_version ()));
  unavailable "statistics" (fun () -> ignore (statistics ()));
  unavailable "in_use" (fun () -> ignore (in_use ()));
  unavailable "purge" purge;
  unavailable "decay" decay;
  unavailable "Knob.get" (fun () -> ignore Knob.(get thp));
  unavailable "Knob.set" (fun () -> Knob.(set heap_limit 0));
  unavailable "Knob.all" (fun () -> ignore (Knob.all ()));
  unavailable "pressure" (fun () -> ignore (pressure ()));
  unavailable "on_limit" (fun () -> ignore (on_limit ignore));
  unavailable "Limit.get" (fun () -> ignore (Limit.get ()));
  unavailable "Limit.set" (fun () -> Limit.(set Auto));
  unavailable "Limit.state" (fun () -> ignore (Limit.state ()));
  unavailable "Limit.near" (fun () -> ignore (Limit.near ()));
  unavailable "Limit.on_soft" (fun () -> ignore (Limit.on_soft ignore));
  unavailable "Limit.on_hard" (fun () -> ignore (Limit.on_hard ignore));
  unavailable "Limit.on_pressure" (fun () ->
    ignore (Limit.on_pressure ignore));
  unavailable "Mallctl.get" (fun () -> ignore Mallctl.(get String "version"));
  unavailable "Mallctl.set" (fun () -> Mallctl.(set Uint64 "epoch" 1L));
  unavailable "Mallctl.refresh" Mallctl.refresh;
  unavailable "Mallctl.arena" (fun () -> ignore (Mallctl.arena ()));
  unavailable "Mallctl.mib" (fun () -> ignore Mallctl.(mib String "version"));
  unavailable "stats_print" (fun () -> ignore (stats_print ()));
  unavailable "output_stats" (fun () -> output_stats stdout)
