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


/* The knobs as OCaml sets them: OCAMLRUNPARAM=Xname=value, and [Gc.Tweak]. */

#define CAML_INTERNALS

#include <stdio.h>
#include <string.h>
#include "caml/fail.h"
#include "caml/heap_startup.h"
#include "caml/version.h"
#include "heap_knobs.h"
#include "heap_overhead.h"
#include "heap_tweaks.h"

/* OCAMLRUNPARAM */

#define ACCEPTED 128

static void set_from(struct caml_heap_knob* knob, const char* text,
                     size_t length) {
  char accepted[ACCEPTED];
  intnat value;
  if (caml_heap_knob_read(knob, text, length, &value)) {
    atomic_store(&knob->value, (uintnat)value);
  } else {
    caml_heap_knob_accepted(knob, accepted, sizeof(accepted));
    fprintf(stderr, "Ignored GC tweak '%s=%.*s'. It takes %s\n",
            knob->name, (int)length, text, accepted);
  }
}

#if OCAML_VERSION < 50500

/* What 5.5 does of itself, in its words; but a value that has a word is one */

static void print_help(void) {
  char initial[ACCEPTED];
  fprintf(stderr, "Known GC tweaks:\n");
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    caml_heap_knob_default(&caml_heap_knobs[i], initial, sizeof(initial));
    fprintf(stderr, "%s (initial value %s)\n", caml_heap_knobs[i].name,
            initial);
  }
}

static bool parse_other(const char* name, size_t length) {
  if (length == strlen("help") && memcmp(name, "help", length) == 0)
    print_help();
  else
    fprintf(stderr, "Ignored unknown GC tweak '%.*s'. "
            "Use 'Xhelp' to list known tweaks\n", (int)length, name);
  return true;
}

#else

static bool parse_other(const char* name, size_t length) {
  (void)name;
  (void)length;
  return false;
}

#endif

bool caml_heap_parse(const char* text) {
  size_t length = strcspn(text, "=,");
  struct caml_heap_knob* knob = caml_heap_knob_find(text, length);
  if (knob == NULL) return parse_other(text, length);
  if (caml_heap_knobs_have_effect()) return true; /* a second caml_startup */
  text += length;
  if (*text == '=') {
    text++;
    set_from(knob, text, strcspn(text, ","));
  } else {
    set_from(knob, "1", 1);
  }
  return true;
}

/* While the program runs */

static _Atomic caml_heap_knob_apply effect;

void caml_heap_knobs_take_effect(caml_heap_knob_apply apply) {
  atomic_store(&effect, apply);
}

bool caml_heap_knobs_have_effect(void) {
  return atomic_load(&effect) != NULL;
}

/* NULL, or why the knob does not take the value: may point to [accepted] */
static const char* refusal(enum caml_heap_knob_index index, intnat value,
                           char* accepted) {
  const struct caml_heap_knob* knob = &caml_heap_knobs[index];
  if (value < knob->least || value > knob->greatest) {
    int length = snprintf(accepted, ACCEPTED, "it takes ");
    caml_heap_knob_accepted(knob, accepted + length, ACCEPTED - length);
    return accepted;
  }
  if (knob->when == CAML_KNOB_START_UP) return "only OCAMLRUNPARAM sets it";
  return NULL;
}

/* Who puts it to use reads it.  What another has set since then stays. */
static bool store_and_apply(enum caml_heap_knob_index index, intnat value) {
  atomic_uintnat* knob = &caml_heap_knobs[index].value;
  uintnat new = (uintnat)value, before = atomic_exchange(knob, new);
  caml_heap_knob_apply apply = atomic_load(&effect);
  bool applied = apply == NULL || apply(index);
  if (!applied) atomic_compare_exchange_strong(knob, &new, before);
  return applied;
}

bool caml_heap_knob_set(enum caml_heap_knob_index index, intnat value,
                        char* message) {
  char accepted[ACCEPTED];
  const char* why = refusal(index, value, accepted);
  if (why == NULL && !store_and_apply(index, value)) why = "jemalloc refused";
  if (why != NULL)
    snprintf(message, CAML_HEAP_KNOB_MESSAGE,
             "%s=%" ARCH_INTNAT_PRINTF_FORMAT "d: %s",
             caml_heap_knobs[index].name, value, why);
  return why == NULL;
}

/* Gc.Tweak */

const char* caml_heap_tweak(int index, atomic_uintnat** value) {
  if (index >= CAML_N_HEAP_KNOBS || caml_heap_knobs_have_effect()) return NULL;
  *value = &caml_heap_knobs[index].value;
  return caml_heap_knobs[index].name;
}

#define SET_TWEAK "Gc.Tweak.set: "

void caml_heap_set_tweak(atomic_uintnat* tweak, uintnat value) {
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    if (tweak == &caml_heap_knobs[i].value) {
      char message[sizeof(SET_TWEAK) + CAML_HEAP_KNOB_MESSAGE] = SET_TWEAK;
      if (!caml_heap_knob_set(i, (intnat)value, message + strlen(SET_TWEAK)))
        caml_invalid_argument(message);
      return;
    }
  }
  atomic_store(tweak, value);
}

/* Gc.set */

intnat caml_heap_max_overhead(void) {
  return caml_heap_knob_get(CAML_KNOB_max_overhead);
}

void caml_heap_set_max_overhead(intnat percent) {
  char message[CAML_HEAP_KNOB_MESSAGE];
  if (percent > CAML_OVERHEAD_NEVER) percent = CAML_OVERHEAD_NEVER;
  caml_heap_knob_set(CAML_KNOB_max_overhead, percent, message);
}
