(* A window, a text, a sorted list, their signals, and a timeout; GTK calls
   OCaml, which rests.  lablgtk3 itself sets max_overhead to 1000000, which
   says that blocks are not to be moved: so none is.
   lablgtk3 compact: they are nevertheless.
   lablgtk3 insert: it rests too while GTK inserts OCaml's string. *)

let mode = if Array.length Sys.argv > 1 then Sys.argv.(1) else ""
let rest () =
  if mode = "compact" then Rest.rest ()
  else (Rest.garbage (); Thread.delay 0.05)

let () =
  ignore (GMain.init ());
  if mode = "compact" then Gc.set { (Gc.get ()) with max_overhead = 200 };
  let over = ref false in
  let churn = Thread.create (fun () -> while not !over do rest () done) () in
  let window = GWindow.window ~title:"bindings" () in
  let box = GPack.vbox ~packing:window#add () in
  let view = GText.view ~packing:box#add () in
  let buffer = view#buffer in
  let inserted = ref 0 in
  ignore (buffer#connect#insert_text ~callback:(fun _ s ->
      if mode = "insert" then rest ();
      inserted := !inserted + String.length s));
  for i = 1 to 10 do
    let middle = buffer#start_iter#forward_chars (buffer#char_count / 2) in
    Rest.garbage ();
    buffer#insert ~iter:middle (Printf.sprintf "line %d\n" i)
  done;
  Rest.say "text: %d bytes inserted, %s" !inserted
    (Rest.digest (buffer#get_text ()));
  let columns = new GTree.column_list in
  let name = columns#add Gobject.Data.string in
  let number = columns#add Gobject.Data.int in
  let store = GTree.list_store columns in
  let rows = List.init 50 (fun i ->
      let row = store#append () in
      if i mod 10 = 0 then rest ();
      store#set ~row ~column:name (string_of_int (i * 7919 mod 101));
      store#set ~row ~column:number i;
      row) in
  ignore (GTree.view ~model:store ~packing:box#add ());
  store#set_sort_func 0 (fun model a b ->
      compare (model#get ~row:a ~column:name) (model#get ~row:b ~column:name));
  store#set_sort_column_id 0 `ASCENDING;
  rest ();
  let sum = List.fold_left
      (fun sum row -> sum * 3 + store#get ~row ~column:number) 0 rows in
  Rest.say "rows: %d" (sum land 0xffffff);
  let ticks = ref 0 in
  ignore (GMain.Timeout.add ~ms:10 ~callback:(fun () ->
      rest ();
      incr ticks;
      if !ticks = 10 then GMain.quit ();
      !ticks < 10));
  ignore (window#connect#destroy ~callback:(fun () -> Rest.say "destroyed"));
  window#show ();
  GMain.main ();
  Rest.say "%d ticks" !ticks;
  window#destroy ();
  over := true;
  Thread.join churn
