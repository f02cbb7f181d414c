(* A figure of /proc/self/status, or of another file of the kind, KiB *)
let kib ?(file = "/proc/self/status") name =
  let ic = open_in file in
  let rec find () =
    let line = input_line ic in
    match String.index_opt line ':' with
    | Some i when String.sub line 0 i = name ->
      Scanf.sscanf (String.sub line (i + 1) (String.length line - i - 1))
        " %d kB" Fun.id
    | _ -> find () in
  let value = find () in
  close_in ic;
  value

let mib name = kib name / 1024
