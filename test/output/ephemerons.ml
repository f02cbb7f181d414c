(* What is only weakly held goes, the rest stays, whatever is moved. *)

module E = Ephemeron.K1
module W = Weak.Make (struct
  type t = string
  let equal = String.equal
  let hash = Hashtbl.hash
end)
module H = Ephemeron.K1.Make (struct
  type t = int ref
  let equal = (==)
  let hash r = !r
end)

let n = 1_000 * int_of_string Sys.argv.(1)

let () =
  let keys = Array.init n (fun i -> ref i) in
  let gone = ref 0 in
  let ephemerons = Array.map (fun k ->
    let data = Array.make 10 !k in
    Gc.finalise_last (fun () -> incr gone) data;
    E.make k data) keys in
  let weak = Weak.create n in
  Array.iteri (fun i k -> Weak.set weak i (Some k)) keys;
  let table = H.create n and set = W.create n in
  Array.iter (fun k -> H.replace table k (String.make 20 'x')) keys;
  let strings = Array.init n string_of_int in
  Array.iter (W.add set) strings;
  for i = 0 to n - 1 do
    if i mod 3 <> 0 then begin
      keys.(i) <- ref (-1);
      strings.(i) <- ""
    end
  done;
  Gc.compact ();
  Gc.full_major ();
  Printf.printf "data gone %d\n" !gone;
  let weakly = ref 0 in
  for i = 0 to n - 1 do if Weak.check weak i then incr weakly done;
  H.clean table;
  Printf.printf "weak %d table %d set %d\n" !weakly
    (H.stats table).num_bindings (W.count set);
  Array.iteri (fun i k ->
    if i mod 3 = 0 then
      match E.query ephemerons.(i) k with
      | Some a -> assert (a.(9) = i)
      | None -> assert false) keys;
  ignore (Sys.opaque_identity strings)
