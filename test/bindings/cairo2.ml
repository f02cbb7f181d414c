(* Draws pictures, and calls OCaml to write them as PNG, where it rests.
   Contexts, surfaces and patterns are custom blocks.
   cairo2 read: it rests too when OCaml is called for a PNG to read. *)

let draw i =
  let surface = Cairo.Image.create Cairo.Image.ARGB32 ~w:200 ~h:150 in
  let c = Cairo.create surface in
  let gradient = Cairo.Pattern.create_linear ~x0:0. ~y0:0. ~x1:200. ~y1:150. in
  Cairo.Pattern.add_color_stop_rgb gradient ~ofs:0. 1. 0.2 (float i /. 30.);
  Cairo.Pattern.add_color_stop_rgb gradient ~ofs:1. 0. 0.5 1.;
  Cairo.set_source c gradient;
  Cairo.paint c;
  Rest.garbage ();
  Cairo.set_source_rgba c 0. 0. 0. 0.7;
  Cairo.set_dash c [| 5.; 2.; float (i + 1) |];
  Cairo.arc c 100. 75. ~r:(float (20 + i)) ~a1:0. ~a2:(float i);
  Cairo.stroke c;
  Rest.rest ();
  Cairo.save c;
  Cairo.rotate c 0.1;
  Cairo.rectangle c 20. 30. ~w:50. ~h:(float i);
  Cairo.clip c;
  Cairo.paint c ~alpha:0.3;
  Cairo.restore c;
  let path = Cairo.Path.to_array (Cairo.arc c 9. 9. ~r:5. ~a1:0. ~a2:1.;
                                  Cairo.Path.copy c) in
  surface, Array.length path

let png_of surface =
  let png = Buffer.create 10_000 and calls = ref 0 in
  Cairo.PNG.write_to_stream surface (fun s ->
      incr calls;
      if !calls = 2 then Rest.rest ();
      Buffer.add_string png s);
  Buffer.contents png

let read_png ~rests png =
  let at = ref 0 in
  Cairo.PNG.create_from_stream ~input:(fun buffer n ->
      if rests then Rest.rest ();
      (* C copies the string afterwards *)
      Bytes.blit_string png !at (Bytes.unsafe_of_string buffer) 0 n;
      at := !at + n)

let all () =
  let surfaces = Array.init 30 draw in
  Rest.rest ();
  Array.iteri (fun i (surface, path) ->
      let pixels = Cairo.Image.get_data8
          (read_png ~rests:false (png_of surface)) in
      let sum = ref 0 in
      for k = 0 to Bigarray.Array1.dim pixels - 1 do
        sum := (!sum * 31 + pixels.{k}) land 0xffffff
      done;
      Rest.say "picture %d: %d of path, pixels %06x" i path !sum) surfaces

let () =
  if Array.length Sys.argv = 1 then Rest.beside all
  else
    let surface, _ = draw 1 in
    match read_png ~rests:true (png_of surface) with
    | _ -> Rest.say "the picture was read"
    | exception Cairo.Error _ -> prerr_endline "no picture"; exit 3
