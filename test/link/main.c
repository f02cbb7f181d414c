/* A C program that starts OCaml and calls into it.  With an argument it loads
   OCaml from that shared library. */

#include <dlfcn.h>
#include <stdio.h>
#include <caml/callback.h>

#ifdef LOAD

int main(int argc, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void (*start)(char**);
  void (*stop)(void);
  if (argc < 2 || library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  start = (void (*)(char**))dlsym(library, "caml_startup");
  stop = (void (*)(void))dlsym(library, "caml_shutdown");
  start(argv);
  stop();
  return 0;
}

#else

int main(int argc, char** argv) {
  value result;
  (void)argc;
  caml_startup(argv);
  result = caml_callback(*caml_named_value("work"), Val_unit);
  printf("called %ld\n", Long_val(result));
  caml_shutdown();
  return 0;
}

#endif
