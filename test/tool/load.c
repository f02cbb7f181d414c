/**************************************************************************/
/*                                                                        */
/*                            runtime-jemalloc                            */
/*                                                                        */
/*   Copyright 2026 the runtime-jemalloc developers                       */
/*                                                                        */
/*   All rights reserved.  This file is distributed under the terms of    */
/*   the GNU Lesser General Public License version 2.1, with the          */
/*   special exception on linking described in the file LICENSE.          */
/*                                                                        */
/**************************************************************************/

/* load LIBRARY ARGUMENT...: runs the OCaml program in a shared library, in the
   directory NEW_ROOT if that is set. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  void* library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  void (*start)(char**) = NULL;
  const char* root = getenv("NEW_ROOT");
  if (library != NULL) start = (void (*)(char**))dlsym(library, "caml_startup");
  if (start == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  if (root != NULL && (chroot(root) != 0 || chdir("/") != 0)) {
    perror(root);
    return 1;
  }
  start(argv + 1);
  return 0;
}
