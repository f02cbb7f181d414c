(* limit CASE MIB: what a program sees that runs under Xheap_limit=[MIB]M.
   Prints nothing if all is as it should be. *)

let mib = 1 lsl 20
let limit = int_of_string Sys.argv.(2) * mib

(* Pools and large blocks *)
let in_use () = (Gc.quick_stat ()).heap_words * 8

let minor_heap () = (Gc.get ()).minor_heap_size * 8

let fail fmt = Printf.ksprintf (fun s -> print_endline s; exit 1) fmt

let within what ~beyond =
  let n = in_use () in
  if n > limit + beyond then
    fail "%s: %d bytes in use, %d beyond the limit" what n (n - limit)

(* Does [f] run out of memory? *)
let exhausts f = match f () with
  | () -> false
  | exception Out_of_memory -> true

let must_exhaust what f =
  if not (exhausts f) then fail "%s: no Out_of_memory" what

(* Small blocks: promoted, so past the limit by a minor heap at most *)
let small () =
  for round = 1 to 3 do
    let l = ref [] in
    must_exhaust "small" (fun () ->
      while true do l := Some (ref 0) :: !l done);
    within "small" ~beyond:(minor_heap ());
    if List.length !l * 56 < limit * 8 / 10 then
      fail "small, round %d: %d blocks only" round (List.length !l);
    l := []
  done

(* The same, allocated by C code alone *)
let through_c () =
  for round = 1 to 3 do
    let blocks = Array.make (limit / 80) [||] and n = ref 0 in
    must_exhaust "through C" (fun () ->
      while true do
        blocks.(!n) <- Array.make 9 !n;
        incr n
      done);
    within "through C" ~beyond:(minor_heap ());
    if !n * 80 < limit * 7 / 10 then
      fail "through C, round %d: %d blocks only" round !n
  done

(* A heap of which half is free, but no pool, has room for blocks of other
   sizes: it is compacted before it is said to be full. *)
let scattered () =
  let n = limit / 80 in
  let blocks = Array.init n (fun i -> Bytes.make 40 (Char.chr (i land 127))) in
  Array.iteri (fun i _ -> if i land 1 = 0 then blocks.(i) <- Bytes.empty)
    blocks;
  let others = List.init (limit / 4 / 104) (fun i -> Array.make 12 i) in
  ignore (Sys.opaque_identity others);
  Array.iteri
    (fun i b ->
       if i land 1 = 1 && Bytes.get b 39 <> Char.chr (i land 127) then
         fail "scattered: block %d" i)
    blocks;
  if (Gc.quick_stat ()).compactions = 0 then fail "scattered: no compaction"

(* Large ones: never past it, and all of it can be had *)
let large () =
  let blocks = ref [] in
  must_exhaust "large" (fun () ->
    while true do blocks := Bytes.create mib :: !blocks done);
  within "large" ~beyond:0;
  if List.length !blocks < limit / mib - 4 then
    fail "large: %d MiB only" (List.length !blocks);
  must_exhaust "a block that never fits" (fun () ->
    ignore (Sys.opaque_identity (Bytes.create (limit + 1))));
  (* exact to a block *)
  let rest = limit - in_use () in
  if rest > 40_000 then begin
    must_exhaust "one too large" (fun () ->
      ignore (Sys.opaque_identity (Bytes.create rest)));
    ignore (Sys.opaque_identity (Bytes.create (rest - 36_000)))
  end;
  blocks := [];
  ignore (Sys.opaque_identity (Bytes.create (limit / 2)))

(* Garbage makes room: each of these takes most of the limit *)
let garbage () =
  let n = limit * 6 / 10 in
  for _ = 1 to 5 do
    ignore (Sys.opaque_identity (Bytes.create n));
    ignore (Sys.opaque_identity (Array.make (n / 8) 0));
    ignore (Sys.opaque_identity (Array.make (n / 8) 0.));
    ignore (Sys.opaque_identity (Array.make (n / 8) "young"));
    ignore (Sys.opaque_identity
      (Array.append (Array.make (n / 20) 1) (Array.make (n / 20) 2)));
    ignore (Sys.opaque_identity (Float.Array.create (n / 8)));
    ignore (Sys.opaque_identity
      (String.concat "" [ String.make (n / 3) 'a'; "b" ]));
    let marshalled = Marshal.to_bytes (Array.make (n / 30) 1_000_000_000) [] in
    ignore (Sys.opaque_identity (Marshal.from_bytes marshalled 0 : int array))
  done;
  within "garbage" ~beyond:0

(* What is promoted may pass the limit, and the program pays afterwards *)
let promotion () =
  Gc.set { (Gc.get ()) with minor_heap_size = 2 * limit / 8 };
  must_exhaust "promotion" (fun () ->
    let l = ref [] in
    while true do l := Some (ref 0) :: !l done);
  within "promotion" ~beyond:(minor_heap ());
  Gc.full_major ();
  if in_use () > limit / 2 then fail "promotion: %d bytes stay" (in_use ())

(* What finalisers drop makes room *)
let finalisers () =
  let cache = ref (List.init (limit / mib / 2) (fun _ -> Bytes.create mib)) in
  let emptied = ref 0 in
  ignore (Gc.create_alarm (fun () ->
    if in_use () > limit * 8 / 10 && !cache <> [] then
      (incr emptied; cache := [])));
  let l = ref [] and n = ref 0 in
  while !n < limit * 6 / 10 / 40 do
    l := Some (ref 0) :: !l;
    incr n
  done;
  ignore (Sys.opaque_identity !l);
  if !emptied <> 1 then
    fail "finalisers: the cache was emptied %d times" !emptied

(* Two domains at once: together they stay within it *)
let domains () =
  let worker large () =
    let l = ref [] in
    must_exhaust "domains" (fun () ->
      while true do
        if large then l := `Large (Bytes.create 300_000) :: !l
        else l := `Small (ref 0) :: !l
      done);
    within "domains" ~beyond:(2 * minor_heap ());
    l := [];
    (* the other one may hold all of it; between two turns the loop is told *)
    (try
      for _ = 1 to 1_000_000 do
        try l := `Small (ref 0) ::
          (match !l with a :: b :: _ -> [ a; b ] | l -> l)
        with Out_of_memory -> l := []
      done
    with Out_of_memory -> l := []) in
  for _ = 1 to 3 do
    let other = Domain.spawn (worker true) in
    worker false ();
    (try Domain.join other with Out_of_memory -> fail "domains: uncaught")
  done

(* Two domains at once ask for a large block, and there is room for one *)
let one_of_two () =
  let live = Bytes.create (limit / 4) in
  let arrived = Atomic.make 0 and held = Atomic.make 0 in
  let meet n =
    Atomic.incr arrived;
    while Atomic.get arrived < 2 * n do Domain.cpu_relax () done in
  let round n =
    Gc.full_major ();
    meet (3 * n - 2);
    let block = match Bytes.create (limit * 7 / 16) with
      | b -> Atomic.incr held; Some b
      | exception Out_of_memory -> None in
    meet (3 * n - 1);
    if Atomic.get held <> n then
      fail "one of two: %d in %d rounds" (Atomic.get held) n;
    ignore (Sys.opaque_identity block);
    meet (3 * n) in
  let rounds () = for n = 1 to 20 do round n done in
  let other = Domain.spawn rounds in
  rounds ();
  Domain.join other;
  ignore (Sys.opaque_identity live)

(* Of two domains neither takes what the other's collections free: all that
   lives is no more than half of the limit. *)
let in_turn () =
  let rounds () =
    for _ = 1 to 500 do
      ignore (Sys.opaque_identity (Bytes.create (limit / 6)))
    done in
  let other = Domain.spawn rounds in
  rounds ();
  Domain.join other

(* VmHWM, bytes: what the process has taken at most *)
let peak () =
  let ic = open_in "/proc/self/status" in
  let rec find () =
    match Scanf.sscanf_opt (input_line ic) "VmHWM: %d" (fun n -> n * 1024) with
    | Some n -> close_in ic; n
    | None -> find () in
  find ()

(* Free pages count: those of small blocks, too small for large ones, are gone
   before these pass the limit.  16 MiB are for what is not the heap's. *)
let free_pages () =
  Gc.set { (Gc.get ()) with max_overhead = 1_000_000 }; (* nothing moves *)
  let n = limit * 3 / 4 / 80 in
  let small = Array.init n (fun i -> Bytes.make 64 (Char.chr (i land 127))) in
  Array.iteri (fun i _ -> if i mod 1500 <> 0 then small.(i) <- Bytes.empty)
    small;
  Gc.full_major ();
  let large = List.init (limit * 7 / 10 / mib) (fun _ -> Bytes.make mib 'x') in
  ignore (Sys.opaque_identity (small, large));
  if peak () > limit + 16 * mib then
    fail "free pages: the process took %d MiB" (peak () / mib)

(* C code that asks for a block where nothing may be collected: garbage makes
   room, at the next safe point. *)
external alloc_shr : int -> int array = "alloc_shr"
external alloc_shr_twice : int -> int array = "alloc_shr_twice"

let from_c () =
  for _ = 1 to 50 do
    ignore (Sys.opaque_identity (alloc_shr_twice (limit / 24)))
  done;
  within "from C" ~beyond:0;
  must_exhaust "from C, all of it alive" (fun () ->
    let l = ref [] in
    while true do l := alloc_shr (limit / 800) :: !l done);
  within "from C, all of it alive" ~beyond:(limit / 8);
  must_exhaust "from C, one that never fits" (fun () ->
    ignore (Sys.opaque_identity (alloc_shr (limit / 8 + 1))))

(* A block that a program writes out is allocated by C, too. *)
let literal () =
  for i = 1 to limit / 1000 do
    ignore (Sys.opaque_identity [|
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
      i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i; i;
    |])
  done;
  within "literal" ~beyond:0

(* Nothing fits, but a finaliser gives something up. *)
let finalisers_large () =
  let cache = ref (Bytes.create (limit * 6 / 10)) and called = ref false in
  let finalised () =
    let f _ = cache := Bytes.empty; called := true in
    Gc.finalise f (ref 0) in
  finalised ();
  let block = Bytes.create (limit * 5 / 10) in
  ignore (Sys.opaque_identity (ref 0)); (* a safe point *)
  if not !called then fail "finalisers: not called";
  within "finalisers, of a large block" ~beyond:0;
  ignore (Sys.opaque_identity block)

(* What lives is 0.88 of the limit, scattered, and each block is replaced: that
   never fails. *)
let nearly_full () =
  let n = limit * 88 / 100 / 280 in
  let a = Array.init n (fun i -> Array.make (4 + i mod 60) i) in
  for k = 0 to n / 4 do
    let i = k * 7919 mod n in
    a.(i) <- Array.make (4 + i mod 60) i
  done;
  ignore (Sys.opaque_identity a)

(* Blocks of [make 0] to [make (n - 1)], in turn replaced by the next, [times]
   times in all *)
let rotate n times make =
  let a = Array.init n make in
  for k = 0 to times - 1 do
    a.(k mod n) <- make ((k + k / n + 1) mod n)
  done;
  ignore (Sys.opaque_identity a)

(* The same of large arrays *)
let nearly_full_large () =
  let n = limit * 88 / 100 / 160_000 in
  rotate n (4 * n) (fun i -> Array.make (8000 + i * 7919 mod 24_000) i)

(* And of one domain's arrays beside another one's strings *)
let nearly_full_domains () =
  let strings () =
    let n = limit * 44 / 100 / 108 in
    rotate n (n / 4) (fun i -> Bytes.create (8 + i mod 160)) in
  let other = Domain.spawn strings in
  let n = limit * 44 / 100 / 284 in
  rotate n (n / 4) (fun i -> Array.make (4 + i mod 60) i);
  Domain.join other

(* Finalisers that the sweep for a block calls may fork. *)
external custom : int -> Obj.t = "custom_that_forks"
external forks : unit -> int = "forks_in_allocation"

let forking () =
  for _ = 1 to 20_000 do
    ignore (Sys.opaque_identity (custom 300))
  done;
  if forks () = 0 then fail "forking: no finaliser within an allocation"

let unlimited () =
  let block = Bytes.create (4 * limit) in
  within "unlimited" ~beyond:(4 * limit);
  ignore (Sys.opaque_identity block)

let () =
  match Sys.argv.(1) with
  | "small" -> small () | "through_c" -> through_c ()
  | "scattered" -> scattered () | "large" -> large () | "garbage" -> garbage ()
  | "one_of_two" -> one_of_two () | "in_turn" -> in_turn ()
  | "promotion" -> promotion () | "finalisers" -> finalisers ()
  | "domains" -> domains () | "free_pages" -> free_pages ()
  | "from_c" -> from_c () | "literal" -> literal ()
  | "finalisers_large" -> finalisers_large ()
  | "nearly_full" -> nearly_full ()
  | "nearly_full_large" -> nearly_full_large ()
  | "nearly_full_domains" -> nearly_full_domains ()
  | "forking" -> forking ()
  | "unlimited" -> unlimited ()
  | case -> fail "no case %s" case
