(* Reads a big value back again and again. *)

let () =
  let file = Filename.temp_file "space" "" in
  Fun.protect ~finally:(fun () -> Sys.remove file) @@ fun () ->
  let oc = open_out_bin file in
  Marshal.to_channel oc (Array.init 4_000_000 Fun.id) [];
  close_out oc;
  Gc.compact ();
  for _ = 1 to 12 do
    let ic = open_in_bin file in
    let (a : int array) = Marshal.from_channel ic in
    close_in ic;
    assert (a.(17) = 17)
  done
