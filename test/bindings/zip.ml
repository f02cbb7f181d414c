(* camlzip: streams of zlib, custom blocks, are moved while they are used;
   files of gzip and an archive. *)

let text i =
  String.init (i * 30_000) (fun k -> Char.chr (k * k / (i + 3) land 127))

let () = Rest.beside @@ fun () ->
  for i = 1 to 6 do
    let text = text i in
    let packed = Buffer.create 10_000 and at = ref 0 in
    Zlib.compress ~level:6
      (fun b ->
         if !at mod 10_000 = 0 then Rest.rest ();
         let n = min (min 500 (Bytes.length b)) (String.length text - !at) in
         Bytes.blit_string text !at b 0 n;
         at := !at + n;
         n)
      (fun b n ->
         if Buffer.length packed = 0 then Rest.rest ();
         Buffer.add_subbytes packed b 0 n);
    let packed = Buffer.contents packed in
    let all = Buffer.create 10_000 and at = ref 0 in
    Zlib.uncompress
      (fun b ->
         if !at mod 10_000 = 0 then Rest.rest ();
         let n = min 1000 (String.length packed - !at) in
         Bytes.blit_string packed !at b 0 n;
         at := !at + n;
         n)
      (fun b n -> Buffer.add_subbytes all b 0 n);
    assert (Buffer.contents all = text);
    Rest.say "%d: %s" i (Rest.digest packed)
  done;
  let name = Filename.temp_file "zip" ".zip" in
  let out = Zip.open_out name in
  for i = 1 to 5 do
    Rest.rest ();
    Zip.add_entry (text i) out (string_of_int i)
  done;
  Zip.close_out out;
  let archive = Zip.open_in name in
  List.iter (fun e ->
      Rest.rest ();
      let s = Zip.read_entry archive e in
      Rest.say "%s: %s" e.Zip.filename (Rest.digest s)) (Zip.entries archive);
  Zip.close_in archive;
  Sys.remove name
