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

/* libFuzzer: config FILE, of a file with anything in it. */

#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "file_runtime.h"
#include "heap_map.h"
#include "tool.h"

/* What the reader of the file needs of the tool */

void wrong_use(const char* format, ...) {
  (void)format;
  abort();
}

static bool has(struct contents c, const char* text) {
  return c.size > 0 && memmem(c.data, c.size, text, strlen(text)) != NULL;
}

/* Nothing is ours that does not name us. */
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* copy = malloc(size); /* exact, for the address sanitizer */
  struct contents c = { copy, size };
  struct file_runtime r;
  if (copy == NULL && size > 0) abort();
  if (size > 0) memcpy(copy, data, size);
  r = runtime_of(c);
  if (r.kind == NULL) abort();
  if (r.ours && !has(c, "ocamlrun_jemalloc") && !has(c, CAML_HEAP_MAP_MAGIC))
    abort();
  free(copy);
  return 0;
}
