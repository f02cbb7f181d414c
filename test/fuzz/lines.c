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

/* Command lines for runtime-jemalloc(1), at random:

     lines SEED SECONDS          as many as there is time for
     lines SEED SECONDS NUMBER   that one only, and shows what it prints

   Each is run in a child, in a directory of its own: this is linked with the
   tool, whose main is tool_main, and both have the sanitizers.  Whatever the
   words are, the tool ends soon, by itself, with a status that its manual page
   has, says what is wrong in one line, and leaves no file that no word names.
   Prints the first line that does not, and what is wrong with it. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <cjson/cJSON.h>

int tool_main(int argc, char** argv);

/* A report is not to be taken for an exit status of the tool's, and what is
   not freed at the end is no fault. */
const char* __asan_default_options(void);
const char* __asan_default_options(void) {
  return "abort_on_error=1:detect_leaks=0";
}
const char* __ubsan_default_options(void);
const char* __ubsan_default_options(void) {
  return "abort_on_error=1:print_stacktrace=1";
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Seconds that a line gets */
#define PATIENCE 30

static void* must(const void* p, const char* what) {
  if (p != NULL) return (void*)p;
  perror(what);
  exit(2);
}

static void succeed(bool success, const char* what) {
  must(success ? "" : NULL, what);
}

/* Chance: splitmix64, from the seed and the number of the line */

static uint64_t state;

static uint64_t chance(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static unsigned below(unsigned n) {
  return (unsigned)(chance() % n);
}

static bool one_in(unsigned n) {
  return below(n) == 0;
}

/* The words.  No number is that of a process which stays: with --watch the tool
   would stay as well. */

static const char* const commands[] = {
  "version", "--version", "config", "knobs", "map", "run", "help", "--help",
  "-h", "", "-", "--", "maps", "--json"
};
static const char* const options[] = {
  "--json", "--man", "--watch", "--timeout", "--decay", "--knob", "--interval",
  "--plot", "--samples", "--help", "-h", "--", "-", "--j", "--w", "--yaml",
  "-j", "-x\n", "-\n", "-\377",
  "--json=1", "--watch=", "--timeout=0.01", "--decay=never",
  "--knob=thp=never", "--interval=1.0", "--samples=new", "--plot=new.svg",
  "--=", "--=x", "--\n", "--a\nb", "--\377", "--js\033[31m"
};
static const char* const numbers[] = {
  "0", "-0", "-1", "0.01", "0.009", "1.0", "50.5", "1e9", "1e10", "1e308",
  "1e999", "1e-320", "nan", "-nan", "inf", "-inf", "0x1p3", "", " ", " 0.5",
  "0.5 ", "5s", "0,5", "4194305", " 4194305", "+4194305", "2147483648",
  "4294967297", "18446744073709551616", "99999999999999999999999999", "\n",
  "1.0\n", "never", "5k", "soon", "-2"
};
static const char* const knobs[] = {
  "thp=never", "thp=always", "thp=9", "dirty_decay_ms=5k", "Xthp=never",
  "thp=", "thp", "=", "", "=never", "thp=never,v=1", "speed=1", "thp=never\n",
  "\n=\n", "thp==never", "memory_limit=99999999999999999999", "v=0",
  "memory_limit=300M", "memory_limit=auto", "muzzy_decay_ms=-1"
};
static const char* const files[] = {
  "empty", "directory", "elf", "cut", "bytecode", "sections", "closed",
  "circle", "123", "9999999", "a b'c\"", "two\nlines", "\377\376.svg", "loop",
  "new", "new.svg", "directory/new", "directory/new.svg", "missing/new",
  "missing/new.svg", "directory.svg", "it's.svg", "|touch made.svg",
  "two\nlines.svg", ".svg", "x.svg", "`touch made`.svg", "~.svg", "a\\n.svg",
  "/dev/null", "/dev/full", "/dev/zero", "/", ".", "..", "", "-", "./-.svg",
  "\033[31m", "empty/", "elf/new.svg", "\302\205.svg"
};
/* To read only: who writes to a FIFO waits for a reader. */
static const char* const sources[] = {
  "fifo", "/proc/self/mem", "/proc/self/status", "/proc/self/pagemap",
  "/sys/kernel/mm/transparent_hugepage/enabled", "elf", "bytecode", "sections"
};
static const char* const programs[] = {
  "ok", "three", "dies", "lasts", "says", "ok", "three", "dies", "lasts",
  "ok", "three", "dies", "lasts", "says", "nothing", "empty", "directory",
  "closed", "", "-", "two\nlines", "\377", "./missing/ok", "\033[2J", "circle",
  "two names\nsay"
};
/* By these the generator puts the number of a process: one that ends after a
   moment, one that has ended and is not waited for, one that is gone. */
static const char* const processes[] = {
  "@live", "@live", "@live", "@zombie", "@gone", "@live x"
};

#define PICK(array) ((array)[below(LENGTH(array))])

#define MOST_WORDS 40
static char* words[MOST_WORDS + 1];
static int n_words;

static pid_t live, zombie, gone;

/* A process that ends after a moment */
static pid_t start_live(void) {
  struct timespec moment = { 0, 80000000 };
  pid_t pid = fork();
  succeed(pid >= 0, "fork");
  if (pid > 0) return pid;
  nanosleep(&moment, NULL);
  _exit(0);
}

static pid_t process_of(const char* word) {
  if (strcmp(word, "@zombie") == 0) return zombie;
  if (strcmp(word, "@gone") == 0) return gone;
  if (live == 0) live = start_live();
  return live;
}

/* A copy of [word], a few bytes of which may be others */
static char* changed(const char* word) {
  size_t length = strlen(word), at, times = 1;
  size_t size = 4096 + length * 2000;
  char* copy = must(calloc(1, size), "calloc");
  strcpy(copy, word);
  at = length == 0 ? 0 : below((unsigned)length);
  switch (below(40)) {
    case 0: /* one byte less */
      memmove(copy + at, copy + at + (length > 0), length - at + 1 - (length
              > 0));
      break;
    case 1: /* one byte more */
      memmove(copy + at + 1, copy + at, length - at + 1);
      copy[at] = (char)(1 + below(255));
      break;
    case 2: /* another byte */
      if (length > 0) copy[at] = (char)(1 + below(255));
      break;
    case 3: times = 2 + below(1998); break;
    case 4: if (length == 1) times = 4000; break;
    default: break;
  }
  for (size_t i = 1; i < times; i++) memcpy(copy + i * length, word, length);
  return copy;
}

/* Is it a process that stays? */
static bool stays(const char* word) {
  char* end;
  long pid = strtol(word, &end, 10);
  return end != word && *end == '\0' && pid > 0 && pid <= 4194304
    && pid != live && pid != zombie && pid != gone && kill((pid_t)pid, 0) == 0;
}

/* Is it a file elsewhere?  Those of the list may be written to, or are no
   files; what chance makes of them may be anything. */
static bool leads_out(const char* word) {
  return *word == '/' || strstr(word, "=/") != NULL;
}

static void add(const char* word) {
  char number[32];
  if (n_words == MOST_WORDS) return;
  if (*word == '@') {
    snprintf(number, sizeof(number), "%ld%s", (long)process_of(word),
             strchr(word, ' ') == NULL ? "" : " x");
    word = number;
  }
  words[n_words] = changed(word);
  if (stays(words[n_words])) strcpy(words[n_words], "x");
  if (leads_out(words[n_words])) strcpy(words[n_words], word);
  n_words++;
}

/* A value that [option] takes */
static const char* right_value_of(const char* option) {
  static const char* const right_numbers[] = { "1.0", "20.5", "1e9", "0x1p3" };
  static const char* const right_knobs[] = {
    "thp=never", "memory_limit=300M", "dirty_decay_ms=5k"
  };
  static const char* const drawings[] = {
    "new.svg", "directory/new.svg", "it.svg", "|touch made.svg", "~.svg"
  };
  if (strcmp(option, "--knob") == 0) return PICK(right_knobs);
  if (strcmp(option, "--plot") == 0) return PICK(drawings);
  return strcmp(option, "--samples") == 0 ? "new" : PICK(right_numbers);
}

/* One that it may take */
static const char* value_of(const char* option) {
  switch (one_in(20) ? below(5) : 5) {
    case 0: return PICK(numbers);
    case 1: return PICK(knobs);
    case 2: return PICK(files);
    case 3: return PICK(options);
    case 4: return PICK(processes);
    default: break;
  }
  if (one_in(2)) return right_value_of(option);
  if (strcmp(option, "--knob") == 0) return PICK(knobs);
  if (strcmp(option, "--plot") == 0 || strcmp(option, "--samples") == 0)
    return PICK(files);
  return PICK(numbers);
}

static bool takes_value(const char* option) {
  static const char* const taking[] = {
    "--watch", "--timeout", "--decay", "--knob", "--interval", "--plot",
    "--samples", "--w"
  };
  for (size_t i = 0; i < LENGTH(taking); i++)
    if (strcmp(option, taking[i]) == 0) return true;
  return false;
}

static const char* option_of(const char* command) {
  static const char* const of_map[] = { "--json", "--watch", "--timeout" };
  static const char* const of_run[] = {
    "--json", "--decay", "--knob", "--interval", "--plot", "--samples"
  };
  if (one_in(12)) return PICK(options);
  if (strcmp(command, "map") == 0) return PICK(of_map);
  if (strcmp(command, "run") == 0) return PICK(of_run);
  return "--json";
}

static const char* operand_of(const char* command) {
  switch (one_in(10) ? below(4) : 4) {
    case 0: return PICK(numbers);
    case 1: return PICK(options);
    case 2: return PICK(files);
    case 3: return PICK(processes);
    default: break;
  }
  if (strcmp(command, "map") == 0) return PICK(processes);
  if (strcmp(command, "run") == 0) return PICK(programs);
  if (strcmp(command, "config") == 0 && one_in(4)) return PICK(sources);
  return one_in(3) ? PICK(processes) : PICK(files);
}

static void make_words(void) {
  const char* command = PICK(commands);
  if (!one_in(4)) command = one_in(2) ? "run" : one_in(2) ? "map" : "config";
  n_words = 0;
  live = 0;
  add("runtime-jemalloc");
  if (one_in(200)) return;
  add(command);
  for (unsigned n = below(one_in(10) ? 20 : 4); n > 0; n--) {
    const char* option = option_of(command);
    add(option);
    if (takes_value(option) && !one_in(20)) add(value_of(option));
  }
  for (unsigned n = one_in(6) ? below(3) : 1; n > 0; n--)
    add(operand_of(command));
}

static void free_words(void) {
  for (int i = 0; i < n_words; i++) {
    free(words[i]);
    words[i] = NULL;
  }
  if (live != 0) {
    kill(live, SIGKILL);
    waitpid(live, NULL, 0);
  }
}

/* What else of the line is left to chance */
struct setting {
  int closed;       /* a standard stream, or -1 */
  bool full;        /* is the disk of the standard output full? */
  const char* path; /* PATH */
  const char* parameters; /* OCAMLRUNPARAM */
  bool posix;       /* POSIXLY_CORRECT */
};

/* Never the machine's: by chance a word may be the name of a program there. */
static const char* const paths[] = {
  "../bin", "../bin", "../bin:../draws", "../bin:../draws", "../bin:../fails",
  "../bin:../folder", ""
};

static struct setting make_setting(void) {
  static char long_one[100000];
  static const char* const parameters[] = {
    NULL, NULL, "", "v=0", "Xthp=never", ",,", "\n", "\377", long_one
  };
  memset(long_one, 'x', sizeof(long_one) - 1);
  return (struct setting){
    .closed = one_in(20) ? (int)below(3) : -1,
    .full = one_in(40),
    .path = one_in(3) ? PICK(paths) : "../bin:../draws",
    .parameters = PICK(parameters),
    .posix = one_in(20)
  };
}

/* The directory */

static void make_file(const char* name, mode_t mode, const char* text,
                      size_t size) {
  int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  succeed(file >= 0 && write(file, text, size) == (ssize_t)size
          && close(file) == 0, name);
}

static void make_text(const char* name, mode_t mode, const char* text) {
  make_file(name, mode, text, strlen(text));
}

/* Each writes its status, so that it is known that it was started. */
static void make_programs(void) {
  static const char* const folders[] = {
    "bin", "draws", "fails", "folder", "folder/gnuplot"
  };
  for (size_t i = 0; i < LENGTH(folders); i++)
    succeed(mkdir(folders[i], 0755) == 0 || errno == EEXIST, folders[i]);
  make_text("bin/ok", 0755, "#!/bin/sh\necho 0 > ../started\n");
  make_text("bin/three", 0755, "#!/bin/sh\necho 3 > ../started\nexit 3\n");
  make_text("bin/dies", 0755, "#!/bin/sh\necho 137 > ../started\nkill -9 $$\n");
  make_text("bin/lasts", 0755, "#!/bin/sh\necho 0 > ../started\n"
            "PATH=/usr/bin:/bin\nsleep 0.05\n");
  make_text("bin/says", 0755, "#!/bin/sh\necho 0 > ../started\necho it\n:\n");
  make_text("bin/two names\nsay", 0755, "#!/bin/sh\necho 0 > ../started\n");
  make_text("draws/gnuplot", 0755, "#!/bin/sh\nwhile read -r l; do :; done\n");
  make_text("fails/gnuplot", 0755, "#!/bin/sh\nexit 1\n");
}

static int remove_entry(const char* name, const struct stat* s, int kind,
                        struct FTW* where) {
  (void)s;
  (void)kind;
  return where->level == 0 ? 0 : remove(name);
}

/* A file with [size] bytes of the program that runs now */
static void make_elf(const char* name, size_t size) {
  char* text = must(malloc(size), "malloc");
  FILE* f = must(fopen("/proc/self/exe", "r"), "/proc/self/exe");
  succeed(fread(text, 1, size, f) == size, "fread");
  fclose(f);
  make_file(name, 0600, text, size);
  free(text);
}

static void make_scene(void) {
  static const char sections[] = "ocamlrun_jemalloc\nRNTM\377\377\377\377"
    "\0\0\0\1Caml1999X034";
  static const char bytecode[] = "#!/usr/bin/ocamlrun_jemalloc\nRNTM\0\0\0\0"
    "\0\0\0\1Caml1999X034";
  nftw("scene", remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  succeed(mkdir("scene", 0755) == 0 || errno == EEXIST, "scene");
  succeed(chdir("scene") == 0, "scene");
  succeed(mkdir("directory", 0755) == 0 && mkdir("directory.svg", 0755) == 0,
          "directory");
  make_text("empty", 0644, "");
  make_elf("elf", 5000);
  make_elf("cut", 20);
  make_file("sections", 0644, sections, sizeof(sections) - 1);
  make_file("bytecode", 0644, bytecode, sizeof(bytecode) - 1);
  make_text("closed", 0000, "closed");
  make_text("123", 0644, "a number");
  make_text("a b'c\"", 0644, "quotes");
  make_text("two\nlines", 0644, "lines");
  make_text("\377\376.svg", 0644, "no UTF-8");
  succeed(mkfifo("fifo", 0644) == 0 && symlink("circle", "circle") == 0
          && symlink("../scene", "loop") == 0, "fifo");
  succeed(chdir("..") == 0, "..");
}

/* What is in there, to see whether it has changed */

static uint64_t fingerprint;
static char left[4096]; /* a file that no word names */

static bool is_named(const char* name) {
  for (int i = 0; i < n_words; i++) {
    const char* end = words[i] + strlen(words[i]) - strlen(name);
    if (strlen(words[i]) >= strlen(name) && strcmp(end, name) == 0)
      return true;
  }
  return false;
}

static int take_entry(const char* name, const struct stat* s, int kind,
                      struct FTW* where) {
  uint64_t h = (uint64_t)s->st_size ^ (uint64_t)s->st_mode << 40
    ^ (uint64_t)s->st_mtim.tv_nsec;
  (void)kind;
  if (where->level == 0 || S_ISDIR(s->st_mode)) return 0;
  for (const char* p = name; *p != '\0'; p++)
    h = (h ^ (unsigned char)*p) * 0x100000001b3;
  fingerprint += h;
  if (!is_named(name + strlen("scene/")) && s->st_mtim.tv_sec > 0)
    snprintf(left, sizeof(left), "%s", name);
  return 0;
}

/* Those that are there from the start are of 1970. */
static int make_old(const char* name, const struct stat* s, int kind,
                    struct FTW* where) {
  struct timespec old[2] = { { 0, 0 }, { 0, 0 } };
  (void)s;
  (void)kind;
  (void)where;
  utimensat(AT_FDCWD, name, old, AT_SYMLINK_NOFOLLOW);
  return 0;
}

static uint64_t look_at_scene(void) {
  fingerprint = 0;
  left[0] = '\0';
  nftw("scene", take_entry, 8, FTW_PHYS);
  return fingerprint;
}

/* One line */

struct end {
  int status;
  bool hangs;
  int started;             /* the status of its program, or -1 */
  char out[65536], err[65536];
};

static void set(const char* name, const char* value) {
  if (value == NULL) unsetenv(name);
  else setenv(name, value, 1);
}

static _Noreturn void run_tool(const struct setting* s) {
  int out = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  int err = open("err", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  int null = open("/dev/null", O_RDONLY);
  sigset_t none;
  setpgid(0, 0);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (s->full) {
    close(out);
    out = open("/dev/full", O_WRONLY);
  }
  if (chdir("scene") != 0) abort();
  set("PATH", s->path);
  set("OCAMLRUNPARAM", s->parameters);
  set("POSIXLY_CORRECT", s->posix ? "" : NULL);
  dup2(null, 0);
  dup2(out, 1);
  dup2(err, 2);
  for (int fd = 3; fd < 20; fd++) close(fd);
  if (s->closed >= 0) close(s->closed);
  exit(tool_main(n_words, words));
}

static void read_text(const char* name, char* text, size_t size) {
  FILE* f = fopen(name, "r");
  size_t n = f == NULL ? 0 : fread(text, 1, size - 1, f);
  text[n] = '\0';
  if (f != NULL) fclose(f);
}

/* Waits for it, for so long. */
static bool wait_for(pid_t pid, int* status) {
  sigset_t set;
  time_t end = time(NULL) + PATIENCE;
  struct timespec second = { 1, 0 };
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  while (waitpid(pid, status, WNOHANG) == 0) {
    if (time(NULL) > end) {
      kill(-pid, SIGKILL);
      waitpid(pid, status, 0);
      return false;
    }
    sigtimedwait(&set, NULL, &second);
  }
  kill(-pid, SIGKILL);
  return true;
}

static void run_line(const struct setting* s, struct end* e) {
  char text[32];
  pid_t pid;
  unlink("started");
  fflush(NULL);
  pid = fork();
  succeed(pid >= 0, "fork");
  if (pid == 0) run_tool(s);
  e->hangs = !wait_for(pid, &e->status);
  read_text("out", e->out, sizeof(e->out));
  read_text("err", e->err, sizeof(e->err));
  read_text("started", text, sizeof(text));
  e->started = *text == '\0' ? -1 : atoi(text);
}

/* What is wrong with it */

static int lines_of(const char* text) {
  int n = 0;
  for (; *text != '\0'; text++) n += *text == '\n';
  return n;
}

/* Nothing that a terminal obeys, but for newlines */
static bool is_clean(const char* text) {
  for (; *text != '\0'; text++)
    if (((unsigned char)*text < ' ' && *text != '\n') || *text == 127)
      return false;
  return true;
}

static bool is_utf8(const char* text) {
  mbstate_t start = { 0 };
  return mbsrtowcs(NULL, &text, 0, &start) != (size_t)-1;
}

static bool is_json(const char* text) {
  cJSON* object = cJSON_Parse(text);
  cJSON_Delete(object);
  return object != NULL && is_utf8(text);
}

static bool is_report(const char* line) {
  return strncmp(line, "runtime-jemalloc", 16) == 0;
}

static const char* last_line(const char* text) {
  const char* end = text + strlen(text);
  if (end > text) end--;
  while (end > text && end[-1] != '\n') end--;
  return end;
}

/* What nobody could know before the program was started */
static bool is_late(const char* line) {
  return is_report(line) && (strstr(line, "is not drawn") != NULL
                             || strstr(line, "gnuplot could not") != NULL
                             || strstr(line, "No space left") != NULL);
}

/* Of run, once its program was started */
static const char* fault_of_run(const struct setting* s, const struct end* e,
                                int status) {
  if (left[0] != '\0') return "leaves a file that no word names";
  if (s->closed == STDERR_FILENO)
    return status == e->started || status == 1 ? NULL : "an odd status";
  if (lines_of(e->err) < 1 || !is_clean(e->err)) return "no summary";
  if (e->err[0] == '{' && lines_of(e->err) == 1 && !is_json(e->err))
    return "no JSON";
  if (status == e->started)
    return is_report(last_line(e->err)) ? "an error, and the status is none"
      : NULL;
  return status == 1 && is_late(last_line(e->err)) ? NULL : "an odd status";
}

/* Then there may be a note, of what is printed, and an error. */
static bool is_blind(const struct setting* s) {
  return s->closed == STDOUT_FILENO || s->full;
}

static const char* fault_of_status(const struct setting* s,
                                   const struct end* e, int status) {
  bool mute = s->closed == STDERR_FILENO;
  bool blind = is_blind(s);
  bool is_run = n_words > 1 && strcmp(words[1], "run") == 0;
  if (status != 0 && status != 1 && status != 2
      && !(is_run && (status == 126 || status == 127)))
    return "an odd status";
  if (status == 0 && e->out[0] == '\0' && !blind)
    return "it succeeds, and prints nothing";
  if (status == 0 && blind && s->full) return "success on a full disk";
  if (status >= 2 && e->out[0] != '\0') return "wrong use, and it prints";
  if (status >= 2 && !mute && e->err[0] == '\0') return "nothing is said";
  if (status == 1 && !mute && e->err[0] == '\0' && e->out[0] == '\0')
    return "nothing is said";
  return NULL;
}

static const char* fault_of(const struct setting* s, const struct end* e,
                            uint64_t before) {
  bool changed_scene = look_at_scene() != before;
  if (e->hangs) return "it hangs";
  if (strstr(e->err, "Sanitizer") != NULL
      || strstr(e->err, "runtime error") != NULL)
    return "a sanitizer's report";
  if (strstr(e->err, "reader of process") != NULL) return "a reader died";
  if (!WIFEXITED(e->status)) return "a signal";
  if (e->started >= 0) return fault_of_run(s, e, WEXITSTATUS(e->status));
  if (changed_scene) return "files have changed";
  if (lines_of(e->err) > 1 + is_blind(s)) return "more than one line";
  if (e->err[0] != '\0' && !is_report(e->err))
    return "a line without the name of the tool";
  if (!is_clean(e->err)) return "a line with control characters";
  if (e->out[0] == '{' && !is_json(e->out)) return "no JSON";
  return fault_of_status(s, e, WEXITSTATUS(e->status));
}

/* As a shell would read it; long words are cut. */
static void print_word(const char* word) {
  printf(" $'");
  for (size_t i = 0; word[i] != '\0'; i++) {
    unsigned char c = (unsigned char)word[i];
    if (i == 300) {
      printf("...%zu more", strlen(word) - i);
      break;
    }
    if (c < ' ' || c > '~' || c == '\'' || c == '\\') printf("\\%03o", c);
    else putchar(c);
  }
  putchar('\'');
}

static void print_line(const struct setting* s, const struct end* e) {
  for (int i = 0; i < n_words; i++) print_word(words[i]);
  printf("\nclosed %d, full %d, PATH %s, POSIX %d\n", s->closed, s->full,
         s->path, s->posix);
  printf("status %#x, program's %d\nout: %s\nerr: %s\nleft: %s\n",
         (unsigned)e->status, e->started, e->out, e->err, left);
}

/* Renews the scene where a program that was started may have changed it. */
static bool try_line(uint64_t seed, uint64_t number, bool show) {
  static uint64_t before;
  static struct end e;
  struct setting s;
  const char* fault;
  state = seed ^ number * 0xd1342543de82ef95;
  s = make_setting();
  make_words();
  if (before == 0) {
    make_scene();
    nftw("scene", make_old, 8, FTW_PHYS);
    before = look_at_scene();
  }
  run_line(&s, &e);
  fault = fault_of(&s, &e, before);
  if (e.started >= 0) before = 0;
  if (fault != NULL)
    printf("lines %llu 0 %llu: %s\n", (unsigned long long)seed,
           (unsigned long long)number, fault);
  if (fault != NULL || show) print_line(&s, &e);
  free_words();
  return fault == NULL;
}

static void start(void) {
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  succeed(setlocale(LC_CTYPE, "C.UTF-8") != NULL, "C.UTF-8");
  umask(022);
  make_programs();
  if ((zombie = fork()) == 0) _exit(0);
  waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT);
  if ((gone = fork()) == 0) _exit(0);
  waitpid(gone, NULL, 0);
}

int main(int argc, char** argv) {
  uint64_t seed = argc > 2 ? strtoull(argv[1], NULL, 10) : 0, n = 0;
  time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 0);
  unsigned started = 0;
  if (argc != 3 && argc != 4) {
    fputs("usage: lines SEED SECONDS [NUMBER]\n", stderr);
    return 2;
  }
  start();
  if (argc == 4) return !try_line(seed, strtoull(argv[3], NULL, 10), true);
  do {
    if (!try_line(seed, n++, false)) return 1;
    started += access("started", F_OK) == 0;
  } while (time(NULL) < end);
  printf("seed %llu: %llu lines, %u of them ran a program\n",
         (unsigned long long)seed, (unsigned long long)n, started);
  return 0;
}
