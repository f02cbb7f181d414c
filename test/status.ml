(* A figure of /proc/self/status, MiB *)
let mib name =
  let ic = open_in "/proc/self/status" in
  let rec find () =
    let line = input_line ic in
    match String.index_opt line ':' with
    | Some i when String.sub line 0 i = name ->
      Scanf.sscanf (String.sub line (i + 1) (String.length line - i - 1))
        " %d kB" (fun kib -> kib / 1024)
    | _ -> find () in
  let value = find () in
  close_in ic;
  value
