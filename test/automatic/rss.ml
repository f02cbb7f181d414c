(* What is resident of the process *)
let mib () =
  let ic = open_in "/proc/self/statm" in
  let line = input_line ic in
  close_in ic;
  int_of_string (List.nth (String.split_on_char ' ' line) 1) / 256
