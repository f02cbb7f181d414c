# RJ_OCAML_CONFIG(NAME)
# ---------------------
# What `ocamlopt -config' says of NAME; nothing if it does not know it.
m4_define([RJ_OCAML_CONFIG],
  [AS_ECHO(["$rj_config"]) | $SED -n 's/^$1: *//p'])

# RJ_OCAMLRUN
# -----------
# Finds out how a bytecode program starts its runtime, from one that ocamlc
# makes.  Sets OCAMLC, OCAML_BINDIR, the directory where it looks for ocamlrun,
# and OCAMLRUN_ID, what follows the name: empty, or -ID since 5.5.  The
# conditional CAMLHEADERS is true where each runtime has a header of its own,
# before 5.2.
AC_DEFUN([RJ_OCAMLRUN], [
AC_MSG_CHECKING([for the ocamlrun of bytecode programs])
rj_ocamlc=`AS_ECHO(["$OCAMLOPT"]) | $SED 's/opt\(\.opt\)\{0,1\}$/c/'`
AS_ECHO(['let () = ()']) > conftest.ml
AS_IF([$rj_ocamlc conftest.ml -o conftest.byte >&AS_MESSAGE_LOG_FD 2>&1], [],
  [AC_MSG_ERROR([$rj_ocamlc, beside $OCAMLOPT, compiles no bytecode: $rj_advice])])
rj_ocamlrun=`tr '\000' '\n' < conftest.byte |
  LC_ALL=C $SED -n ['s|^[^/]*\(/[^"]*/\)\{0,1\}\(ocamlrun\(-[0-9a-v]\{4\}\)\{0,1\}\).*|\1\2|p'] |
  $SED 1q`
rm -f conftest.*
AS_CASE([$rj_ocamlrun],
  [/*], [],
  [?*], [# Looked for beside the program and in $PATH
    set dummy $rj_ocamlc
    rj_ocamlrun=`AS_DIRNAME(["\`command -v "$[2]"\`"])`/$rj_ocamlrun],
  [AC_MSG_ERROR([a program of $rj_ocamlc does not say what ocamlrun it needs: $rj_advice])])
AC_MSG_RESULT([$rj_ocamlrun])
OCAML_BINDIR=`AS_DIRNAME(["$rj_ocamlrun"])`
OCAMLRUN_ID=${rj_ocamlrun#"$OCAML_BINDIR/ocamlrun"}
AM_CONDITIONAL([CAMLHEADERS], [test -f "$OCAML_STDLIB/camlheader"])
OCAMLC=$rj_ocamlc
OCAMLMKLIB=`AS_ECHO(["$OCAMLOPT"]) | $SED 's/opt\(\.opt\)\{0,1\}$/mklib/'`
AC_SUBST([OCAMLC])
AC_SUBST([OCAMLMKLIB])
AC_SUBST([OCAML_BINDIR])
AC_SUBST([OCAMLRUN_ID])
])

# RJ_OCAML
# --------
# Finds the installed OCaml that the variant is for.  Sets OCAMLOPT,
# OCAML_VERSION, OCAML_STDLIB, what RJ_OCAMLRUN does, OCAML_VARIANT_LIBDIR and
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

RJ_OCAMLRUN

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
