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


def find(build, ocamlopt, pool_release, ocaml4):
    """All runtimes, stock first.  [pool_release] is the directory of that variant,
    [ocaml4] its ocamlopt; both may be None."""
    ours = ["-I", os.path.join(build, "variant"), "-runtime-variant", "_jemalloc"]
    runtimes = [
        Runtime("stock", ocamlopt),
        Runtime("ours", ocamlopt, ours),
        Runtime("ours, decay 0", ocamlopt, ours, "Xdirty_decay_ms=0", "ours"),
        Runtime("ours, not automatic", ocamlopt, ours,
                "Xidle_compact_ms=never,Xmax_overhead=never", "ours"),
    ]
    if pool_release:
        runtimes.append(Runtime(
            "pool_release", ocamlopt,
            ["-I", pool_release, "-runtime-variant", "_jemalloc"]))
    if ocaml4:
        runtimes.append(Runtime("OCaml 4", ocaml4))
    return runtimes


def with_knobs(runtime, knobs, name=None):
    """The same executables, run with other knobs"""
    return Runtime(name or knobs or "default", runtime.ocamlopt, runtime.flags, knobs,
                   runtime.key)


def build_pool_release(source, build, ocamlopt, directory):
    """Builds that variant from the patched tree of [build] into [directory]; once."""
    if os.path.exists(os.path.join(directory, "libasmrun_jemalloc.a")):
        return directory
    tree = os.path.join(directory, "tree")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(os.path.join(build, "tree"), tree, symlinks=True)
    # the object files are of another configuration
    subprocess.run(["make", "-s", "-C", tree, "distclean"], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(os.path.join(source, "bench", "pool_release.patch")) as patch:
        subprocess.run(["patch", "-s", "-p1", "-d", tree], stdin=patch, check=True)
    with open(os.path.join(directory, "log"), "w") as log:
        subprocess.run(
            [os.path.join(source, "build-aux", "build-variant"),
             ocamlopt, "none", tree, directory],
            check=True, stdout=log, stderr=subprocess.STDOUT)
    return directory


def pad(directory, layout):
    """A module whose code comes before the program's."""
    path = os.path.join(directory, f"pad{layout}.ml")
    os.makedirs(directory, exist_ok=True)
    with open(path, "w") as f:
        for i in range(layout):
            f.write(f"let f{i} x = Sys.opaque_identity (x * {i} + 7)\n")
    return path


class Compiled:
    """The executables of one program: for each runtime, and each layout."""

    def __init__(self, source, directory):
        self.source = source
        self.directory = directory
        self.name = os.path.splitext(os.path.basename(source))[0]

    def executable(self, runtime, layout=0, bytecode=False):
        kind = "byte" if bytecode else "native"
        directory = os.path.join(self.directory, f"{runtime.slug}.{kind}.{layout}")
        exe = os.path.join(directory, self.name)
        if os.path.exists(exe):
            return exe
        os.makedirs(directory, exist_ok=True)
        pad_module = shutil.copy(pad(self.directory, layout), directory)
        source = shutil.copy(self.source, directory)
        suffix, compiler = ("cma", runtime.ocamlc) if bytecode else (
            "cmxa", runtime.ocamlopt)
        unix = [] if runtime.is_ocaml4 else ["-I", "+unix"]
        command = [compiler] + unix + [f"unix.{suffix}"] + runtime.flags
        command += ["-custom"] if bytecode else ["-O3"]
        result = subprocess.run(
            command + [pad_module, source, "-o", exe], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            raise SystemExit(f"bench: {' '.join(command)}: {result.stdout}")
        return exe
