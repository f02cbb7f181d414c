# RJ_JEMALLOC
# -----------
# Sets JEMALLOC to private, system or the prefix of a jemalloc.
AC_DEFUN([RJ_JEMALLOC], [
AC_ARG_WITH([jemalloc],
  [AS_HELP_STRING([--with-jemalloc@<:@=private|system|DIR@:>@],
    [the jemalloc under the major heap: one of its own, built from source with
     a prefix to its symbols (private, the default); the static library of the
     system, whose malloc then serves the whole program (system); or the one
     installed under DIR])],
  [RJ_MAKE_NAME([jemalloc], [$withval], [\ \	\"\`\;\&\|\(\)\<\>\*\?])],
  [with_jemalloc=yes])
AC_MSG_CHECKING([for jemalloc])
AS_CASE([$with_jemalloc],
  [''|yes], [JEMALLOC=private],
  [no], [AC_MSG_ERROR([--without-jemalloc: there is nothing to build then; to go without, use OCaml's own runtime])],
  [private|system|/*], [JEMALLOC=$with_jemalloc],
  [JEMALLOC=`cd "$with_jemalloc" 2>/dev/null && pwd`
   AS_IF([test -n "$JEMALLOC"], [],
     [AC_MSG_ERROR([--with-jemalloc=$with_jemalloc: not private, system or a directory])])])
rj_error=`CC="$CC" "$srcdir/build-aux/find-jemalloc" "$JEMALLOC" 2>&1 >/dev/null` ||
  AC_MSG_ERROR([$rj_error])
AC_MSG_RESULT([$JEMALLOC])
AC_SUBST([JEMALLOC])
AM_CONDITIONAL([PRIVATE_JEMALLOC], [test "$JEMALLOC" = private])
])

# RJ_JEMALLOC_SOURCE
# ------------------
# Sets JEMALLOC_SOURCE to the source tree or tarball given, empty if `make' is
# to fetch it or there is no private jemalloc.
AC_DEFUN([RJ_JEMALLOC_SOURCE], [
AC_REQUIRE([RJ_JEMALLOC])
AC_ARG_WITH([jemalloc-source],
  [AS_HELP_STRING([--with-jemalloc-source=PATH],
    [the source of jemalloc 5.3 or later, for --with-jemalloc=private, a
     directory or a tarball (default: 5.3.1, fetched by make)])],
  [RJ_MAKE_NAME([jemalloc-source], [$withval])], [with_jemalloc_source=])
JEMALLOC_SOURCE=
AS_CASE([$with_jemalloc_source],
  [''|yes], [],
  [no], [AC_MSG_ERROR([--without-jemalloc-source: a private jemalloc is built from it])],
  [AS_IF([test "$JEMALLOC" = private], [],
     [AC_MSG_ERROR([--with-jemalloc-source is for --with-jemalloc=private, not $JEMALLOC])])
   AC_MSG_CHECKING([the source of jemalloc])
   RJ_SOURCE([JEMALLOC_SOURCE], [$with_jemalloc_source], [ChangeLog],
     [$SED -n 's/^\* \([[0-9.]]*\) .*/\1/p'])
   AS_CASE([$rj_version],
     [5.[[3-9]]*|5.[[1-9]][[0-9]]*|[[6-9]].*], [],
     [AC_MSG_ERROR([$with_jemalloc_source is jemalloc ${rj_version:-of an unknown version}: 5.3 or later is needed])])
   AC_MSG_RESULT([$rj_version, $JEMALLOC_SOURCE])])
AC_SUBST([JEMALLOC_SOURCE])
])
