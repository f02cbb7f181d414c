# TAP for test scripts, read by automake's driver: source this first, end with
# done_testing.  A script that dies before that prints no plan, which the
# driver reports as an error.  $tmp is an empty directory, removed at exit.

set -u
unset OCAMLPARAM # which may put our runtime into what is to be stock

tests=0 failures=0
mkdir -p "$builddir/test"
tmp=$(mktemp -d "$builddir/test/tmp.XXXXXX") || exit 1
clean_up() {
  chmod -R u+w "$tmp"
  rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# For OCAMLRUNPARAM, where the debug runtime can verify the heap: 5.3's,
# stock's too, fails an assertion when it does so after a compaction of
# garbage.
case ${OCAML_VERSION-} in
  5.[123].*) VERIFY= ;;
  *) VERIFY=V=1 ;;
esac

# Prints its input, or $*, as comments.
diag() {
  if test $# -gt 0; then printf '%s\n' "$*"; else cat; fi | sed 's/^/# /'
}

# ok NAME
ok() {
  tests=$((tests + 1))
  echo "ok $tests - $1"
}

# not_ok NAME [DIAGNOSTICS]
not_ok() {
  tests=$((tests + 1)) failures=$((failures + 1))
  echo "not ok $tests - $1"
  shift
  test $# = 0 || diag "$*"
}

# skip NAME REASON
skip() {
  tests=$((tests + 1))
  echo "ok $tests - $1 # SKIP $2"
}

# check NAME COMMAND...: is the command's status 0?
check() {
  if (shift && "$@") > "$tmp/check.log" 2>&1 < /dev/null; then
    ok "$1"
  else
    not_ok "$1"
    tail -n 50 "$tmp/check.log" | diag
  fi
}

# The value of the kernel's setting $1, also where it is "always [madvise]
# never"
setting() {
  sed 's/.*\[\(.*\)\].*/\1/' "$1"
}

# Why the setting $1 of the machine cannot be changed, as root on a machine
# that is for tests; nothing if it can.
machine_says_no() {
  if test -z "$CHECK_MACHINE"; then
    echo "changes the machine's settings: run make check CHECK_MACHINE=yes as root"
  elif ! (value=$(setting "$1") && echo "$value" > "$1") 2> /dev/null; then
    echo "$1 cannot be written"
  fi
}

# Why no Debian can be made here; nothing if it can
debian_says_no() {
  if test "$(id -u)" != 0; then
    echo "makes a Debian 13: run it as root"
  elif ! command -v debootstrap > /dev/null; then
    echo "there is no debootstrap here (Debian: apt-get install debootstrap)"
  fi
}

# offline COMMAND...: where there is no network
offline() {
  if test "$(id -u)" = 0; then
    unshare --net "$@"
  else
    unshare --map-current-user --net "$@"
  fi
}

# Why it cannot be had; nothing if it can
network_stays() {
  offline true > "$tmp/offline" 2>&1 ||
    echo "no name space without a network: $(head -n 1 "$tmp/offline")"
}

# The value of configure's output variable $1
configured() {
  echo "@$1@" | (cd "$builddir" && ./config.status --file=- 2>/dev/null)
}

# Prints where the tree of OCaml's source is: that which was configured, or else
# the one that is fetched, which there is for the version of a series only.
ocaml_source() (
  given=$(configured OCAML_SOURCE)
  if test -z "$given"; then
    "$srcdir/build-aux/fetch" "ocaml-$OCAML_VERSION"
  elif test -d "$given"; then
    echo "$given"
  else
    test -d "$tmp/ocaml-source" ||
      "$srcdir/build-aux/copy-source" "$given" "$tmp/ocaml-source" || return
    echo "$tmp/ocaml-source"
  fi
)

# What a C program with the runtime in it is linked with
c_libraries() {
  echo "-lm -lpthread -ldl"
  case $($OCAMLOPT -config) in *-lzstd*) echo "-lzstd" ;; esac
}

# Makes $source, a copy of the sources to configure in another directory: those
# in $srcdir cannot be, once a build was configured in there.
copy_source() {
  source=$tmp/source
  export source
  $MAKE -s -C "$builddir" distdir distdir="$source" GENERATED= > "$tmp/distdir.log" 2>&1 ||
    { diag < "$tmp/distdir.log"; exit 1; }
}

# The plan, and the script's status
done_testing() {
  echo "1..$tests"
  test $failures = 0
}
