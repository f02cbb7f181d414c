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

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "text.h"
#include "tool.h"

/* Of a character, by its first byte; 0 if no character begins so */
static size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first < 0xc0) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
}

/* The length of the character that [p] begins with, as RFC 3629 has them: none
   is longer than it need be, a surrogate, or past the last.  0 if it is no
   character. */
static size_t character(const unsigned char* p) {
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t length = length_of(p[0]);
  uint32_t code = p[0];
  if (length < 2) return length;
  code &= 0x7fu >> length;
  for (size_t i = 1; i < length; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (p[i] & 0x3fu);
  }
  if (code < least[length] || code > 0x10ffff) return 0;
  return code >= 0xd800 && code <= 0xdfff ? 0 : length;
}

/* A control character of two bytes, U+0080 to U+009F */
static bool is_control(const unsigned char* p) {
  return p[0] == 0xc2 && p[1] < 0xa0;
}

char* one_line(char* text) {
  for (char* p = text; *p != '\0'; ) {
    size_t length = character((const unsigned char*)p);
    if (length == 2 && is_control((const unsigned char*)p)) length = 0;
    if (length == 0 || (unsigned char)*p < ' ' || *p == 127) *p = '?';
    p += length == 0 ? 1 : length;
  }
  return text;
}

void print_line(FILE* to, const char* text) {
  char* copy = strdup(text);
  if (copy == NULL) fail("no memory");
  fputs(one_line(copy), to);
  free(copy);
}

void add_text(cJSON* object, const char* name, const char* text) {
  char* copy = strdup(text);
  if (copy == NULL) fail("no memory");
  for (char* p = copy; *p != '\0'; ) {
    size_t length = character((const unsigned char*)p);
    if (length == 0) *p = '?';
    p += length == 0 ? 1 : length;
  }
  cJSON_AddStringToObject(object, name, copy);
  free(copy);
}

void put_json(FILE* to, cJSON* object, bool lines) {
  char* text = (lines ? cJSON_Print : cJSON_PrintUnformatted)(object);
  if (text == NULL) fail("no memory");
  fprintf(to, "%s\n", text);
  cJSON_free(text);
  cJSON_Delete(object);
}
