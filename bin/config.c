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


/* runtime-jemalloc config: what was configured.  The values are Makefile's. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <cjson/cJSON.h>
#include "jemalloc.h"
#include "tool.h"

static const struct {
  const char* name;
  const char* value;
} configuration[] = {
  { "version", VERSION },
  { "ocaml", OCAML_VERSION },
  { "ocamlopt", OCAMLOPT },
  { "libraries", LIBRARIES },
  { "programs", PROGRAMS },
  { "jemalloc", JEMALLOC },
  { "jemalloc_version", JEMALLOC_VERSION },
  { "link_flags", "-runtime-variant _jemalloc" },
  { "OCAMLPARAM", "_,runtime-variant=_jemalloc" },
};

static const char* const variants[] = {
  "_jemalloc", "_jemallocd", "_jemalloc_pic"
};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static void print_json(void) {
  cJSON* object = cJSON_CreateObject();
  char* text;
  for (size_t i = 0; i < LENGTH(configuration); i++)
    cJSON_AddStringToObject(object, configuration[i].name,
                            configuration[i].value);
  cJSON_AddItemToObject(object, "variants",
                        cJSON_CreateStringArray(variants, LENGTH(variants)));
  text = cJSON_Print(object);
  if (text == NULL) fail("no memory");
  puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
}

static void print_lines(void) {
  for (size_t i = 0; i < LENGTH(configuration); i++)
    printf("%s: %s\n", configuration[i].name, configuration[i].value);
  printf("variants:");
  for (size_t i = 0; i < LENGTH(variants); i++) printf(" %s", variants[i]);
  putchar('\n');
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
  if (optind < argc)
    wrong_use("config takes no arguments, not %s", argv[optind]);
  if (json) print_json(); else print_lines();
  return EXIT_SUCCESS;
}
