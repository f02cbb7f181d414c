(* Marshalled data makes large blocks and pools at once when it is read. *)

let n = 10_000 * int_of_string Sys.argv.(1)

let () =
  let table = Hashtbl.create 16 in
  for i = 1 to n do
    Hashtbl.add table i (string_of_int i, [| float_of_int i |], Bytes.make
      (i mod 50) 'b')
  done;
  for _ = 1 to 3 do
    let s = Marshal.to_string table [] in
    let copy : (int, string * float array * bytes) Hashtbl.t =
      Marshal.from_string s 0 in
    Gc.compact ();
    assert (Hashtbl.length copy = n);
    Hashtbl.iter (fun k v -> assert (Hashtbl.find table k = v)) copy;
    Printf.printf "%s\n" (Digest.to_hex (Digest.string s))
  done
