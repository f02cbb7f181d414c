(* What is bound for ctypes.ml, and by whom: C functions with the lock of the
   runtime released, others that get OCaml's own strings, and a function of
   OCaml's for C. *)

open Ctypes

module Unlocked (F : FOREIGN) = struct
  open F
  let usleep = foreign "usleep" (int @-> returning int)
  let sort = foreign "sort_ints" (ptr int @-> int @-> returning void)
end

module Locked (F : FOREIGN) = struct
  open F
  let strlen = foreign "strlen" (ocaml_string @-> returning int)
  let memcpy = foreign "memcpy"
      (ocaml_bytes @-> string @-> int @-> returning (ptr void))
end

let compare : (int -> int -> int) ref = ref compare

module Callbacks (I : Cstubs_inverted.INTERNAL) = struct
  let () = I.internal ~runtime_lock:true "compare_ints"
      (int @-> int @-> returning int) (fun a b -> !compare a b)
end
