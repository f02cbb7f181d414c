(* Encodes and decodes sound: C has released the lock, and takes it to call
   OCaml for each frame. *)

let now_and_then =
  let calls = ref 0 in
  fun () -> incr calls; if !calls mod 10 = 0 then Rest.rest ()

let () = Rest.beside @@ fun () ->
  let file = Buffer.create 100_000 in
  let encoder = Flac.Encoder.create ~comments:["TITLE", "rest"]
      ~write:(fun b -> now_and_then (); Buffer.add_bytes file b)
      { Flac.Encoder.channels = 2; bits_per_sample = 16; sample_rate = 44100;
        compression_level = Some 5; total_samples = None } in
  for i = 0 to 99 do
    let channel c = Array.init 1000 (fun k ->
        sin (float (i * 1000 + k) /. float (10 * (c + 1))) /. 2.) in
    Flac.Encoder.process encoder [| channel 0; channel 1 |]
  done;
  Flac.Encoder.finish encoder;
  let file = Buffer.contents file and at = ref 0 in
  Rest.say "flac: %d bytes, %s" (String.length file) (Rest.digest file);
  let samples = ref 0 and sum = ref 0. in
  let read b ofs n =
    now_and_then ();
    let n = min n (String.length file - !at) in
    Bytes.blit_string file !at b ofs n;
    at := !at + n;
    n in
  let write pcm =
    now_and_then ();
    samples := !samples + Array.length pcm.(0);
    Array.iter (fun x -> sum := !sum +. x *. x) pcm.(1) in
  let decoder, info, _ = Flac.Decoder.create ~read ~write () in
  let rec go () =
    match Flac.Decoder.state decoder with
    | `Search_for_metadata | `Read_metadata | `Search_for_frame_sync
    | `Read_frame -> Flac.Decoder.process decoder; go ()
    | _ -> () in
  go ();
  Rest.say "%d channels, %d samples, %.6f" info.Flac.Decoder.channels !samples
    !sum
