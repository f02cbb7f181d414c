let () = print_endline "plugin"; Gc.compact ()
