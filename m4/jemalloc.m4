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
  [], [with_jemalloc=yes])
AC_MSG_CHECKING([for jemalloc])
AS_CASE([$with_jemalloc],
  [yes], [JEMALLOC=private],
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
