# Where the memory of the major heap comes from.  Included by OCaml's Makefile;
# JEMALLOC is set by configure --with-jemalloc: none, private, system or DIR.

JEMALLOC ?= none

ifeq "$(JEMALLOC)" "none"

# Another implementation of caml/heap_source.h may take the place of the system's
HEAP_SOURCE ?= heap_source_system
heap_source_C_SOURCES = $(HEAP_SOURCE)
heap_sizeclasses = caml/sizeclasses.h

else

heap_source_C_SOURCES = \
  jemalloc_advice jemalloc_arena jemalloc_background jemalloc_budget \
  jemalloc_cache jemalloc_cache_policy jemalloc_container \
  jemalloc_extents jemalloc_frames jemalloc_huge jemalloc_limits jemalloc_mutex \
  jemalloc_pools jemalloc_pressure jemalloc_process jemalloc_thread \
  heap_knobs heap_quarantine heap_share heap_share_pages \
  heap_source_jemalloc heap_survey heap_sweep \
  heap_ahead_policy heap_compaction heap_cycle heap_finalise heap_idle \
  heap_idle_collect heap_idle_policy heap_leftovers heap_limit heap_memory \
  heap_memory_policy heap_overhead heap_pressure \
  heap_pressure_policy heap_relief heap_sharing \
  heap_control heap_map heap_statistics heap_tweaks \
  heap_lifecycle
heap_sizeclasses = jemalloc_sizeclasses.h
heap_config = \#define CAML_HEAP_JEMALLOC

runtime_BUILT_HEADERS += runtime/jemalloc.h

# Of a jemalloc that is installed only what the runtime calls is taken; its
# C++ operators, for one, stay out.
ifeq "$(JEMALLOC)" "private"
jemalloc_LDFLAGS = --whole-archive

# For which page it is built
jemalloc_page = && sed -n 's/^\#define LG_PAGE /\#define CAML_JEMALLOC_LG_PAGE /p' \
  jemalloc/include/jemalloc/internal/jemalloc_internal_defs.h

# jemalloc starts when the runtime first calls it, and not before main: it does
# not bear a second attempt after one that failed.
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)
jemalloc_without_constructor = && $(OBJCOPY) --remove-section=.init_array \
  --remove-section=.rel.init_array --remove-section=.rela.init_array $@.tmp
else
jemalloc_LDFLAGS = \
  $(addprefix --undefined=,mallocx xallocx sdallocx nallocx mallctl mallctlnametomib \
    mallctlbymib malloc_stats_print)
endif

# Prints the header or one of the archives of the jemalloc in use.
find_jemalloc = \
  $(shell CC="$(CC)" build-aux/find-jemalloc "$(JEMALLOC)" "$(1)")

ifeq "$(JEMALLOC)" "private"

jemalloc/Makefile: jemalloc/configure build-aux/configure-jemalloc
	CC="$(CC)" build-aux/configure-jemalloc jemalloc

jemalloc/include/jemalloc/jemalloc.h: jemalloc/Makefile

# make CFLAGS=... is for OCaml: jemalloc needs the flags of its own configure.
jemalloc/lib/libjemalloc.$(A) jemalloc/lib/libjemalloc_pic.$(A) &: \
  jemalloc/Makefile
	MAKEFLAGS="$${MAKEFLAGS%% -- *}" \
	  $(MAKE) $(if $(filter 1,$(V)),,-s) -C jemalloc build_lib_static

endif

# Whatever prefix a jemalloc was built with, its header lets us call it je_.
runtime/jemalloc.h: $(call find_jemalloc,header) runtime/heap_source.mk
	$(V_GEN)(echo '#define JEMALLOC_NO_DEMANGLE' && \
	echo '#include "$(abspath $<)"' $(jemalloc_page)) > $@.tmp && mv $@.tmp $@

# All of jemalloc is one object in the runtime's archives, so that no link
# flag is needed: the runtime is the last archive that a link searches.
runtime/jemalloc.$(O): $(call find_jemalloc,archive)
runtime/jemalloc_pic.$(O): $(call find_jemalloc,archive_pic)
runtime/jemalloc.$(O) runtime/jemalloc_pic.$(O):
	$(V_GEN)$(PACKLD)$@.tmp $(jemalloc_LDFLAGS) $< \
	  $(jemalloc_without_constructor) && mv $@.tmp $@
runtime/jemalloc.$(O) runtime/jemalloc_pic.$(O): runtime/heap_source.mk

$(addprefix runtime/,$(addsuffix .$(A),libcamlrun libcamlrund libcamlruni \
    libcamlrun_non_shared libasmrun libasmrund libasmruni)): \
  runtime/jemalloc.$(O)
$(addprefix runtime/,libcamlrun_pic.$(A) libcamlrun_shared.$(SO) \
    libasmrun_pic.$(A) libasmrun_shared.$(SO)): \
  runtime/jemalloc_pic.$(O)

endif

runtime_BUILT_HEADERS += runtime/heap_sizeclasses.h runtime/caml/heap_config.h

# OCaml's sizeclasses.h may not be included twice.
runtime/heap_sizeclasses.h: Makefile.build_config
	$(V_GEN)printf '%s\n' '#ifndef CAML_HEAP_SIZECLASSES_H' \
	  '#define CAML_HEAP_SIZECLASSES_H' '#include "$(heap_sizeclasses)"' \
	  '#endif' > $@

# What OCaml's files see of the heap is inline where it is not jemalloc's.
runtime/caml/heap_config.h: Makefile.build_config
	$(V_GEN)echo '$(heap_config)' > $@

# To clean up, OCaml's Makefile does without what configure said.
clean::
	rm -f runtime/jemalloc.h runtime/jemalloc*.tmp \
	  runtime/heap_sizeclasses.h runtime/caml/heap_config.h

.PHONY: distclean-jemalloc
distclean: distclean-jemalloc
distclean-jemalloc:
	if test -f jemalloc/Makefile; then $(MAKE) -C jemalloc distclean; fi
