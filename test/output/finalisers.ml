(* Finalisers run once each, of OCaml and of custom blocks, before and after
   blocks are moved; and a channel that was dropped still has what was written
   to it. *)

let n = 1_000 * int_of_string Sys.argv.(1)

let bigarray freed i =
  let a = Bigarray.(Array1.create float64 c_layout 1_000) in
  Bigarray.Array1.fill a (float_of_int i);
  Gc.finalise (fun _ -> incr freed) a;
  Bigarray.Array1.get a 999

let drop_channel file =
  let oc = open_out file in
  output_string oc "written"

let () =
  let first = ref 0 and last = ref 0 in
  let kept = Array.init n (fun i ->
    let a = Array.make 5 i and b = Array.make 200 i in
    Gc.finalise (fun a -> first := !first + Array.length a) a;
    Gc.finalise_last (fun () -> incr last) b;
    if i mod 2 = 0 then [| a; b |] else [||]) in
  Gc.compact ();
  Gc.full_major ();
  Printf.printf "%d %d\n" !first !last;
  Array.fill kept 0 (n / 2) [||];
  Gc.compact ();
  Gc.full_major ();
  Printf.printf "%d %d\n" !first !last;
  for i = n / 2 to n - 1 do
    if i mod 2 = 0 then assert (kept.(i).(1).(199) = i)
  done;
  (* custom blocks, whose finalisers free memory outside of the heap *)
  let sum = ref 0. and freed = ref 0 in
  for i = 1 to n do sum := !sum +. bigarray freed i done;
  Gc.compact ();
  Gc.full_major ();
  Printf.printf "%.0f %d\n" !sum !freed;
  let files = List.init 20 (fun _ -> Filename.temp_file "finalisers" ".tmp") in
  List.iter drop_channel files;
  Gc.compact ();
  Gc.full_major ();
  flush_all ();
  List.iter (fun file ->
    let ic = open_in file in
    assert (input_line ic = "written");
    close_in ic;
    Sys.remove file) files
