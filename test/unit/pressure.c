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

/* Where the system says that memory is short: a tree of files, FIFOs and
   sockets that the test makes. */

#define _GNU_SOURCE /* nftw, mkdtemp, POLLPRI */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "jemalloc_pressure.h"
#include "tree.h"

static struct caml_pressure_source source;

/* A socket that listens, and that connecting closes; -1: none */
static int hang_up = -1;
int __real_connect(int fd, const struct sockaddr* to, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr* to, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr* to, socklen_t length) {
  int error = __real_connect(fd, to, length);
  if (hang_up >= 0) close(hang_up);
  hang_up = -1;
  return error;
}

static void holds(const char* name, const char* text, size_t length) {
  char found[512];
  FILE* f = fopen(in_root(name), "r");
  assert_non_null(f);
  assert_int_equal(fread(found, 1, sizeof(found), f), length);
  assert_memory_equal(found, text, length);
  fclose(f);
}

static int setup(void** state) {
  source.at.number = -1;
  return make_tree(state);
}

static int teardown(void** state) {
  caml_descriptor_close(&source.at);
  return remove_tree(state);
}

static bool look(const char* watch, const char* data) {
  return caml_pressure_open(root, watch, data, &source);
}

/* What poll says now */
static short revents(void) {
  struct pollfd fd = { .fd = source.at.number, .events = source.events };
  assert_true(poll(&fd, 1, 0) >= 0);
  return fd.revents;
}

static void nobody(void** state) {
  (void)state;
  assert_false(look(NULL, NULL));
  assert_int_equal(source.at.number, -1);
}

#define TRIGGER "some 200000 2000000"

static void cgroup(void) {
  file("proc/self/mountinfo",
       "41 31 0:38 / /cg rw,relatime shared:4 - cgroup2 cgroup2 rw\n");
  file("proc/self/cgroup", "0::/a.slice/b.scope\n");
}

static void the_machine(void** state) {
  (void)state;
  file("proc/pressure/memory", "");
  assert_true(look(NULL, NULL));
  assert_int_equal(source.events, POLLPRI);
  holds("proc/pressure/memory", TRIGGER, sizeof(TRIGGER));
}

static void the_cgroup_comes_first(void** state) {
  (void)state;
  cgroup();
  file("proc/pressure/memory", "");
  file("cg/a.slice/b.scope/memory.pressure", "");
  file("cg/a.slice/memory.pressure", "");
  assert_true(look(NULL, NULL));
  holds("cg/a.slice/b.scope/memory.pressure", TRIGGER, sizeof(TRIGGER));
  holds("cg/a.slice/memory.pressure", "", 0);
  holds("proc/pressure/memory", "", 0);
}

static void a_cgroup_above_it(void** state) {
  (void)state;
  cgroup();
  file("cg/a.slice/memory.pressure", "");
  assert_true(look(NULL, NULL));
  holds("cg/a.slice/memory.pressure", TRIGGER, sizeof(TRIGGER));
}

static void the_service_manager_before_all(void** state) {
  (void)state;
  file("proc/pressure/memory", "");
  file("psi", "");
  assert_true(look(in_root("psi"), "c29tZSAyMDAwMDAgMjAwMDAwMAA="));
  assert_int_equal(source.events, POLLPRI);
  holds("psi", TRIGGER, sizeof(TRIGGER));
  holds("proc/pressure/memory", "", 0);
}

/* And nobody instead */
static void what_is_no_source(void** state) {
  static const char* const bad[] = {
    "#", "c29tZSA!", "c", "c29tZQ==x", "===="
  };
  (void)state;
  file("proc/pressure/memory", "");
  file("psi", "");
  assert_false(look("/dev/null", NULL));
  assert_false(look("", NULL));
  assert_false(look("psi", NULL));
  assert_false(look(in_root("none"), NULL));
  assert_false(look(root, NULL)); /* a directory */
  for (int i = 0; i < 4; i++) {
    assert_false(look(in_root("psi"), bad[i]));
    assert_int_equal(source.at.number, -1);
  }
  holds("psi", "", 0);
  holds("proc/pressure/memory", "", 0);
  assert_true(look(in_root("psi"), bad[4])); /* no data */
}

static void too_much_to_write(void** state) {
  char data[2000];
  (void)state;
  memset(data, 'A', sizeof(data));
  data[sizeof(data) - 1] = '\0';
  file("psi", "");
  assert_false(look(in_root("psi"), data));
  data[340] = '\0'; /* 255 bytes */
  assert_true(look(in_root("psi"), data));
}

static void a_fifo(void** state) {
  char path[4096];
  int fd;
  (void)state;
  strcpy(path, in_root("fifo"));
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_true(look(path, NULL));
  assert_int_equal(source.events, POLLIN);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(revents(), 0);
    fd = open(path, O_WRONLY | O_NONBLOCK);
    assert_int_equal(write(fd, "1234567", 7), 7);
    assert_int_equal(close(fd), 0);
    assert_int_equal(revents(), POLLIN);
    assert_true(caml_pressure_take_sign(&source, POLLIN));
  }
  assert_int_equal(revents(), 0);
}

static void a_socket(void** state) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  char data[8];
  int listens, fd;
  (void)state;
  strcpy(address.sun_path, in_root("socket"));
  assert_false(look(address.sun_path, NULL));
  listens = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(listens, (struct sockaddr*)&address, sizeof(address)),
                   0);
  assert_false(look(address.sun_path, NULL)); /* nobody listens */
  assert_int_equal(listen(listens, 1), 0);
  assert_true(look(address.sun_path, "aGVsbG8="));
  fd = accept(listens, NULL, NULL);
  assert_int_equal(read(fd, data, sizeof(data)), 5);
  assert_memory_equal(data, "hello", 5);
  assert_int_equal(revents(), 0);
  assert_int_equal(write(fd, "!", 1), 1);
  assert_int_equal(revents(), POLLIN);
  assert_true(caml_pressure_take_sign(&source, POLLIN));
  close(fd); /* the manager ends */
  assert_true(revents() & POLLIN);
  assert_false(caml_pressure_take_sign(&source, revents()));
  close(listens);
}

static void an_error_ends_it(void** state) {
  (void)state;
  file("proc/pressure/memory", "");
  assert_true(look(NULL, NULL));
  assert_true(caml_pressure_take_sign(&source, POLLPRI));
  assert_false(caml_pressure_take_sign(&source, POLLPRI | POLLERR));
  caml_descriptor_close(&source.at);
  caml_descriptor_close(&source.at);
}

/* Daemons close all that they do not know, and open their own. */
static void what_the_program_has_by_its_number_is_left_alone(void** state) {
  char data[8];
  int ends[2], number;
  (void)state;
  file("proc/pressure/memory", "");
  assert_true(look(NULL, NULL));
  assert_true(caml_descriptor_is_own(&source.at));
  number = source.at.number;
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(dup2(ends[0], number), number);
  assert_int_equal(write(ends[1], "hello", 5), 5);
  assert_false(caml_descriptor_is_own(&source.at));
  assert_false(caml_pressure_take_sign(&source, POLLIN));
  caml_descriptor_close(&source.at);
  assert_int_equal(read(number, data, sizeof(data)), 5);
  assert_int_equal(close(number), 0);
  close(ends[0]);
  close(ends[1]);
}

static void a_descriptor_is_out_of_the_way(void** state) {
  struct rlimit before, few;
  struct caml_descriptor d = caml_descriptor_take(dup(STDOUT_FILENO));
  int lowest;
  (void)state;
  assert_in_range(d.number, 200, 300);
  assert_int_equal(fcntl(d.number, F_GETFD), FD_CLOEXEC);
  caml_descriptor_close(&d);
  assert_int_equal(d.number, -1);
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = 100;
  setrlimit(RLIMIT_NOFILE, &few);
  lowest = dup(STDOUT_FILENO);
  d = caml_descriptor_take(lowest);
  assert_int_equal(d.number, lowest);
  caml_descriptor_close(&d);
  setrlimit(RLIMIT_NOFILE, &before);
  d = caml_descriptor_take(-1);
  assert_int_equal(d.number, -1);
}

/* The service manager has ended before it is written to. */
static void a_peer_that_has_gone_is_no_signal(void** state) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int listens;
  (void)state;
  strcpy(address.sun_path, in_root("socket"));
  listens = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(listens, (struct sockaddr*)&address, sizeof(address));
  assert_int_equal(listen(listens, 1), 0);
  hang_up = listens;
  assert_false(look(address.sun_path, "aGVsbG8="));
  assert_int_equal(hang_up, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(nobody, setup, teardown),
    cmocka_unit_test_setup_teardown(the_machine, setup, teardown),
    cmocka_unit_test_setup_teardown(the_cgroup_comes_first, setup, teardown),
    cmocka_unit_test_setup_teardown(a_cgroup_above_it, setup, teardown),
    cmocka_unit_test_setup_teardown(the_service_manager_before_all, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_is_no_source, setup, teardown),
    cmocka_unit_test_setup_teardown(too_much_to_write, setup, teardown),
    cmocka_unit_test_setup_teardown(a_fifo, setup, teardown),
    cmocka_unit_test_setup_teardown(a_socket, setup, teardown),
    cmocka_unit_test_setup_teardown(an_error_ends_it, setup, teardown),
    cmocka_unit_test_setup_teardown(
      what_the_program_has_by_its_number_is_left_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(a_descriptor_is_out_of_the_way, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_peer_that_has_gone_is_no_signal, setup,
                                    teardown)
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
