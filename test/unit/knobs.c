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

/* Reading knobs: everything the table says, and what it does not. */

#define CAML_INTERNALS
#define _GNU_SOURCE /* open_memstream */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "caml/heap_startup.h"
#include "heap_knobs.h"
#include "heap_tweaks.h"

/* What the knobs need of the heap and of the runtime */

static bool refuses;
static int applied;
static jmp_buf invalid_argument;
static const char* message;

static bool apply(enum caml_heap_knob_index index) {
  (void)index;
  applied++;
  return !refuses;
}

/* Another thread sets it meanwhile. */
static bool apply_late(enum caml_heap_knob_index index) {
  atomic_store(&caml_heap_knobs[index].value, 7);
  return false;
}

void caml_invalid_argument(char const* text) {
  message = text;
  longjmp(invalid_argument, 1);
}

static int reset(void** state) {
  (void)state;
  caml_heap_knobs_take_effect(NULL);
  refuses = false;
  applied = 0;
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++)
    atomic_store(&caml_heap_knobs[i].value,
                 (uintnat)caml_heap_knobs[i].initial);
  return 0;
}

static bool reads(const struct caml_heap_knob* knob, const char* text,
                  intnat* value) {
  return caml_heap_knob_read(knob, text, strlen(text), value);
}

static const char* decimal(char* buffer, intnat value) {
  sprintf(buffer, "%ld", (long)value);
  return buffer;
}

/* Of each knob: its default, its limits, one past them, its words. */
static void the_table(void** state) {
  char text[64];
  intnat value;
  (void)state;
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    const struct caml_heap_knob* knob = &caml_heap_knobs[i];
    assert_true(caml_heap_knob_get(i) == knob->initial);
    assert_ptr_equal(knob, caml_heap_knob_find(knob->name, strlen(knob->name)));
    assert_true(reads(knob, decimal(text, knob->initial), &value));
    assert_true(value == knob->initial);
    assert_true(reads(knob, decimal(text, knob->least), &value));
    assert_true(value == knob->least);
    assert_true(reads(knob, decimal(text, knob->greatest), &value));
    assert_true(value == knob->greatest);
    assert_false(reads(knob, decimal(text, knob->least - 1), &value));
    assert_true(knob->greatest == INTPTR_MAX
                || !reads(knob, decimal(text, knob->greatest + 1), &value));
    assert_true(strlen(knob->help) > 0);
  }
}

static void the_words(void** state) {
  char words[64];
  intnat value;
  (void)state;
  for (int i = 0; i < CAML_N_HEAP_KNOBS; i++) {
    const struct caml_heap_knob* knob = &caml_heap_knobs[i];
    char* rest = strcpy(words, knob->words);
    char* word;
    while ((word = strsep(&rest, " ")) != NULL && *word) {
      char* number = strchr(word, '=');
      *number++ = '\0';
      assert_true(reads(knob, word, &value));
      assert_true(value == atol(number));
    }
    assert_false(reads(knob, "nonsense", &value));
  }
}

static void numbers(void** state) {
  static const struct { const char* text; intnat value; } good[] = {
    { "0", 0 }, { "-1", -1 }, { "007", 7 }, { "0x10", 16 }, { "0xfFk", 261120 },
    { "5k", 5120 }, { "3M", 3 << 20 }, { "1G", 1 << 30 }
  };
  static const char* bad[] = {
    "", "-", "k", "-k", "0x", "0xk", "--1", "+1", " 1", "1 ", "1kk", "1K",
    "1.5",
    "1e3", "10x", "0xg", "ten", "never1", "neve", "2G", "4294967296",
    "9223372036854775807", "9223372036854775808", "99999999999999999999999",
    "9007199254740992k", "-9223372036854775808", "\xff"
  };
  const struct caml_heap_knob* knob =
    &caml_heap_knobs[CAML_KNOB_dirty_decay_ms];
  intnat value;
  (void)state;
  for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
    assert_true(reads(knob, good[i].text, &value));
    assert_true(value == good[i].value);
  }
  value = 42;
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
    assert_false(reads(knob, bad[i], &value));
  assert_true(value == 42);
}

/* What parsing [text] prints on stderr; to be freed. */
static char* printed_by(const char* text, bool* ours) {
  FILE* file = tmpfile();
  char* printed = calloc(1, 4096);
  int saved = dup(STDERR_FILENO);
  fflush(stderr);
  dup2(fileno(file), STDERR_FILENO);
  *ours = caml_heap_parse(text);
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  rewind(file);
  assert_false(ferror(file) || fread(printed, 1, 4095, file) == 4095);
  fclose(file);
  return printed;
}

static void parameters(void** state) {
  bool ours;
  char* printed;
  (void)state;
  printed = printed_by("dirty_decay_ms=5k,thp=never", &ours);
  assert_true(ours);
  assert_string_equal(printed, "");
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_dirty_decay_ms), 5120);
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_thp), CAML_THP_SYSTEM);
  free(printed);

  printed = printed_by("muzzy_decay_ms,v=0", &ours);
  assert_true(ours);
  assert_string_equal(printed, "");
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_muzzy_decay_ms), 1);
  free(printed);
}

static void parameters_that_are_wrong(void** state) {
  bool ours;
  char* printed;
  (void)state;
  printed = printed_by("dirty_decay_ms=soon,thp=never", &ours);
  assert_true(ours);
  assert_string_equal(printed, "Ignored GC tweak 'dirty_decay_ms=soon'. "
                      "It takes -1 to 2147483647 ms, never\n");
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_dirty_decay_ms), 1000);
  free(printed);

  printed = printed_by("thp=", &ours);
  assert_true(ours);
  assert_string_equal(printed, "Ignored GC tweak 'thp='. "
                      "It takes 0 to 2, never, system, always\n");
  free(printed);
}

/* Once there is a heap, OCAMLRUNPARAM has been read. */
static void parameters_of_a_second_startup(void** state) {
  bool ours;
  (void)state;
  caml_heap_knobs_take_effect(apply);
  free(printed_by("dirty_decay_ms=7", &ours));
  assert_true(ours);
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_dirty_decay_ms), 1000);
}

static void tweaks(void** state) {
  atomic_uintnat* tweak;
  atomic_uintnat other = 1;
  int n = 0;
  (void)state;
  for (const char* name; (name = caml_heap_tweak(n, &tweak)); n++) {
    assert_string_equal(name, caml_heap_knobs[n].name);
    assert_ptr_equal(tweak, &caml_heap_knobs[n].value);
  }
  assert_int_equal(n, CAML_N_HEAP_KNOBS);
  caml_heap_knobs_take_effect(apply);
  assert_null(caml_heap_tweak(0, &tweak));

  caml_heap_set_tweak(&other, 2);
  assert_int_equal(other, 2);
  assert_int_equal(applied, 0);
  tweak = &caml_heap_knobs[CAML_KNOB_muzzy_decay_ms].value;
  caml_heap_set_tweak(tweak, 3);
  assert_int_equal(applied, 1);
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_muzzy_decay_ms), 3);
}

static void refused(enum caml_heap_knob_index index, intnat value,
                    const char* why) {
  intnat before = caml_heap_knob_get(index);
  if (setjmp(invalid_argument) == 0) {
    caml_heap_set_tweak(&caml_heap_knobs[index].value, (uintnat)value);
    fail_msg("%s takes %ld", caml_heap_knobs[index].name, (long)value);
  }
  assert_string_equal(message, why);
  assert_true(caml_heap_knob_get(index) == before);
}

static void tweaks_that_are_wrong(void** state) {
  (void)state;
  refused(CAML_KNOB_dirty_decay_ms, -2, "Gc.Tweak.set: dirty_decay_ms=-2: "
          "it takes -1 to 2147483647 ms, never");
  refused(CAML_KNOB_compact_purge, 3, "Gc.Tweak.set: compact_purge=3: "
          "it takes 0 to 2, decay, lazy, forced");
  refused(CAML_KNOB_thp, 0, "Gc.Tweak.set: thp=0: only OCAMLRUNPARAM sets it");
  assert_int_equal(applied, 0);
  caml_heap_knobs_take_effect(apply);
  refuses = true;
  refused(CAML_KNOB_dirty_decay_ms, 5,
          "Gc.Tweak.set: dirty_decay_ms=5: jemalloc refused");
}

static void what_another_has_set_stays(void** state) {
  char wrong[CAML_HEAP_KNOB_MESSAGE];
  (void)state;
  caml_heap_knobs_take_effect(apply_late);
  assert_false(caml_heap_knob_set(CAML_KNOB_dirty_decay_ms, 5, wrong));
  assert_int_equal(caml_heap_knob_get(CAML_KNOB_dirty_decay_ms), 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(the_table, reset),
    cmocka_unit_test_setup(the_words, reset),
    cmocka_unit_test_setup(numbers, reset),
    cmocka_unit_test_setup(parameters, reset),
    cmocka_unit_test_setup(parameters_that_are_wrong, reset),
    cmocka_unit_test_setup(parameters_of_a_second_startup, reset),
    cmocka_unit_test_setup(tweaks, reset),
    cmocka_unit_test_setup(tweaks_that_are_wrong, reset),
    cmocka_unit_test_setup(what_another_has_set_stays, reset),
  };
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
