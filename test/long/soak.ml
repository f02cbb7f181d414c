(* A server at work and at rest in turn, and what it takes at rest.

     soak threads|domains SECONDS

   Four threads or domains answer on loopback; their client, a process of its
   own, asks for six seconds and leaves them in peace for four.  At the end of
   each rest it prints "rest SECOND RSS MAPPINGS VIRTUAL METADATA", sizes in
   KiB; at the end "latency P50 P99 P99.9 LONGEST" in ms of all requests. *)

let workers = 4
let work_s = 6.
let rest_s = 4.
let entries = 400

(* What a worker keeps, by key; the value of a key can be told from it. *)
type kept = { key : int; text : string; list : int list }

let kept r key =
  let size =
    match Random.State.int r 10 with
    | 0 -> 20_000 + Random.State.int r 40_000
    | 1 | 2 -> 2_000 + Random.State.int r 8_000
    | _ -> 10 + Random.State.int r 500 in
  { key; text = String.make size (Char.chr (key land 127));
    list = List.init (key mod 100) Fun.id }

let intact k =
  String.for_all (( = ) (Char.chr (k.key land 127))) k.text
  && List.length k.list = k.key mod 100

(* Some garbage of each lifetime, and an answer that depends on what is kept *)
let answer r table request =
  for _ = 1 to 10 do
    let key = Random.State.int r entries in
    Hashtbl.replace table key (kept r key)
  done;
  let key = request mod entries in
  match Hashtbl.find_opt table key with
  | None -> 0
  | Some k ->
    let copy : kept = Marshal.(from_string (to_string k []) 0) in
    if intact copy && intact k then String.length k.text else -1

let mappings () =
  In_channel.with_open_text "/proc/self/maps" In_channel.input_all
  |> String.split_on_char '\n' |> List.length

let sample () =
  let metadata =
    if Runtime_jemalloc.available then
      Runtime_jemalloc.((statistics ()).metadata) / 1024
    else 0 in
  let rss = Status.kib ~file:"/proc/self/smaps_rollup" "Rss" in
  Printf.sprintf "%d %d %d %d" rss (mappings ()) (Status.kib "VmSize") metadata

(* Requests are numbers: one that is negative asks for a sample. *)
let serve socket seed () =
  let r = Random.State.make [| seed |] in
  let table = Hashtbl.create entries in
  let fd, _ = Unix.accept socket in
  let ic = Unix.in_channel_of_descr fd and oc = Unix.out_channel_of_descr fd in
  try
    while true do
      let request = input_binary_int ic in
      if request < 0 then output_string oc (sample () ^ "\n")
      else output_binary_int oc (answer r table request);
      flush oc
    done
  with End_of_file -> ()

let connect address =
  let fd = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.connect fd address;
  Unix.setsockopt fd TCP_NODELAY true;
  Unix.in_channel_of_descr fd, Unix.out_channel_of_descr fd

let ask (ic, oc) request =
  let t = Unix.gettimeofday () in
  output_binary_int oc request;
  flush oc;
  if input_binary_int ic < 0 then failwith "a wrong answer";
  Unix.gettimeofday () -. t

let at_work connections latencies until =
  let one connection =
    let n = ref 0 in
    while Unix.gettimeofday () < until do
      incr n;
      let ms = ask connection !n *. 1000. in
      latencies := ms :: !latencies;
      Unix.sleepf 0.002
    done in
  List.iter Thread.join (List.map (Thread.create one) connections)

let percentiles latencies =
  let a = Array.of_list latencies in
  Array.sort compare a;
  let n = Array.length a in
  let p x = a.(min (n - 1) (int_of_float (float n *. x))) in
  Printf.printf "latency %.3f %.3f %.3f %.3f of %d\n" (p 0.5) (p 0.99)
    (p 0.999) a.(n - 1) n

let client address seconds =
  let connections = List.init workers (fun _ -> connect address) in
  let latencies = ref [] in
  let start = Unix.gettimeofday () in
  let now () = Unix.gettimeofday () -. start in
  while now () < seconds do
    at_work connections latencies (Unix.gettimeofday () +. work_s);
    Unix.sleepf rest_s;
    let ic, oc = List.hd connections in
    output_binary_int oc (-1);
    flush oc;
    Printf.printf "rest %.0f %s\n%!" (now ()) (input_line ic)
  done;
  percentiles !latencies

let () =
  let seconds = float_of_string Sys.argv.(2) in
  let socket = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.bind socket (ADDR_INET (Unix.inet_addr_loopback, 0));
  Unix.listen socket workers;
  match Unix.fork () with
  | 0 -> client (Unix.getsockname socket) seconds
  | pid ->
    (match Sys.argv.(1) with
     | "threads" ->
       List.init workers (fun i -> Thread.create (serve socket i) ())
       |> List.iter Thread.join
     | "domains" ->
       List.init workers (fun i -> Domain.spawn (serve socket i))
       |> List.iter Domain.join
     | kind -> failwith kind);
    if snd (Unix.waitpid [] pid) <> WEXITED 0 then failwith "the client"
