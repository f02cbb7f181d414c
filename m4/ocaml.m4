# RJ_OCAML_CONFIG(NAME)
# ---------------------
# What `ocamlopt -config' says of NAME; nothing if it does not know it.
m4_define([RJ_OCAML_CONFIG],
  [AS_ECHO(["$rj_config"]) | $SED -n 's/^$1: *//p'])

# RJ_OCAML
# --------
# Finds the installed OCaml that the variant is for.  Sets OCAMLOPT,
# OCAML_VERSION, OCAML_STDLIB, OCAML_BINDIR, OCAML_VARIANT_LIBDIR and
# OCAML_VARIANT_BINDIR; the last two are where `make install' puts things.
AC_DEFUN([RJ_OCAML], [
AC_ARG_WITH([ocaml],
  [AS_HELP_STRING([--with-ocaml=PATH],
    [the OCaml that the variant is for: the prefix it was installed under, or
     its ocamlfind or ocamlopt (default: ocamlopt of $PATH)])],
  [], [with_ocaml=])
rj_advice="name one with --with-ocaml=PREFIX, or let ./quickstart build one"
AC_MSG_CHECKING([for OCaml])
AS_CASE([$with_ocaml],
  [''|yes], [rj_ocamlopt=`command -v ocamlopt.opt || command -v ocamlopt`],
  [no], [AC_MSG_ERROR([--without-ocaml: the variant is for an OCaml; $rj_advice])],
  [*ocamlfind], [rj_ocamlopt="$with_ocaml ocamlopt"],
  [AS_IF([test -d "$with_ocaml"],
    [rj_ocamlopt=`cd "$with_ocaml" && pwd`/bin/ocamlopt],
    [rj_ocamlopt=$with_ocaml])])
AS_IF([rj_config=`$rj_ocamlopt -config 2>/dev/null` && test -n "$rj_config"], [],
  [AS_IF([test -n "$with_ocaml"],
    [AC_MSG_ERROR([no OCaml at $with_ocaml: $rj_advice])],
    [AC_MSG_ERROR([no ocamlopt in \$PATH: $rj_advice])])])
OCAMLOPT=$rj_ocamlopt
OCAML_VERSION=`RJ_OCAML_CONFIG([version])`
OCAML_STDLIB=`RJ_OCAML_CONFIG([standard_library])`
AC_MSG_RESULT([$OCAML_VERSION, $OCAMLOPT])

rj_supported=`cd "$srcdir/patches" && echo [[0-9]]*`
AS_IF([test -f "$srcdir/patches/$OCAML_VERSION/series"], [],
  [AC_MSG_ERROR([OCaml $OCAML_VERSION is not supported, only $rj_supported: $rj_advice])])
AS_IF([test "`RJ_OCAML_CONFIG([native_compiler])`" = true], [],
  [AC_MSG_ERROR([$OCAMLOPT has no native compiler: $rj_advice])])

# Where a bytecode program looks for its runtime
OCAML_BINDIR=`$SED -n 2p "$OCAML_STDLIB/runtime-launch-info" 2>/dev/null |
  tr -d '\000'`
AS_IF([test -n "$OCAML_BINDIR"], [],
  [AC_MSG_ERROR([$OCAML_STDLIB/runtime-launch-info does not say where ocamlrun is: $rj_advice])])

# That compiler finds the variant in its own directories.  Under a --prefix it
# has to be told, with -I.
AS_IF([test "$prefix" = NONE],
  [prefix=`AS_DIRNAME(["$OCAML_BINDIR"])`
   OCAML_VARIANT_LIBDIR=$OCAML_STDLIB
   OCAML_VARIANT_BINDIR=$OCAML_BINDIR],
  [OCAML_VARIANT_LIBDIR='${libdir}/ocaml'
   OCAML_VARIANT_BINDIR='${bindir}'])

AC_SUBST([OCAMLOPT])
AC_SUBST([OCAML_VERSION])
AC_SUBST([OCAML_STDLIB])
AC_SUBST([OCAML_BINDIR])
AC_SUBST([OCAML_VARIANT_LIBDIR])
AC_SUBST([OCAML_VARIANT_BINDIR])
])

# RJ_OCAML_SOURCE
# ---------------
# Sets OCAML_SOURCE to the source tree or tarball given, empty if `make' is to
# fetch it.
AC_DEFUN([RJ_OCAML_SOURCE], [
AC_REQUIRE([RJ_OCAML])
AC_ARG_WITH([ocaml-source],
  [AS_HELP_STRING([--with-ocaml-source=PATH],
    [the source of that OCaml, a directory or a tarball (default: fetched by
     make)])],
  [], [with_ocaml_source=])
OCAML_SOURCE=
AS_CASE([$with_ocaml_source],
  [''|yes], [],
  [no], [AC_MSG_ERROR([--without-ocaml-source: the runtime is built from it])],
  [AC_MSG_CHECKING([the source of OCaml])
   OCAML_SOURCE=`cd "\`AS_DIRNAME(["$with_ocaml_source"])\`" 2>/dev/null && pwd`/`AS_BASENAME(["$with_ocaml_source"])`
   AS_IF([test -d "$OCAML_SOURCE"],
     [rj_version=`$SED 1q "$OCAML_SOURCE/VERSION" 2>/dev/null`],
     [test -f "$OCAML_SOURCE"],
     [rj_version=`tar -xOf "$OCAML_SOURCE" --wildcards --no-wildcards-match-slash '*/VERSION' 2>/dev/null | $SED 1q`],
     [AC_MSG_ERROR([there is no $with_ocaml_source: give a directory or a tarball])])
   AS_IF([test "$rj_version" = "$OCAML_VERSION"], [],
     [AC_MSG_ERROR([$with_ocaml_source is OCaml ${rj_version:-of an unknown version}, $OCAMLOPT is $OCAML_VERSION: give the source of that version, or none])])
   AC_MSG_RESULT([$OCAML_SOURCE])])
AC_SUBST([OCAML_SOURCE])
])
