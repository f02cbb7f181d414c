(* reach small|mixed|large: grows a heap until it can no more, printing "LIVE
   VIRTUAL" every 2 MiB: live data, and what of the address space was taken
   since the start.  Then, if there is a chance: "Out_of_memory", lets go of
   the heap, and grows it to half as much: "again". *)

(* No allocation: this is the last thing that works. *)
let status = Bytes.create 4096

let virtual_kib () =
  let fd = Unix.openfile "/proc/self/statm" [ Unix.O_RDONLY ] 0 in
  let n = Unix.read fd status 0 4096 in
  Unix.close fd;
  let rec number i acc =
    if i >= n then acc else
      match Bytes.get status i with
      | '0'..'9' as c -> number (i + 1) ((acc * 10) + Char.code c - 48)
      | _ -> acc in
  number 0 0 * 4

let start = virtual_kib ()

(* 1 MiB *)
let piece kind i = match kind with
  | "small" -> Obj.repr (List.init 43_690 (fun j -> i + j))
  | "large" -> Obj.repr (Array.make 131_071 i)
  | "mixed" ->
    Obj.repr (List.init 30 (fun j -> Array.make (500 * (j mod 20 + 1)) i))
  | kind -> failwith kind

let heap = Array.make 65_536 (Obj.repr 0)
let grown = ref 0

let grow kind most =
  grown := 0;
  while !grown < most do
    heap.(!grown) <- piece kind !grown;
    incr grown;
    if !grown mod 2 = 0 then
      Printf.printf "%d %d\n%!" !grown ((virtual_kib () - start) / 1024)
  done

let () =
  let kind = Sys.argv.(1) in
  match grow kind (Array.length heap) with
  | () -> ()
  | exception Out_of_memory ->
    let half = !grown / 2 in
    Array.fill heap 0 (Array.length heap) (Obj.repr 0);
    Gc.full_major ();
    print_endline "Out_of_memory";
    grow kind half;
    print_endline "again"
