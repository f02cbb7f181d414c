(* Blocks of all sizes, domains and threads of the runtime's own *)
let live = ref []
let work seed =
  let state = Random.State.make [| seed |] in
  for i = 1 to 4_000 do
    let block = Array.make (1 + Random.State.int state 3000) i in
    if i mod 10 = 0 then live := block :: !live
  done
let () =
  List.init 2 (fun i -> Domain.spawn (fun () -> work i))
  |> List.iter Domain.join;
  let words = List.fold_left (fun n a -> n + Array.length a) 0 !live in
  Gc.compact ();
  let s = Gc.quick_stat () in
  live := [];
  Gc.compact ();
  Printf.printf "%b %b\n%!" (s.heap_words >= words)
    ((Gc.quick_stat ()).heap_words < words / 4)
