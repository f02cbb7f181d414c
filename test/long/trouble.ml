(* Memory that runs out, again and again, in a program whose state stays whole.

     trouble small|large|bigarray|marshal TIMES

   Each time it takes memory until Out_of_memory is raised, drops what it took,
   and compares its state's checksum.  Prints "whole after N". *)

let state = Array.init 50_000 (fun i -> string_of_int (i * 7919))

let checksum () =
  Array.fold_left (fun sum s -> (sum * 31) + Hashtbl.hash s) 0 state

let rec list n acc = if n = 0 then acc else list (n - 1) (n :: acc)

(* Some MiB *)
let piece = function
  | "small" -> Obj.repr (list 100_000 [])
  | "large" -> Obj.repr (Bytes.create (1 lsl 21))
  | "bigarray" -> Obj.repr Bigarray.(Array1.create char c_layout (1 lsl 21))
  | "marshal" -> Obj.repr (Marshal.to_string (list 400_000 []) [])
  | kind -> failwith kind

let taken = Array.make 100_000 (Obj.repr 0)

let fill kind =
  let n = ref 0 in
  match
    while true do
      taken.(!n) <- piece kind;
      incr n
    done
  with
  | () -> ()
  | exception Out_of_memory ->
    Array.fill taken 0 (Array.length taken) (Obj.repr 0);
    Gc.full_major ()

let () =
  let times = int_of_string Sys.argv.(2) in
  let right = checksum () in
  for i = 1 to times do
    fill Sys.argv.(1);
    if checksum () <> right then begin
      Printf.printf "another state after %d\n" i;
      exit 3
    end
  done;
  Printf.printf "whole after %d\n" times
