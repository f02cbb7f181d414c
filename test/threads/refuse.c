/* Preloaded: no thread is made with attributes of its own, as the runtime makes those
   that it has for the heap; each attempt is a byte in the file ATTEMPTS. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int pthread_create(pthread_t* thread, const pthread_attr_t* attr,
                   void* (*run)(void*), void* data) {
  int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  int fd;
  *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (attr == NULL) return real(thread, attr, run, data);
  fd = open(getenv("ATTEMPTS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0 || write(fd, "x", 1) != 1) abort();
  close(fd);
  return EAGAIN;
}
