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

#define CAML_INTERNALS

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "heap_knobs.h"

#define CAML_KNOB_ROW(name, unit, initial, least, greatest, words, when, help) \
  { #name, unit, words, help, when, initial, least, greatest,                  \
    (uintnat)initial },

struct caml_heap_knob caml_heap_knobs[CAML_N_HEAP_KNOBS] = {
  CAML_HEAP_KNOBS(CAML_KNOB_ROW)
};

intnat caml_heap_knob_get(enum caml_heap_knob_index index) {
  return (intnat)atomic_load(&caml_heap_knobs[index].value);
}

struct caml_heap_knob* caml_heap_knob_find(const char* name, size_t length) {
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    struct caml_heap_knob* knob = &caml_heap_knobs[i];
    if (strlen(knob->name) == length && memcmp(knob->name, name, length) == 0)
      return knob;
  }
  return NULL;
}

/* Reading values */

/* The words of a knob are "word=value word=value". */
static const char* next_word(const char* word) {
  word += strcspn(word, " ");
  return word + strspn(word, " ");
}

static bool read_word(const struct caml_heap_knob* knob, const char* text,
                      size_t length, intnat* result) {
  for (const char* w = knob->words; *w != '\0'; w = next_word(w)) {
    size_t word_length = strcspn(w, "=");
    if (word_length == length && memcmp(w, text, length) == 0) {
      *result = strtol(w + word_length + 1, NULL, 10);
      return true;
    }
  }
  return false;
}

/* Its value, 16 if it is none */
static unsigned digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 16;
}

static unsigned suffix_shift(char suffix) {
  switch (suffix) {
    case 'k': return 10;
    case 'M': return 20;
    case 'G': return 30;
    default: return 0;
  }
}

/* Is the text a number? */
static bool read_number(const char* text, size_t length, intnat* result) {
  const char* end = text + length;
  bool negative = length > 0 && *text == '-';
  unsigned base = 10, shift = 0;
  uintnat n = 0;

  if (negative) text++;
  if (end - text > 2 && text[0] == '0' && text[1] == 'x') {
    base = 16;
    text += 2;
  }
  if (text < end && (shift = suffix_shift(end[-1])) > 0) end--;
  if (text == end) return false;
  for (; text < end; text++) {
    unsigned d = digit(*text);
    if (d >= base || n > ((uintnat)INTPTR_MAX - d) / base) return false;
    n = n * base + d;
  }
  if (n > (uintnat)INTPTR_MAX >> shift) return false;
  *result = (intnat)(n << shift) * (negative ? -1 : 1);
  return true;
}

bool caml_heap_knob_read(const struct caml_heap_knob* knob, const char* text,
                         size_t length, intnat* result) {
  intnat value;
  if (!read_word(knob, text, length, &value)
      && !read_number(text, length, &value))
    return false;
  if (value < knob->least || value > knob->greatest) return false;
  *result = value;
  return true;
}

int caml_heap_knob_accepted(const struct caml_heap_knob* knob,
                            char* buffer, size_t size) {
  char words[64] = "";
  size_t length = 0;
  for (const char* w = knob->words; *w != '\0'; w = next_word(w)) {
    length += snprintf(words + length, sizeof(words) - length, ", %.*s",
                       (int)strcspn(w, "="), w);
    assert(length < sizeof(words));
  }
  return snprintf(buffer, size, "%" ARCH_INTNAT_PRINTF_FORMAT "d to %"
                  ARCH_INTNAT_PRINTF_FORMAT "d%s%s%s",
                  knob->least, knob->greatest,
                  *knob->unit ? " " : "", knob->unit, words);
}

int caml_heap_knob_default(const struct caml_heap_knob* knob,
                           char* buffer, size_t size) {
  for (const char* w = knob->words; *w != '\0'; w = next_word(w)) {
    size_t length = strcspn(w, "=");
    if (strtol(w + length + 1, NULL, 10) == knob->initial)
      return snprintf(buffer, size, "%.*s", (int)length, w);
  }
  return snprintf(buffer, size, "%" ARCH_INTNAT_PRINTF_FORMAT "d",
                  knob->initial);
}
