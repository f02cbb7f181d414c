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


/* runtime-jemalloc knobs: the table, as text, JSON, or the manual page. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>
#include "heap_knobs.h"
#include "text.h"
#include "tool.h"

static void print_table(void) {
  char text[128];
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    const struct caml_heap_knob* knob = &caml_heap_knobs[i];
    caml_heap_knob_default(knob, text, sizeof(text));
    printf("X%s=%s\n    %s.\n", knob->name, text, knob->help);
    caml_heap_knob_accepted(knob, text, sizeof(text));
    printf("    It takes %s; set at %s.\n", text,
           knob->when == CAML_KNOB_ANY_TIME ? "any time" : "start-up only");
  }
}

/* All of it: cJSON's own numbers are doubles. */
static void add_integer(cJSON* object, const char* name, intnat n) {
  char text[32];
  snprintf(text, sizeof(text), "%" ARCH_INTNAT_PRINTF_FORMAT "d", n);
  cJSON_AddRawToObject(object, name, text);
}

static void print_json(void) {
  cJSON* array = cJSON_CreateArray();
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    const struct caml_heap_knob* knob = &caml_heap_knobs[i];
    cJSON* object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", knob->name);
    cJSON_AddStringToObject(object, "unit", knob->unit);
    add_integer(object, "default", knob->initial);
    add_integer(object, "least", knob->least);
    add_integer(object, "greatest", knob->greatest);
    cJSON_AddStringToObject(object, "words", knob->words);
    cJSON_AddStringToObject(object, "when", knob->when == CAML_KNOB_ANY_TIME
                            ? "any time" : "start-up");
    cJSON_AddStringToObject(object, "help", knob->help);
    cJSON_AddItemToArray(array, object);
  }
  put_json(stdout, array, true);
}

/* The entries of runtime-jemalloc-knobs(7), in man(7) */
static void print_man(void) {
  char text[128];
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    const struct caml_heap_knob* knob = &caml_heap_knobs[i];
    caml_heap_knob_default(knob, text, sizeof(text));
    printf(".TP\n.BR X%s = %s\n%s.\n", knob->name, text, knob->help);
    caml_heap_knob_accepted(knob, text, sizeof(text));
    printf("It takes %s%s%s", *text == '-' ? "\\" : "", text,
           knob->when == CAML_KNOB_ANY_TIME
           ? ".\n" : ", and is set at start-up only.\n");
  }
}

int knobs_command(int argc, char** argv) {
  static const struct option options[] = {
    { "json", no_argument, NULL, OPTION_JSON },
    { "man", no_argument, NULL, OPTION_MAN },
    { NULL, 0, NULL, 0 }
  };
  void (*print)(void) = print_table;
  int c;
  while ((c = next_option(argc, argv, "", options)) != -1)
    print = c == OPTION_JSON ? print_json : print_man;
  if (optind < argc)
    wrong_use("knobs takes no arguments, not %s", argv[optind]);
  print();
  return EXIT_SUCCESS;
}
