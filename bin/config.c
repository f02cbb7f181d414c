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


/* runtime-jemalloc config: what was configured, by values of the Makefile's; or
   which runtime a file is on; or a process, and its memory limit. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include "file_runtime.h"
#include "jemalloc.h"
#include "look.h"
#include "text.h"
#include "tool.h"

static const struct {
  const char* name;
  const char* value;
} configuration[] = {
  { "version", VERSION },
  { "ocaml", OCAML_VERSION },
  { "ocamlopt", OCAMLOPT },
  { "findlib", FINDLIB },
  { "libraries", LIBRARIES },
  { "programs", PROGRAMS },
  { "jemalloc", JEMALLOC },
  { "jemalloc_version", JEMALLOC_VERSION },
  { "link_flags", LINK_FLAGS },
  { "bytecode_link_flags", BYTE_LINK_FLAGS },
  { "OCAMLPARAM", OCAMLPARAM_VALUE },
};

static const char* const variants[] = {
  "_jemalloc", "_jemallocd", "_jemalloc_pic"
};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static void print_json(void) {
  cJSON* object = cJSON_CreateObject();
  for (size_t i = 0; i < LENGTH(configuration); i++)
    cJSON_AddStringToObject(object, configuration[i].name,
                            configuration[i].value);
  cJSON_AddItemToObject(object, "variants",
                        cJSON_CreateStringArray(variants, LENGTH(variants)));
  put_json(stdout, object, true);
}

static void print_lines(void) {
  for (size_t i = 0; i < LENGTH(configuration); i++)
    printf("%s: %s\n", configuration[i].name, configuration[i].value);
  printf("variants:");
  for (size_t i = 0; i < LENGTH(variants); i++) printf(" %s", variants[i]);
  putchar('\n');
}

/* The flags are of no use before the archives are installed, or without the
   package that has them. */
static void check_libraries(void) {
  if (access(LIBRARIES "/libasmrun_jemalloc.a", R_OK) != 0)
    complain("there is no libasmrun_jemalloc.a in " LIBRARIES
             ": nothing links with these flags until it is installed");
}

/* As grep(1): 0 if it is on this runtime, 1 if not */
static int print_file(const char* path, bool json) {
  struct file_runtime runtime = file_runtime(path);
  if (json) {
    cJSON* object = cJSON_CreateObject();
    add_text(object, "file", path);
    cJSON_AddStringToObject(object, "kind", runtime.kind);
    cJSON_AddBoolToObject(object, "on_runtime_jemalloc", runtime.ours);
    put_json(stdout, object, true);
  } else {
    print_line(stdout, path);
    printf(": %s, %s\n", runtime.kind,
           runtime.ours ? "on runtime-jemalloc" : "not on runtime-jemalloc");
  }
  return runtime.ours ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Of a process */

static bool is_pid(const char* text) {
  return *text != '\0' && strspn(text, "0123456789") == strlen(text)
    && access(text, F_OK) != 0;
}

/* As the knob Xmemory_limit is written */
static const char* setting_text(int64_t setting) {
  static char text[32];
  if (setting == 0) return "none";
  if (setting < 0) return "auto";
  snprintf(text, sizeof(text), "%" PRId64, setting);
  return text;
}

static void add_limit(cJSON* object, const char* name, uint64_t limit) {
  if (limit == UINT64_MAX)
    cJSON_AddNullToObject(object, name);
  else
    cJSON_AddNumberToObject(object, name, (double)limit);
}

/* Has the process looked at its limits, so that there are figures? */
static bool has_looked(const struct caml_memory_shown* limit) {
  return limit->setting != 0 && limit->process != 0;
}

static void print_process_json(pid_t pid, const struct process_map* map) {
  const struct caml_memory_shown* l = &map->limit;
  bool ours = map->table == TABLE_FOUND;
  cJSON* object = cJSON_CreateObject();
  cJSON_AddNumberToObject(object, "pid", pid);
  cJSON_AddBoolToObject(object, "on_runtime_jemalloc", ours);
  if (ours)
    cJSON_AddStringToObject(object, "memory_limit", setting_text(l->setting));
  if (ours && has_looked(l)) {
    cJSON_AddNumberToObject(object, "process", (double)l->process);
    add_limit(object, "soft", l->soft);
    add_limit(object, "hard", l->hard);
    cJSON_AddStringToObject(object, "cgroup", l->cgroup);
  }
  put_json(stdout, object, true);
}

static void print_limit(const char* name, uint64_t limit) {
  if (limit == UINT64_MAX)
    printf("%s: none\n", name);
  else
    printf("%s: %" PRIu64 " MiB\n", name, limit >> 20);
}

static void print_process_lines(pid_t pid, const struct process_map* map) {
  const struct caml_memory_shown* l = &map->limit;
  bool ours = map->table == TABLE_FOUND;
  printf("process %ld: %s\n", (long)pid,
         ours ? "on runtime-jemalloc" : "not known to be on runtime-jemalloc");
  if (ours) printf("Xmemory_limit: %s\n", setting_text(l->setting));
  if (!ours || !has_looked(l)) return;
  printf("it takes: %" PRIu64 " MiB\n", l->process >> 20);
  print_limit("soft limit", l->soft);
  print_limit("hard limit", l->hard);
  if (l->cgroup[0] != '\0') printf("of cgroup: %s\n", l->cgroup);
}

static int print_process(pid_t pid, bool json) {
  struct look l = { .pid = pid };
  look_or_fail(&l, LOOK_SECONDS);
  if (json) print_process_json(pid, &l.map);
  else print_process_lines(pid, &l.map);
  return l.map.table == TABLE_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}

int config_command(int argc, char** argv) {
  static const struct option options[] = {
    { "json", no_argument, NULL, OPTION_JSON }, { NULL, 0, NULL, 0 }
  };
  bool json = false;
  while (next_option(argc, argv, "", options) != -1) json = true;
  if (optind + 1 < argc) wrong_use("config takes one file or process at most");
  if (optind < argc && is_pid(argv[optind]))
    return print_process(pid_argument(argv[optind]), json);
  if (optind < argc) return print_file(argv[optind], json);
  if (json) print_json(); else print_lines();
  check_libraries();
  return EXIT_SUCCESS;
}
