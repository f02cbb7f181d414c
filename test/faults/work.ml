(* work [alone]: uses the heap in every way, with domains if not alone, and
   knows whether what it finds there is what it put there: prints "right" and
   exits with 0; a corrupt heap is status 3.  Memory that there is none of is
   Out_of_memory. *)

let check b = if not b then exit 3

(* Lists, arrays and strings of every size, each of one number *)
let piece i =
  match i mod 4 with
  | 1 when i mod 24 = 1 -> (* more than a MiB *)
    `Array (Array.make (140_000 + (i * 997 mod 99_000)) i)
  | 0 -> `List (List.init (1 + (i * 7 mod 3_000)) (fun _ -> i))
  | 1 -> `Array (Array.make (1 + (i * 101 mod 40_000)) i)
  | 2 -> `String (String.make (1 + (i * 997 mod 100_000))
    (Char.chr (i mod 256)))
  | _ -> `Lists (List.init (1 + (i mod 50)) (fun _ -> Array.make 200 i))

let is_right i = function
  | `List l -> List.for_all (( = ) i) l
  | `Array a -> Array.for_all (( = ) i) a
  | `String s -> String.for_all (( = ) (Char.chr (i mod 256))) s
  | `Lists l -> List.for_all (Array.for_all (( = ) i)) l

let work seed =
  let n = 150 in
  let heap = Array.init n (fun i -> piece (seed + i)) in
  for round = 1 to 3 do
    for i = 0 to n - 1 do
      if (i * round) mod 3 = 0 then heap.(i) <- piece (seed + i)
    done;
    if round = 2 then Gc.compact ();
    Array.iteri (fun i p -> check (is_right (seed + i) p)) heap
  done;
  ignore (Sys.opaque_identity (Array.make (9 * 1024 * 1024) seed))

let in_child () =
  match Unix.fork () with
  | 0 ->
    (* its lines are not those of the parent's domains *)
    Unix.dup2 (Unix.openfile "child" [ O_WRONLY; O_CREAT ] 0o600) Unix.stderr;
    work 5;
    Unix._exit 0
  | pid ->
    (match Unix.waitpid [] pid with
     | _, WEXITED n -> check (n <> 3)
     | _, WSIGNALED n -> check (n = Sys.sigabrt) (* a fatal error *)
     | _, WSTOPPED _ -> exit 3)

let () =
  work 1;
  in_child ();
  Unix.sleepf 0.25;
  if Array.length Sys.argv = 1 then
    List.init 2 (fun i -> Domain.spawn (fun () -> work (i * 100)))
    |> List.iter Domain.join;
  Gc.compact ();
  work 3;
  print_endline "right"
