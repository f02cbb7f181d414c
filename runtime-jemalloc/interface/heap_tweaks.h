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

/* Setting the knobs once the program runs. */

#ifndef CAML_HEAP_TWEAKS_H
#define CAML_HEAP_TWEAKS_H

#include <stdbool.h>
#include "heap_knobs.h"

#define CAML_HEAP_KNOB_MESSAGE 160

/* Sets a knob once the program runs.  Returns false and writes what is wrong
   into [message], of [CAML_HEAP_KNOB_MESSAGE] bytes, if it does not take the
   value; then nothing has changed.  From any thread; of two at a time on one
   knob, one is the last. */
bool caml_heap_knob_set(enum caml_heap_knob_index index, intnat value,
                        char* message);

/* Puts a knob that has changed to use, with the value that it has by now.
   False if that failed. */
typedef bool (*caml_heap_knob_apply)(enum caml_heap_knob_index index);

/* From now on there is a heap: OCAMLRUNPARAM has been read, and what changes is
   given to [apply].  NULL: there is no heap any more. */
void caml_heap_knobs_take_effect(caml_heap_knob_apply apply);

/* Is there a heap?  From any thread. */
bool caml_heap_knobs_have_effect(void);

#endif /* CAML_HEAP_TWEAKS_H */
