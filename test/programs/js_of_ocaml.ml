(* js_of_ocaml PROGRAM: prints the JavaScript for a program in bytecode. *)

open Js_of_ocaml_compiler

let () =
  Config.set_target `JavaScript;
  Generate.init ();
  List.iter
    (fun file ->
      Linker.load_fragments ~target_env:Target_env.Nodejs
        ~filename:(Builtins.File.name file)
        (Linker.Fragment.parse_builtin file))
    Js_of_ocaml_compiler_runtime_files.runtime;
  Linker.check_deps ();
  let program =
    In_channel.with_open_bin Sys.argv.(1)
      (Parse_bytecode.from_exe ~linkall:false ~link_info:false
         ~include_cmis:false) in
  let formatter = Pretty_print.to_out_channel stdout in
  Pretty_print.set_compact formatter true;
  let _ =
    Driver.f ~link:`Needed ~source_map:false ~formatter program.debug
      program.code in
  ()
