"""The machine and the versions that the report names."""

import os
import platform
import shutil
import subprocess

THP = "/sys/kernel/mm/transparent_hugepage/enabled"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def ocaml_version(ocamlopt):
    return output(ocamlopt, "-version")


def ocaml4():
    """ocamlopt of the distribution's OCaml 4, in BENCH_OCAML4 or the PATH; None if
    there is none."""
    path = os.environ.get("BENCH_OCAML4") or shutil.which("ocamlopt")
    if path and ocaml_version(path).startswith("4."):
        return path
    return None


def _first(path, prefix):
    with open(path) as f:
        for line in f:
            if line.startswith(prefix):
                return line.split(":", 1)[1].strip()
    return "?"


def commit(source):
    """Of the runtime in [source], and whether it was changed since"""
    git = ["git", "-C", source]
    changed = subprocess.run(git + ["diff", "--quiet", "HEAD", "--", "runtime-jemalloc",
                                    "patches"], check=False).returncode != 0
    return output(*git, "log", "-1", "--format=%h") + (", changed" if changed else "")


def cpu():
    return f"{os.cpu_count()} × {_first('/proc/cpuinfo', 'model name')}"


def describe(ocamlopt, build, other):
    with open(THP) as f:
        thp = f.read().split("[")[1].split("]")[0]
    described = {
        "cpu": cpu(),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "huge pages": thp,
        "OCaml": ocaml_version(ocamlopt),
        "runtime-jemalloc": output(
            os.path.join(build, "bin", "runtime-jemalloc"), "version"),
    }
    if other:
        described["OCaml 4"] = ocaml_version(other)
    return described
