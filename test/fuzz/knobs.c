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


/* libFuzzer: OCAMLRUNPARAM=X followed by anything.  Whatever it is, no knob has a
   value that it does not take, and what is read is read again as the same. */

#define CAML_INTERNALS
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "caml/heap_startup.h"
#include "heap_knobs.h"
#include "heap_tweaks.h"

/* What the knobs need of the runtime */

void caml_invalid_argument(char const* text) {
  (void)text;
  abort();
}

static void check_knobs(void) {
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    struct caml_heap_knob* knob = &caml_heap_knobs[i];
    intnat value = caml_heap_knob_get(i), again;
    char text[32];
    int length = snprintf(text, sizeof(text), "%ld", (long)value);
    if (value < knob->least || value > knob->greatest) abort();
    if (!caml_heap_knob_read(knob, text, (size_t)length, &again)
        || again != value)
      abort();
    atomic_store(&knob->value, (uintnat)knob->initial);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* text = malloc(size + 1); /* exact, for the address sanitizer */
  if (stderr == NULL || text == NULL) abort();
  memcpy(text, data, size);
  text[size] = '\0';
  caml_heap_parse(text);
  check_knobs();
  free(text);
  return 0;
}

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  (void)argc;
  (void)argv;
  stderr = fopen("/dev/null", "w"); /* libFuzzer does not use it */
  return 0;
}
