(* Numeric code in C calls OCaml's functions: integrals, a root, a minimum, a
   differential equation, Monte Carlo. *)

let calls = ref 0
let now_and_then () =
  incr calls;
  if !calls mod 200 = 0 then Rest.rest ()

let () = Rest.beside @@ fun () ->
  for i = 1 to 5 do
    let k = float i in
    let f x = now_and_then (); sin (k *. x) /. (x +. 1.) in
    let ws = Gsl.Integration.make_ws 1000 in
    Rest.garbage ();
    let r = Gsl.Integration.qag f ~a:0. ~b:30. ~epsabs:1e-10 ~epsrel:1e-10
        Gsl.Integration.GAUSS15 ws in
    Rest.say "integral %d: %.9f" i r.Gsl.Fun.res;
    let root = Gsl.Root.Bracket.make Gsl.Root.Bracket.BRENT
        (fun x -> now_and_then (); Rest.garbage (); (x *. x) -. k) 0. 5. in
    for _ = 1 to 30 do Rest.garbage (); Gsl.Root.Bracket.iterate root done;
    Rest.rest ();
    Rest.say "root %d: %.9f" i (Gsl.Root.Bracket.root root)
  done;
  let rng = Gsl.Rng.make Gsl.Rng.MT19937 in
  let state = Gsl.Monte.make_miser_state 2 in
  let r = Gsl.Monte.integrate_miser
      (fun x -> now_and_then (); x.(0) *. x.(1))
      ~lo:[| 0.; 0. |] ~up:[| 1.; 2. |] 5000 rng state in
  Rest.say "Monte Carlo: %.9f" r.Gsl.Fun.res;
  let ode = Gsl.Odeiv.make_system
      (fun _ y dy -> now_and_then (); dy.(0) <- y.(1); dy.(1) <- -. y.(0)) 2 in
  let step = Gsl.Odeiv.make_step Gsl.Odeiv.RK8PD ~dim:2 in
  let y = [| 0.; 1. |] and error = [| 0.; 0. |] in
  for i = 0 to 300 do
    Gsl.Odeiv.step_apply step ~t:(float i *. 0.01) ~h:0.01 ~y ~yerr:error ode
  done;
  Rest.say "sine: %.9f %.9f, %d calls" y.(0) y.(1) !calls
