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

#ifndef CAML_HEAP_IN_USE_H
#define CAML_HEAP_IN_USE_H

#include <stdatomic.h>
#include <stddef.h>

/* In use by the runtime, bytes */
struct caml_heap_in_use {
  _Atomic size_t pools;
  _Atomic size_t large;
  _Atomic size_t shared; /* in both, set apart at a fork; not counted there */
};

#endif /* CAML_HEAP_IN_USE_H */
