(* Large blocks: every size by small factors, arrays that grow by doubling,
   and sizes that come back to memory that others have freed. *)

let n = int_of_string Sys.argv.(1)

let stamp b =
  let len = Bytes.length b in
  Bytes.set b 0 'a';
  Bytes.set b (len / 2) 'm';
  Bytes.set b (len - 1) 'z'

let intact b =
  let len = Bytes.length b in
  Bytes.get b 0 = 'a' && Bytes.get b (len / 2) = 'm'
  && Bytes.get b (len - 1) = 'z'

let every_size () =
  let kept = ref [] in
  let size = ref (129 * 8) in
  while !size < 8 * 100_000 * n do
    let b = Bytes.create !size in
    stamp b;
    kept := b :: !kept;
    size := !size + !size / 7
  done;
  Gc.full_major ();
  assert (List.for_all intact !kept);
  List.length !kept

let doubling () =
  let a = ref (Array.make 1 0.) in
  for i = 0 to 100_000 * n do
    if i >= Array.length !a then
      a := Array.append !a (Array.make (Array.length !a) 0.);
    !a.(i) <- float_of_int i
  done;
  Array.fold_left (+.) 0. !a

let () =
  for _ = 1 to 3 do
    Printf.printf "%d %.0f\n" (every_size ()) (doubling ());
    Gc.compact ()
  done
