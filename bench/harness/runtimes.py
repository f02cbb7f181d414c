"""The runtimes that are compared, and programs compiled for them."""

import os
import shutil
import subprocess

# Links that differ in where the code lies: by so many functions
LAYOUTS = (0, 1, 5, 11)


class Runtime:
    """A way to compile a program, and the OCAMLRUNPARAM that it runs with."""

    def __init__(self, name, ocamlopt, flags=(), knobs="", runtime=None):
        self.name = name
        self.ocamlopt = ocamlopt
        self.flags = list(flags)
        self.knobs = knobs
        # what shares one executable
        self.key = runtime or name

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k != "OCAMLRUNPARAM"}
        if self.knobs:
            env["OCAMLRUNPARAM"] = self.knobs
        return env

    @property
    def ocamlc(self):
        return os.path.join(os.path.dirname(self.ocamlopt), "ocamlc")

    @property
    def slug(self):
        """For the name of a directory"""
        return "".join(c if c.isalnum() else "_" for c in self.key)

    @property
    def is_ocaml4(self):
        return self.name == "OCaml 4"


# Other implementations of caml/heap_source.h, in bench/sources: what their
# programs link with
SOURCES = {
    "pool_release": [],
    "pool_release_cycle": [],
    "mimalloc": ["-cclib", "-lmimalloc"],
}


def find(build, ocamlopt, sources, ocaml4):
    """All runtimes, stock first.  [sources]: the directories of the variants on
    other sources, by name.  [ocaml4]: its ocamlopt, or None."""
    ours = ["-I", os.path.join(build, "variant"), "-runtime-variant", "_jemalloc"]
    runtimes = [
        Runtime("stock", ocamlopt),
        Runtime("ours", ocamlopt, ours),
        Runtime("ours, decay 0", ocamlopt, ours, "Xdirty_decay_ms=0", "ours"),
        Runtime("ours, not automatic", ocamlopt, ours,
                "Xidle_compact_ms=never,Xmax_overhead=never", "ours"),
    ]
    for name, directory in sources.items():
        runtimes.append(Runtime(
            name, ocamlopt,
            ["-I", directory, "-runtime-variant", "_jemalloc"] + SOURCES[name]))
    if ocaml4:
        runtimes.append(Runtime("OCaml 4", ocaml4))
    return runtimes


def with_knobs(runtime, knobs, name=None):
    """The same executables, run with other knobs"""
    return Runtime(name or knobs or "default", runtime.ocamlopt, runtime.flags, knobs,
                   runtime.key)


def build_source(name, source, build, ocamlopt, directory):
    """Builds the variant on bench/sources/heap_source_[name].c from the patched
    tree of [build] into [directory]; once."""
    if os.path.exists(os.path.join(directory, "libasmrun_jemalloc.a")):
        return directory
    tree = os.path.join(directory, "tree")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(os.path.join(build, "tree"), tree, symlinks=True)
    # the object files are of another configuration
    subprocess.run(["make", "-s", "-C", tree, "distclean"], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.copy(os.path.join(source, "bench", "sources", f"heap_source_{name}.c"),
                os.path.join(tree, "runtime"))
    libraries = " ".join(f for f in SOURCES[name] if f.startswith("-l"))
    with open(os.path.join(tree, "runtime", "heap_source.mk"), "a") as makefile:
        makefile.write(f"BYTECCLIBS += {libraries}\n")  # bytecode interpreters
    with open(os.path.join(directory, "log"), "w") as log:
        subprocess.run(
            [os.path.join(source, "build-aux", "build-variant"),
             ocamlopt, "none", tree, directory],
            check=True, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "HEAP_SOURCE": f"heap_source_{name}"})
    return directory


def build_sources(source, build, ocamlopt):
    """The directories of all that can be built here, by name"""
    found = {}
    for name in SOURCES:
        if name == "mimalloc" and not os.path.exists("/usr/include/mimalloc.h"):
            print("bench: not measured, since libmimalloc-dev is missing: mimalloc")
        else:
            found[name] = build_source(name, source, build, ocamlopt,
                                       os.path.join(build, "bench", name))
    return found


def pad(directory, layout):
    """A module whose code comes before the program's."""
    path = os.path.join(directory, f"pad{layout}.ml")
    os.makedirs(directory, exist_ok=True)
    with open(path, "w") as f:
        for i in range(layout):
            f.write(f"let f{i} x = Sys.opaque_identity (x * {i} + 7)\n")
    return path


class Compiled:
    """The executables of one program: for each runtime, and each layout.  With
    [libraries] of OCaml's, and C that is in files [beside] it."""

    def __init__(self, source, directory, libraries=("unix",), beside=()):
        self.source = source
        self.directory = directory
        self.libraries = libraries
        self.beside = beside
        self.name = os.path.splitext(os.path.basename(source))[0]

    def executable(self, runtime, layout=0, bytecode=False):
        kind = "byte" if bytecode else "native"
        directory = os.path.join(self.directory, f"{runtime.slug}.{kind}.{layout}")
        exe = os.path.join(directory, self.name)
        if os.path.exists(exe):
            return exe
        os.makedirs(directory, exist_ok=True)
        pad_module = shutil.copy(pad(self.directory, layout), directory)
        sources = [shutil.copy(f, directory) for f in (*self.beside, self.source)]
        suffix, compiler = ("cma", runtime.ocamlc) if bytecode else (
            "cmxa", runtime.ocamlopt)
        command = [compiler] + runtime.flags
        for library in self.libraries:
            command += [] if runtime.is_ocaml4 else ["-I", f"+{library}"]
            command.append(f"{library}.{suffix}")
        command += ["-custom"] if bytecode else ["-O3"]
        result = subprocess.run(
            command + [pad_module, *sources, "-o", exe], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            raise SystemExit(f"bench: {' '.join(command)}: {result.stdout}")
        return exe
