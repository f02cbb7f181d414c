(* ssl CERTIFICATE KEY: a TLS server and its client in two threads.  C asks for
   the password of the key and selects a protocol by calling OCaml, and blocks
   until the other side has had a rest and answers.
   ssl CERTIFICATE KEY FIFO: the certificate comes from a FIFO, once the name
   of the key, which C has a pointer to meanwhile, has been moved. *)

let certificate = Sys.argv.(1)
let key = Sys.argv.(2)
let text = String.init 300_000 (fun i -> Char.chr (i * i land 255))

let read_all socket length =
  let buffer = Rest.among_garbage (fun () -> Bytes.make 1000 ' ') in
  let all = Buffer.create length in
  while Buffer.length all < length do
    let n = Ssl.read socket buffer 0 1000 in
    Buffer.add_subbytes all buffer 0 n
  done;
  Buffer.contents all

let set_key context name =
  Ssl.set_password_callback context (fun _ -> Rest.rest (); "secret");
  Ssl.use_certificate context certificate name

let serve listening protocol () =
  let context = Ssl.create_context protocol Ssl.Server_context in
  set_key context key;
  Ssl.set_context_alpn_select_callback context (fun offered ->
      Rest.rest ();
      List.find_opt (( = ) "second") offered);
  for _ = 1 to 3 do
    let fd, _ = Unix.accept listening in
    let socket = Ssl.embed_socket fd context in
    Rest.rest ();
    Ssl.accept socket;
    let question = read_all socket (String.length text) in
    Rest.rest ();
    Ssl.output_string socket (Digest.string question);
    ignore (Ssl.read socket (Bytes.create 1) 0 1);
    ignore (Ssl.close_notify socket);
    Unix.close fd
  done

let ask protocol address =
  let context = Ssl.create_context protocol Ssl.Client_context in
  Ssl.load_verify_locations context certificate "";
  Ssl.set_verify context [Ssl.Verify_peer] None;
  Ssl.set_context_alpn_protos context ["first"; "second"];
  let socket = Ssl.open_connection_with_context context address in
  Ssl.verify socket;
  let sent = ref 0 in
  while !sent < String.length text do
    let n = min 50_000 (String.length text - !sent) in
    sent := !sent + Ssl.write_substring socket text !sent n
  done;
  Ssl.flush socket;
  assert (read_all socket 16 = Digest.string text);
  Rest.say "%s, %s" (Ssl.get_subject (Ssl.get_certificate socket))
    (Option.value (Ssl.get_negotiated_alpn_protocol socket) ~default:"none");
  Ssl.output_string socket "!";
  ignore (Ssl.close_notify socket)

let talk protocol =
  let listening = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.bind listening (ADDR_INET (Unix.inet_addr_loopback, 0));
  Unix.listen listening 5;
  let finished = Rest.thread (serve listening protocol) in
  for _ = 1 to 3 do ask protocol (Unix.getsockname listening) done;
  finished ();
  Unix.close listening

(* Where a string is, as a number that is no pointer *)
let place (s : string) = (Obj.magic s : int) lor 1

let from_fifo fifo =
  let name = Rest.among_garbage (fun () -> String.cat key "") in
  let before = place name in
  let written = Rest.thread (fun () ->
      let rec wait n =
        if n > 0 && place name = before then (Rest.rest (); wait (n - 1)) in
      wait 100;
      let pem = In_channel.with_open_bin certificate In_channel.input_all in
      Out_channel.with_open_bin fifo (fun c -> output_string c pem);
      place name <> before) in
  let context = Ssl.create_context Ssl.TLSv1_3 Ssl.Server_context in
  Ssl.set_password_callback context (fun _ -> "secret");
  Ssl.use_certificate context fifo name;
  if not (written ()) then failwith "the name was not moved";
  Rest.say "the key was read"

let () =
  Sys.set_signal Sys.sigpipe Signal_ignore;
  Ssl.init ~thread_safe:true ();
  if Array.length Sys.argv > 3 then from_fifo Sys.argv.(3)
  else Rest.beside (fun () -> talk Ssl.TLSv1_2; talk Ssl.TLSv1_3)
