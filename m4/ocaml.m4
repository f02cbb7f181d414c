# RJ_MAKE_NAME(OPTION, VALUE, [CHARACTERS])
# -----------------------------------------
# Refuses the VALUE of --with-OPTION that the Makefile would not have as it is:
# with a quote, one of these CHARACTERS, or what make takes for something else.
m4_define([RJ_MAKE_NAME], [
rj_newline='
'
AS_CASE([$2], [*[[\'\$\#\\$3$rj_newline]]*],
  [AC_MSG_ERROR([--with-$1: make takes no such name; give one without any of: m4_ifval([$3], [space " ` ; & | ( ) < > * ? ])' \$ @%:@ \\ newline])])
])

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

# RJ_DIRECTORY(OPTION, VARIABLE, DEFAULT, HELP)
# ---------------------------------------------
# The option --with-OPTION=DIR, which sets VARIABLE to an absolute directory.
m4_define([RJ_DIRECTORY], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [$4])],
  [RJ_MAKE_NAME([$1], [$withval], [\ \	\"\`\;\&\|\(\)\<\>\*\?])
   AS_CASE([$withval], [/*], [],
    [AC_MSG_ERROR([--with-$1=$withval: give an absolute directory])])],
  [withval=$3])
$2=$withval
AC_SUBST([$2])
])

# RJ_FINDLIB
# ----------
# Sets rj_findlib to the directory where that OCaml's findlib installs
# packages, nothing if it has no findlib: of ocamlfind, if it is for the same
# standard library, or of a findlib.conf beside that.
AC_DEFUN([RJ_FINDLIB], [
AC_MSG_CHECKING([for findlib's directory])
rj_findlib=
for rj_ocamlfind in "${OCAMLOPT% ocamlopt}" "`AS_DIRNAME(["$OCAMLOPT"])`/ocamlfind" ocamlfind; do
  AS_CASE([$rj_ocamlfind], [*ocamlfind], [], [continue])
  rj_stdlib=`$rj_ocamlfind printconf stdlib 2>/dev/null` || continue
  AS_IF([test -n "$rj_stdlib" && test "$rj_stdlib" -ef "$OCAML_STDLIB"],
    [rj_findlib=`$rj_ocamlfind printconf destdir`; break])
done
AS_IF([test -z "$rj_findlib" && test -f "$OCAML_STDLIB/../findlib.conf"],
  [rj_findlib=`$SED -n 's/^destdir *= *"\(.*\)"/\1/p' "$OCAML_STDLIB/../findlib.conf"`])
AC_MSG_RESULT([${rj_findlib:-none}])
])

# RJ_DIRECTORIES
# --------------
# Where `make install' puts what the compiler and its programs look for,
# whatever the prefix is.  Sets FINDLIB_DIR, VARIANT_DIR, STUBLIBS_DIR and
# OCAMLRUN_DIR; and for the package's META and the tool LINK_FLAGS,
# BYTE_LINK_FLAGS, META_LINK_FLAGS, META_BYTE_LINK_FLAGS and OCAMLPARAM_VALUE.
AC_DEFUN([RJ_DIRECTORIES], [
RJ_FINDLIB
RJ_DIRECTORY([findlib-dir], [FINDLIB_DIR], ["${rj_findlib:-$OCAML_STDLIB}"],
  [where findlib looks for packages; ours goes to DIR/runtime-jemalloc
   (default: what `ocamlfind printconf destdir' or findlib.conf says, the
   standard library where there is no findlib)])
# A compiler without findlib is told no directory: it has to find them itself.
AS_IF([test "$FINDLIB_DIR" -ef "$OCAML_STDLIB"],
  [rj_variant=$OCAML_STDLIB], [rj_variant=$FINDLIB_DIR/runtime-jemalloc])
RJ_DIRECTORY([variant-dir], [VARIANT_DIR], [$rj_variant],
  [for the archives of the variant (default: the package's directory; the
   standard library, if that is findlib's directory too)])
RJ_DIRECTORY([stublibs-dir], [STUBLIBS_DIR], [$FINDLIB_DIR/stublibs],
  [for the C part of the library in bytecode (default: stublibs in findlib's
   directory)])
RJ_DIRECTORY([ocamlrun-dir], [OCAMLRUN_DIR], [$OCAML_BINDIR],
  [for ocamlrun_jemalloc (default: where bytecode programs of that compiler
   look for ocamlrun)])

LINK_FLAGS='-runtime-variant _jemalloc' OCAMLPARAM_VALUE='_,runtime-variant=_jemalloc'
META_LINK_FLAGS=$LINK_FLAGS
AS_IF([test "$VARIANT_DIR" != "$OCAML_STDLIB"],
  [LINK_FLAGS="-I $VARIANT_DIR $LINK_FLAGS"
   OCAMLPARAM_VALUE="_,I=$VARIANT_DIR,runtime-variant=_jemalloc"
   AS_IF([test "$VARIANT_DIR" != "$FINDLIB_DIR/runtime-jemalloc"],
     [META_LINK_FLAGS=$LINK_FLAGS])])
BYTE_LINK_FLAGS=$LINK_FLAGS META_BYTE_LINK_FLAGS=$META_LINK_FLAGS
# The path is in the program: the compiler would write its own directory.
AS_IF([test "$OCAMLRUN_DIR" != "$OCAML_BINDIR"],
  [BYTE_LINK_FLAGS="$LINK_FLAGS -use-runtime $OCAMLRUN_DIR/ocamlrun_jemalloc"
   META_BYTE_LINK_FLAGS="$META_LINK_FLAGS -use-runtime $OCAMLRUN_DIR/ocamlrun_jemalloc"])
AC_SUBST([LINK_FLAGS])
AC_SUBST([BYTE_LINK_FLAGS])
AC_SUBST([META_LINK_FLAGS])
AC_SUBST([META_BYTE_LINK_FLAGS])
AC_SUBST([OCAMLPARAM_VALUE])
])

# RJ_OCAML
# --------
# Finds the installed OCaml that the variant is for.  Sets OCAMLOPT,
# OCAML_VERSION, OCAML_SERIES, the version whose patches are for it,
# OCAML_STDLIB, OCAML_CONFIG, a sum of all that it says of itself, and what
# RJ_OCAMLRUN and RJ_DIRECTORIES do.
AC_DEFUN([RJ_OCAML], [
AC_ARG_WITH([ocaml],
  [AS_HELP_STRING([--with-ocaml=PATH],
    [the OCaml that the variant is for: the prefix it was installed under, or
     its ocamlfind or ocamlopt (default: ocamlopt of $PATH)])],
  [RJ_MAKE_NAME([ocaml], [$withval])], [with_ocaml=])
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
OCAML_CONFIG=`AS_ECHO(["$rj_config"]) | cksum`
AC_MSG_RESULT([$OCAML_VERSION, $OCAMLOPT])

rj_supported=`cd "$srcdir/patches" && echo [[0-9]]*`
OCAML_SERIES=`"$srcdir/build-aux/check-patches" --nearest "$OCAML_VERSION"` ||
  AC_MSG_ERROR([OCaml $OCAML_VERSION is not supported, only $rj_supported and releases near them: $rj_advice])
AS_IF([test "`RJ_OCAML_CONFIG([native_compiler])`" = true], [],
  [AC_MSG_ERROR([$OCAMLOPT has no native compiler: $rj_advice])])

RJ_OCAMLRUN
RJ_DIRECTORIES

AC_SUBST([OCAMLOPT])
AC_SUBST([OCAML_CONFIG])
AC_SUBST([OCAML_VERSION])
AC_SUBST([OCAML_SERIES])
AC_SUBST([OCAML_STDLIB])
])

# RJ_SOURCE(VARIABLE, PATH, FILE, COMMAND)
# ----------------------------------------
# Sets VARIABLE to the absolute name of PATH, a source tree or a tarball of one,
# and rj_version to the first line that COMMAND makes of the tree's FILE.  In
# Debian's package ocaml-source a tarball has upstream's in it.
m4_define([RJ_SOURCE], [
$1=`cd "\`AS_DIRNAME(["$2"])\`" 2>/dev/null && pwd`/`AS_BASENAME(["$2"])`
AS_IF([test -d "$$1"],
  [rj_version=`$4 2>/dev/null < "$$1/$3" | $SED 1q`],
  [test -f "$$1"],
  [rj_tar="tar --wildcards --no-wildcards-match-slash"
   AS_IF([$rj_tar --version >/dev/null 2>&1], [],
     [AC_MSG_ERROR([GNU tar is missing, which unpacks $2: install it (package tar), or give a directory])])
   rj_version=`$rj_tar -xOf "$$1" '*/$3' 2>/dev/null | $4 | $SED 1q`
   AS_IF([test -n "$rj_version"], [],
     [rj_version=`$rj_tar -xOf "$$1" '*/*.orig.tar.*' > conftest.tar 2>/dev/null &&
        $rj_tar -xOf conftest.tar '*/$3' 2>/dev/null | $4 | $SED 1q`
      rm -f conftest.tar])],
  [AC_MSG_ERROR([there is no $2: give a directory or a tarball])])
])

# RJ_SOURCES
# ----------
# Says at once what `make' would fail for: sources that nobody gave and that
# cannot be fetched, patches that do not apply, a configure that cannot be made.
AC_DEFUN([RJ_SOURCES], [
AC_REQUIRE([RJ_OCAML_SOURCE])
AC_REQUIRE([RJ_JEMALLOC_SOURCE])
AS_IF([test -n "$OCAML_SOURCE"], [],
  [AS_IF(["$srcdir/build-aux/fetch" --list | grep -qxF "ocaml-$OCAML_VERSION"], [],
    [AC_MSG_ERROR([the source of OCaml $OCAML_VERSION cannot be fetched: give it with --with-ocaml-source=PATH])])])
AS_IF([test "$OCAML_SERIES" = "$OCAML_VERSION" || test ! -d "$OCAML_SOURCE"], [],
  [AC_MSG_CHECKING([whether the patches of $OCAML_SERIES apply])
   AS_IF([rj_hunks=`"$srcdir/build-aux/check-patches" "$OCAML_SOURCE" "$OCAML_SERIES"`], [],
     [AC_MSG_RESULT([no])
      AS_ECHO(["$rj_hunks"]) >&AS_MESSAGE_FD
      AC_MSG_ERROR([the patches of $OCAML_SERIES, the nearest, do not apply to OCaml $OCAML_VERSION: doc/porting.md says how to make some that do])])
   AC_MSG_RESULT([yes])])
AS_IF([rj_error=`"$srcdir/build-aux/ocaml-configure" --check "$OCAML_SERIES" "$OCAML_SOURCE" 2>&1`], [],
  [AC_MSG_ERROR([$rj_error])])
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
  [RJ_MAKE_NAME([ocaml-source], [$withval])], [with_ocaml_source=])
OCAML_SOURCE=
AS_CASE([$with_ocaml_source],
  [''|yes], [],
  [no], [AC_MSG_ERROR([--without-ocaml-source: the runtime is built from it])],
  [AC_MSG_CHECKING([the source of OCaml])
   RJ_SOURCE([OCAML_SOURCE], [$with_ocaml_source], [VERSION], [cat])
   AS_IF([test "$rj_version" = "$OCAML_VERSION"], [],
     [AC_MSG_ERROR([$with_ocaml_source is OCaml ${rj_version:-of an unknown version}, $OCAMLOPT is $OCAML_VERSION: give the source of that version, or none])])
   AC_MSG_RESULT([$OCAML_SOURCE])])
AC_SUBST([OCAML_SOURCE])
])
