(* Run with Xmuzzy_decay_ms=5k. *)

let raises f = match f () with
  | () -> false
  | exception Invalid_argument _ -> true

let () =
  assert (Gc.Tweak.get "dirty_decay_ms" = 1000);
  assert (Gc.Tweak.get "muzzy_decay_ms" = 5120);
  assert (Gc.Tweak.list_active () = ["muzzy_decay_ms", 5120]);
  Gc.Tweak.set "dirty_decay_ms" (-1);
  assert (Gc.Tweak.get "dirty_decay_ms" = -1);
  assert (raises (fun () -> Gc.Tweak.set "dirty_decay_ms" (-2)));
  assert (raises (fun () -> Gc.Tweak.set "thp" 0));
  assert (Gc.Tweak.get "dirty_decay_ms" = -1);
  assert (List.mem ("dirty_decay_ms", -1) (Gc.Tweak.list_active ()));
  (* and the runtime's own *)
  Gc.Tweak.set "mark_stack_prune_factor" 16;
  assert (Gc.Tweak.get "mark_stack_prune_factor" = 16);
  Gc.Tweak.set "compact_purge" 1;
  Gc.compact ()
