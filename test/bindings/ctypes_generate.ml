(* Writes the stubs of ctypes_bindings.ml, in OCaml and C. *)

open Ctypes_bindings

let write name f =
  let file = open_out name in
  let formatter = Format.formatter_of_out_channel file in
  f formatter;
  Format.pp_print_flush formatter ();
  close_out file

let c_code = {|
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "callbacks.h"

static int compare_items(const void *a, const void *b) {
  return compare_ints(*(const int *)a, *(const int *)b);
}
static inline void sort_ints(int *ints, int n) {
  qsort(ints, n, sizeof *ints, compare_items);
}
|}

let () =
  let callbacks = (module Callbacks : Cstubs_inverted.BINDINGS) in
  write "callbacks.h" (fun f ->
      Cstubs_inverted.write_c_header f ~prefix:"back" callbacks);
  write "callbacks_stubs.c" (fun f ->
      Format.fprintf f "#include \"callbacks.h\"@\n";
      Cstubs_inverted.write_c f ~prefix:"back" callbacks);
  write "callbacks.ml" (fun f ->
      Cstubs_inverted.write_ml f ~prefix:"back" callbacks);
  let unlocked = (module Unlocked : Cstubs.BINDINGS) in
  write "unlocked_stubs.c" (fun f ->
      Format.fprintf f "%s" c_code;
      Cstubs.write_c f ~concurrency:Cstubs.unlocked ~prefix:"free" unlocked);
  write "unlocked.ml" (fun f ->
      Cstubs.write_ml f ~concurrency:Cstubs.unlocked ~prefix:"free" unlocked);
  let locked = (module Locked : Cstubs.BINDINGS) in
  write "locked_stubs.c" (fun f ->
      Format.fprintf f "%s" c_code;
      Cstubs.write_c f ~prefix:"held" locked);
  write "locked.ml" (fun f -> Cstubs.write_ml f ~prefix:"held" locked);
  (* C may have a pointer of OCaml's only while the lock is held. *)
  match
    write "refused.c" (fun f ->
        Cstubs.write_c f ~concurrency:Cstubs.unlocked ~prefix:"bad" locked)
  with
  | () -> prerr_endline "strings for C without the lock"; exit 1
  | exception Ctypes.Unsupported _ -> ()
