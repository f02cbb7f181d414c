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

/* Words of the user's, in what the tool prints: anything may be in them. */

#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stdio.h>
#include <cjson/cJSON.h>

/* Makes [text] one line, with nothing in it that a terminal obeys or that is
   not UTF-8: a ? for each such byte.  Returns it. */
char* one_line(char* text);

/* Prints [text] as one_line makes it. */
void print_line(FILE* to, const char* text);

/* A string of [object]'s, with a ? for each byte that is not UTF-8: JSON has to
   be that. */
void add_text(cJSON* object, const char* name, const char* text);

/* Prints [object], in one line or in several, and deletes it. */
void put_json(FILE* to, cJSON* object, bool lines);

#endif /* TEXT_H */
