(* infix SECONDS: a domain stores functions that are not the first of their
   closure in old arrays, while others mark and wait for its minor
   collections. *)
let pair k =
  let rec even n = if n = 0 then k else odd (n - 1)
  and odd n = if n = 0 then -k else even (n - 1) in
  even, odd

let until = Unix.gettimeofday () +. float_of_string Sys.argv.(1)
let goes_on () = Unix.gettimeofday () < until

let store () =
  let arrays = Array.init 64 (fun _ -> Array.make 2000 (snd (pair 1))) in
  let k = ref 0 in
  while goes_on () do
    for _ = 1 to 20_000 do
      incr k;
      let a = arrays.(!k land 63) and _, odd = pair !k in
      a.(!k * 7919 mod 2000) <- odd
    done;
    Array.iter
      (Array.iter (fun odd ->
         if odd 1 <= 0 || odd 0 >= 0 then failwith "a function"))
      arrays
  done

let mark () = while goes_on () do Gc.major () done

let () =
  let domains = List.init 2 (fun _ -> Domain.spawn mark) in
  store ();
  List.iter Domain.join domains;
  print_endline "ok"
