(* Large blocks: every size by small factors, up to 100,000 words times the
   argument, arrays that grow by doubling, and sizes that come back to memory
   that others have freed.  A block is marked at its ends and in every page, by
   its length and the place, so that no two may overlap. *)

let n = int_of_string Sys.argv.(1)

let mark len i = Char.unsafe_chr ((len + i + i / 4096) land 255)

let each_place len f =
  for page = 0 to (len - 1) / 4096 do f (4096 * page) done;
  f (len - 1)

let stamp b =
  let len = Bytes.length b in
  each_place len (fun i -> Bytes.set b i (mark len i))

let intact b =
  let len = Bytes.length b and good = ref true in
  each_place len (fun i -> good := !good && Bytes.get b i = mark len i);
  !good

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
