(* Copies between strings, bytes and bigarrays, which are moved in between. *)

let () = Rest.beside @@ fun () ->
  let rounds = 40 in
  let whole = Bigstringaf.create (rounds * 1000) in
  let parts = Array.init rounds (fun i ->
      let letter = Char.chr (i + 40) in
      let s = Rest.among_garbage (fun () -> String.make 1000 letter) in
      let part = Bigstringaf.sub whole ~off:(i * 1000) ~len:1000 in
      Bigstringaf.blit_from_string s ~src_off:0 part ~dst_off:0 ~len:1000;
      if i mod 4 = 0 then Rest.rest ();
      part) in
  Array.iteri (fun i part ->
      let b = Rest.among_garbage (fun () -> Bytes.create 1000) in
      if i mod 4 = 0 then Rest.rest ();
      Bigstringaf.blit_to_bytes part ~src_off:0 b ~dst_off:0 ~len:1000;
      assert (Bigstringaf.memcmp_string part 0 (Bytes.to_string b) 0 1000 = 0);
      Bigstringaf.set_int64_le part 8 (Int64.of_int (i * 77));
      assert (Bigstringaf.get_int64_le whole (i * 1000 + 8)
              = Int64.of_int (i * 77))) parts;
  Rest.say "%d bytes, %s, first '/' at %d" (Bigstringaf.length whole)
    (Rest.digest (Bigstringaf.to_string whole))
    (Bigstringaf.memchr whole 0 '/' (Bigstringaf.length whole))
