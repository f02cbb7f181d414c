(* A database in memory: functions, aggregates and a collation in OCaml, rows
   given to a callback, and a query that C runs for a while. *)

open Sqlite3

let now_and_then =
  let calls = ref 0 in
  fun () -> incr calls; if !calls mod 200 = 0 then Rest.rest ()

let text s = Data.TEXT s

let () = Rest.beside @@ fun () ->
  let db = db_open ":memory:" in
  let run sql = Rc.check (exec db sql) in
  create_fun1 db "twice" (fun v ->
      now_and_then ();
      let s = Data.to_string_coerce v in
      text (s ^ s));
  create_funN db "all_of" (fun vs ->
      now_and_then ();
      let strings = Array.map Data.to_string_coerce vs in
      text (String.concat "," (Array.to_list strings)));
  Aggregate.create_fun1 db "gather" ~init:[]
    ~step:(fun acc v -> now_and_then (); Data.to_string_coerce v :: acc)
    ~final:(fun acc -> Rest.rest (); text (String.concat ";" (List.rev acc)));
  create_collation db "backwards" (fun a b -> now_and_then (); compare b a);
  run "CREATE TABLE t (n INTEGER, s TEXT)";
  let insert = prepare db "INSERT INTO t VALUES (?, ?)" in
  for i = 1 to 500 do
    Rc.check (bind_values insert
                [Data.INT (Int64.of_int i); text (string_of_int (i * 7919))]);
    assert (step insert = Rc.DONE);
    Rc.check (reset insert)
  done;
  Rc.check (finalize insert);
  let all = Buffer.create 10_000 in
  let add row = Array.iter (Buffer.add_string all) row in
  Rc.check (exec_not_null_no_headers db
              ~cb:(fun row -> now_and_then (); add row)
              "SELECT twice(s), all_of(n, s, 'x') FROM t \
               ORDER BY s COLLATE backwards");
  Rc.check (exec db ~cb:(fun row headers ->
      Rest.rest ();
      add headers;
      Array.iter (Option.iter (Buffer.add_string all)) row)
      "SELECT n % 10 AS k, gather(twice(s)) FROM t GROUP BY k");
  Rest.say "rows: %d bytes, %s" (Buffer.length all)
    (Rest.digest (Buffer.contents all));
  (* the exception comes through C *)
  create_fun0 db "fails" (fun () -> Rest.rest (); failwith "on purpose");
  (match exec db "SELECT fails()" with
   | rc -> Rest.say "fails(): %s" (Rc.to_string rc)
   | exception Failure s -> Rest.say "fails(): %s" s);
  let long = prepare db
      "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c \
       WHERE x < 1000000) SELECT sum(x * x % 7) FROM c" in
  assert (step long = Rc.ROW);
  Rest.say "long: %d" (column_int long 0);
  Rc.check (finalize long);
  assert (db_close db)
