(* postgresql CONNECTION: queries to a server that sleeps before it answers,
   notices given to OCaml, COPY in both directions, large objects. *)

let () =
  Printexc.register_printer (function
      | Postgresql.Error e -> Some (Postgresql.string_of_error e)
      | _ -> None)

let () = Rest.beside @@ fun () ->
  let c = new Postgresql.connection ~conninfo:Sys.argv.(1) () in
  let run ?params q = c#exec ?params q in
  let notices = ref [] in
  c#set_notice_processor (fun s -> Rest.rest (); notices := s :: !notices);
  ignore (run "CREATE TEMP TABLE t (n int, s text, b bytea)");
  ignore (c#prepare "insert" "INSERT INTO t VALUES ($1, $2, $3)");
  for i = 1 to 200 do
    let s = Rest.among_garbage (fun () -> String.make i 'x') in
    if i mod 20 = 0 then Rest.rest ();
    ignore (c#exec_prepared "insert"
              ~params:[| string_of_int i; s; "\000\001" ^ s |]
              ~binary_params:[| false; false; true |])
  done;
  for i = 1 to 5 do
    let r = run ~params:[| string_of_int (i * 40) |]
        "SELECT n, s, length(b), pg_sleep(0.05) FROM t WHERE n = $1" in
    Rest.rest ();
    Rest.say "%s: %s, %s" (r#getvalue 0 0) (Rest.digest (r#getvalue 0 1))
      (r#getvalue 0 2)
  done;
  ignore (run "DO $$ BEGIN FOR i IN 1..5 LOOP RAISE NOTICE 'number %', i; \
               PERFORM pg_sleep(0.01); END LOOP; END $$");
  List.iter (fun s -> Rest.say "%s" (String.trim s)) (List.rev !notices);
  ignore (c#exec ~expect:[Postgresql.Copy_in] "COPY t (n, s) FROM STDIN");
  for i = 1 to 100 do
    if i mod 20 = 0 then Rest.rest ();
    let line = Printf.sprintf "%d\t%s\n" (-i) (String.make i 'y') in
    ignore (c#put_copy_data line)
  done;
  ignore (c#put_copy_end ());
  ignore c#get_result;
  while c#get_result <> None do () done;
  let lines = Buffer.create 10_000 in
  ignore (c#exec ~expect:[Postgresql.Copy_out]
            "COPY (SELECT n, s FROM t ORDER BY n) TO STDOUT");
  let rec copy_out () =
    match c#get_copy_data () with
    | Postgresql.Get_copy_data line ->
      if Buffer.length lines mod 10 = 0 then Rest.rest ();
      Buffer.add_string lines line;
      copy_out ()
    | Get_copy_end -> ()
    | Get_copy_wait | Get_copy_error -> failwith "COPY" in
  copy_out ();
  while c#get_result <> None do () done;
  Rest.say "copied out: %d bytes, %s" (Buffer.length lines)
    (Rest.digest (Buffer.contents lines));
  ignore (run "BEGIN");
  let text = String.init 100_000 (fun i -> Char.chr (i * i land 255)) in
  let o = c#lo_open c#lo_creat in
  c#lo_write text o;
  Rest.rest ();
  c#lo_seek o;
  let buffer = Rest.among_garbage (fun () -> Bytes.make 1000 ' ') in
  let all = Buffer.create 100_000 in
  let rec read () =
    let n = c#lo_read o buffer in
    if n > 0 then begin
      Buffer.add_subbytes all buffer 0 n;
      if Buffer.length all mod 20_000 = 0 then Rest.rest ();
      read ()
    end in
  read ();
  assert (Buffer.contents all = text);
  c#lo_close o;
  ignore (run "COMMIT");
  Rest.say "%s" (String.trim (run "SELECT 1 / 0")#error);
  c#finish
