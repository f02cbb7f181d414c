(* Numbers of many sizes, kept as custom blocks and moved while the program
   rests: factorials, powers, marshalling, random numbers. *)

let factorial n =
  let rec go acc i =
    if i > n then acc else go (Z.mul acc (Z.of_int i)) (i + 1) in
  go Z.one 2

let () = Rest.beside @@ fun () ->
  let numbers = Array.init 400 (fun i -> factorial (i * 3)) in
  for round = 1 to 10 do
    for i = 0 to 398 do
      let n = Z.of_int (i * 3) in
      let next = Z.mul numbers.(i) (Z.mul (Z.succ n)
          (Z.mul (Z.add n (Z.of_int 2)) (Z.add n (Z.of_int 3)))) in
      assert (Z.equal next numbers.(i + 1))
    done;
    Rest.rest ();
    let marshalled = Marshal.to_string numbers [] in
    let copy : Z.t array = Marshal.from_string marshalled 0 in
    Rest.rest ();
    Array.iteri (fun i n -> numbers.(i) <- Z.of_string (Z.to_string n)) copy;
    let m = Z.pred (Z.shift_left Z.one 521) in
    let power = Z.powm (Z.of_int (round + 2)) numbers.(300) m in
    Rest.say "round %d: %s" round (Rest.digest (Z.to_string power))
  done;
  let q = Array.fold_left
      (fun q n -> Q.add q (Q.make Z.one n)) Q.zero (Array.sub numbers 0 100) in
  Rest.say "e, in threes: %s" (Rest.digest (Q.to_string q))
