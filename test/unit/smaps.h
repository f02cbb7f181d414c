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

/* What the kernel says of this process's memory.  Sizes in bytes. */

#ifndef SMAPS_H
#define SMAPS_H

#include <stdbool.h>
#include <stddef.h>

/* The resident set of the process. */
size_t smaps_rss(void);

/* The address space of the process. */
size_t smaps_size(void);

/* Is the page at [address] mapped? */
bool smaps_is_mapped(const void* address);

/* How many of the [size] bytes from [address] are in pages that are there: a
   whole page for each that they touch. */
size_t smaps_resident(const void* address, size_t size);

/* Has the kernel MADV_POPULATE_WRITE, as since Linux 5.14? */
bool smaps_can_populate(void);

/* The value of field [name], such as "LazyFree:", of the mapping that holds
   [address]. */
size_t smaps_field(const void* address, const char* name);

/* Is [flag], of two letters, among the VmFlags of the mapping that holds
   [address]? */
bool smaps_has_flag(const void* address, const char* flag);

/* How many mappings there are in the [size] bytes from [address]. */
size_t smaps_mappings(const void* address, size_t size);

/* Does smaps name the mapping that holds [address]?  [name] without the
   kernel's brackets. */
bool smaps_has_name(const void* address, const char* name);

#endif
