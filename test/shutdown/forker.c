/* Starts an OCaml program and shuts it down while a thread of C's forks all the
   time; prints "done". */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <caml/callback.h>

static _Atomic int ended;

/* Each child ends as a child of fork ends that calls exec: by no exit. */
static void* forks(void* none) {
  int status;
  while (!atomic_load(&ended)) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
      return "a fork failed";
  }
  return none;
}

int main(int argc, char** argv) {
  pthread_t thread;
  void* failure;
  (void)argc;
  caml_startup(argv);
  if (pthread_create(&thread, NULL, forks, NULL) != 0) return 2;
  usleep(1000);
  caml_shutdown();
  atomic_store(&ended, 1);
  pthread_join(thread, &failure);
  puts(failure ? failure : "done");
  return failure != NULL;
}
