(* Pipes, files and detached threads: jobs of C's run while OCaml waits. *)

open Lwt.Infix

let write_all fd text =
  let rec go at =
    if at = String.length text then Lwt_unix.close fd
    else
      Lwt_unix.write_string fd text at (min 7000 (String.length text - at))
      >>= fun n ->
      if at / 30_000 <> (at + n) / 30_000 then Rest.rest ();
      go (at + n) in
  go 0

let read_all fd =
  let all = Buffer.create 100_000 in
  let buffer = Rest.among_garbage (fun () -> Bytes.create 2000) in
  let rec go () =
    Lwt_unix.read fd buffer 0 2000 >>= function
    | 0 -> Lwt_unix.close fd >|= fun () -> Buffer.contents all
    | n -> Buffer.add_subbytes all buffer 0 n; go () in
  go ()

let pair i =
  let text = String.init (i * 20_000) (fun k -> Char.chr (k * i land 255)) in
  let input, output = Lwt_unix.pipe () in
  Lwt.both (read_all input) (write_all output text) >>= fun (got, ()) ->
  assert (got = text);
  let name = Filename.temp_file "lwt" "" in
  Lwt_io.with_file ~mode:Output name (fun c -> Lwt_io.write c text)
  >>= fun () ->
  Lwt_unix.sleep 0.02 >>= fun () ->
  Lwt_unix.openfile name [O_RDONLY] 0 >>= fun fd ->
  read_all fd >>= fun got ->
  Lwt_unix.unlink name >>= fun () ->
  Lwt_preemptive.detach (fun s -> Rest.rest (); Rest.digest s) got

let () = Rest.beside @@ fun () ->
  Lwt_main.run
    (Lwt_list.map_p pair [1; 2; 3; 4; 5; 6]
     >>= Lwt_list.iteri_s (fun i s -> Lwt_io.printf "%d: %s\n" i s))
