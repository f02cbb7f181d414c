/* A C program that loads two OCaml runtimes after its threads have started, and
   runs a program on each at once.  two LIBRARY LIBRARY ARGUMENT... */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static char** arguments;

static void* sleeps(void* unused) {
  (void)unused;
  pthread_exit(NULL);
}

/* Runs the program in the library [name], from its start to its end. */
static void* runs(void* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  void (*start)(char**);
  void (*stop)(void);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  start = (void (*)(char**))dlsym(library, "caml_startup");
  stop = (void (*)(void))dlsym(library, "caml_shutdown");
  start(arguments);
  stop();
  return name;
}

int main(int argc, char** argv) {
  pthread_t threads[2];
  void* ended[2];
  int i;
  if (argc < 3) return 2;
  for (i = 0; i < 2; i++) {
    if (pthread_create(&threads[i], NULL, sleeps, NULL) != 0) return 2;
    if (pthread_join(threads[i], NULL) != 0) return 2;
  }
  arguments = argv + 2;
  for (i = 0; i < 2; i++)
    if (pthread_create(&threads[i], NULL, runs, argv[1 + i]) != 0) return 2;
  for (i = 0; i < 2; i++)
    if (pthread_join(threads[i], &ended[i]) != 0) return 2;
  return ended[0] != NULL && ended[1] != NULL ? 0 : 1;
}
