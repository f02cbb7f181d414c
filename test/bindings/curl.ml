(* A server of HTTP in a thread, which rests before it answers, and a client
   that C calls back with what comes, and for what is to be sent. *)

let body i = String.init (i * 20_000) (fun k -> Char.chr (32 + k * i mod 90))

let read_request channel =
  let rec headers length =
    match String.trim (input_line channel) with
    | "" -> length
    | line ->
      headers (try Scanf.sscanf line "Content-Length: %d" Fun.id
               with _ -> length) in
  let length = headers 0 in
  really_input_string channel length

let serve listening () =
  for i = 1 to 8 do
    let fd, _ = Unix.accept listening in
    let received = read_request (Unix.in_channel_of_descr fd) in
    Rest.rest ();
    let out = Unix.out_channel_of_descr fd in
    let body = body i in
    Printf.fprintf out "HTTP/1.0 200 OK\r\nX-Received: %s\r\n\r\n%!"
      (Rest.digest received);
    Rest.rest ();
    output_string out body;
    close_out out
  done

let () = Rest.beside @@ fun () ->
  Curl.global_init Curl.CURLINIT_GLOBALALL;
  let listening = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.bind listening (ADDR_INET (Unix.inet_addr_loopback, 0));
  Unix.listen listening 5;
  let port = match Unix.getsockname listening with
    | ADDR_INET (_, port) -> port
    | ADDR_UNIX _ -> assert false in
  let finished = Rest.thread (serve listening) in
  for i = 1 to 8 do
    let all = Buffer.create 100_000 and header = ref "" and at = ref 0 in
    let sent = body (9 - i) in
    let c = Curl.init () in
    Curl.set_url c (Printf.sprintf "http://127.0.0.1:%d/%d" port i);
    Curl.set_upload c true;
    Curl.set_infilesize c (String.length sent);
    Curl.set_httpheader c ["Expect:"; Printf.sprintf "X-Number: %d" i];
    Curl.set_readfunction c (fun n ->
        if !at = 0 then Rest.rest ();
        let n = min n (String.length sent - !at) in
        at := !at + n;
        String.sub sent (!at - n) n);
    Curl.set_writefunction c (fun s ->
        if Buffer.length all = 0 then Rest.rest ();
        Buffer.add_string all s;
        String.length s);
    Curl.set_headerfunction c (fun s ->
        if String.starts_with ~prefix:"X-Received" s then
          header := String.trim s;
        String.length s);
    Curl.set_noprogress c false;
    Curl.set_progressfunction c (fun _ _ _ _ -> Rest.garbage (); false);
    Curl.perform c;
    assert (!header = "X-Received: " ^ Rest.digest sent);
    assert (Buffer.contents all = body i);
    Rest.say "%d: %d, %s" i (Curl.get_responsecode c) !header;
    Curl.cleanup c
  done;
  finished ();
  Curl.global_cleanup ()
