"""OCaml's own compiler and toplevel as benchmarks."""

import os
import shutil
import subprocess

from . import runtimes


def compiler(context):
    """ocamlopt.opt, linked with each runtime, compiles sources of its own; without
    the assembler.  The interfaces are those of the compiler's library."""
    directory = os.path.join(context.work, "compiler")

    def link(r, layout):
        where = os.path.join(directory, f"{r.slug}.{layout}")
        exe = os.path.join(where, "ocamlopt")
        if os.path.exists(exe):
            return exe
        os.makedirs(where)
        pad = shutil.copy(runtimes.pad(directory, layout), where)
        subprocess.run(
            [r.ocamlopt, "-I", "+compiler-libs"] + r.flags
            + [pad, "ocamlcommon.cmxa", "ocamloptcomp.cmxa", "optmain.cmx", "-o", exe],
            cwd=where, check=True, stderr=subprocess.DEVNULL)
        return exe

    def command(r, layout, arguments):
        exe = link(r, layout)
        # not where it runs: it would find the interfaces that it has compiled
        beside = os.path.join(os.path.dirname(exe), "sources")
        os.makedirs(beside, exist_ok=True)
        sources = [shutil.copy(os.path.join(context.build, "tree", a), beside)
                   for a in arguments[1:]]
        return [exe, "-I", "+compiler-libs", "-w", "-a", "-stop-after", "scheduling",
                "-c"] + sources

    return command


def toplevel(context):
    """The toplevel, on each bytecode runtime, loads a script."""
    generator = context.compiled("genscript")

    def runtime(r):
        bin_directory = os.path.dirname(r.ocamlopt)
        if r.flags:
            return os.path.join(r.flags[1], "ocamlrun_jemalloc")
        return os.path.join(bin_directory, "ocamlrun")

    def command(r, layout, arguments):
        script = os.path.join(context.work, f"script{'_'.join(arguments)}.ml")
        if not os.path.exists(script):
            with open(script, "w") as f:
                subprocess.run(
                    [generator.executable(context.runtimes[0])] + arguments,
                    stdout=f, check=True)
        return [runtime(r), os.path.join(os.path.dirname(r.ocamlopt), "ocaml"), script]

    return command
