(* The commands of Debian's Why3, which are plug-ins. *)

open Why3

let () =
  let command = Sys.argv.(1) in
  incr Whyconf.Args.first_arg;
  Dynlink.loadfile
    (Filename.concat Config.libdir ("commands/why3" ^ command ^ ".cmxs"));
  let module Command = (val Wstdlib.Hstr.find Whyconf.commands command) in
  let module _ = Command () in
  ()
