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
   which runtime a file is on. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include "file_runtime.h"
#include "jemalloc.h"
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

static void puts_json(cJSON* object) {
  char* text = cJSON_Print(object);
  if (text == NULL) fail("no memory");
  puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
}

static void print_json(void) {
  cJSON* object = cJSON_CreateObject();
  for (size_t i = 0; i < LENGTH(configuration); i++)
    cJSON_AddStringToObject(object, configuration[i].name,
                            configuration[i].value);
  cJSON_AddItemToObject(object, "variants",
                        cJSON_CreateStringArray(variants, LENGTH(variants)));
  puts_json(object);
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
    fputs("runtime-jemalloc: there is no libasmrun_jemalloc.a in " LIBRARIES
          ": nothing links with these flags until it is installed\n", stderr);
}

/* As grep(1): 0 if it is on this runtime, 1 if not */
static int print_file(const char* path, bool json) {
  struct file_runtime runtime = file_runtime(path);
  if (json) {
    cJSON* object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", path);
    cJSON_AddStringToObject(object, "kind", runtime.kind);
    cJSON_AddBoolToObject(object, "on_runtime_jemalloc", runtime.ours);
    puts_json(object);
  } else {
    printf("%s: %s, %s\n", path, runtime.kind,
           runtime.ours ? "on runtime-jemalloc" : "not on runtime-jemalloc");
  }
  return runtime.ours ? EXIT_SUCCESS : EXIT_FAILURE;
}

int config_command(int argc, char** argv) {
  static const struct option options[] = {
    { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 }
  };
  bool json = false;
  int c;
  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
    if (c != 'j') wrong_option();
    json = true;
  }
  if (optind + 1 < argc) wrong_use("config takes one file at most");
  if (optind < argc) return print_file(argv[optind], json);
  if (json) print_json(); else print_lines();
  check_libraries();
  return EXIT_SUCCESS;
}
