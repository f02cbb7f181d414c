"""What is run: each group of the report, at full and at quick size.

SEED is the first argument of every program."""

from collections import namedtuple

SEED = "42"

# More memory than any of them takes, at full and at quick size
MIB, QUICK_MIB = 6144, 1024

# runtime-jemalloc/arena/jemalloc_*.c, of which micro.c and scale.c make an arena
ARENA = ("advice", "arena", "budget", "cache", "cache_policy", "extents", "frames",
         "huge", "limits", "mutex", "pools")

# [arguments] and [quick] come after the seed.  [ocaml4]: OCaml 4 can compile it.
Program = namedtuple("Program", "label source arguments quick ocaml4")


def program(label, source, arguments, quick, ocaml4=True):
    return Program(label, source, arguments.split(), quick.split(), ocaml4)


GROWTH = [
    program("small blocks, 1 GiB", "growth", "1024 small", "256 small"),
    program("small blocks, 4 GiB", "growth", "4096 small", "512 small"),
    program("around the limit of pools", "growth", "1024 boundary", "256 boundary"),
    program("large arrays", "growth", "1024 large", "256 large"),
]

CHURN = [
    program("binary trees", "trees", "50 120", "50 40"),
    program("symbolic normaliser", "normaliser", "150 10", "50 6"),
    program("persistent maps", "maps", "200 6", "50 6"),
    program("string builder", "strings", "300 4", "50 12"),
    program("parser", "parse", "500 5 FILE", "100 5 FILE"),
    program("arrays, 600 to 2,000 words", "arrays", "200 600 2000 400000",
            "50 600 2000 100000"),
    program("arrays, 2,000 to 60,000 words", "arrays", "200 2000 60000 60000",
            "50 2000 60000 15000"),
]

# Of the OCaml sources: what the parser reads, and what the compiler compiles
FILE = "typing/typecore.ml"
COMPILED = ["typing/typecore.ml", "typing/ctype.ml", "typing/typemod.ml",
            "typing/typedecl.ml", "typing/typeclass.ml", "typing/includemod.ml",
            "lambda/matching.ml"]

COMPILER = program("ocamlopt.opt, its own sources", "compiler", " ".join(COMPILED),
                   COMPILED[1], ocaml4=False)
TOPLEVEL = program("toplevel, a large script", "genscript", "700", "200")
BYTECODE = program("bytecode interpreter", "bytecode", "20 6", "10 2")

DOMAINS = [
    program("producer and consumer", "domains", "100 40", "50 8", ocaml4=False),
    program("spawn and join", "spawn", "1000", "100", ocaml4=False),
    program("two domains, strings of 16 to 64 KiB", "large", "2 100 2000 8000 800000",
            "2 25 2000 8000 100000", ocaml4=False),
    program("two domains, strings of 20 to 300 KiB", "large", "2 100 2500 37500 400000",
            "2 25 2500 37500 50000", ocaml4=False),
]

CALLS = ("none", "full_major", "compact")
WAITS = ("1", "0")


def workers(call, wait):
    return program(
        f"{call}, {'a second of waiting' if wait != '0' else 'back to back'}",
        "workers", f"2 4 200 {call} {wait}", f"2 2 100 {call} {wait}")


PLOTTED = workers(CALLS[0], WAITS[0]).label  # its memory over time is in the report


PHASES = program("phases", "phases", "1024 15", "256 5")
PHASES_STAY = program("phases, survivors stay", "phases", "1024 15 stay",
                      "256 5 stay")

COMPACTION = [
    program("10% empty", "compact", "2048 10", "256 10"),
    program("50% empty", "compact", "2048 50", "256 50"),
    program("90% empty", "compact", "2048 90", "256 90"),
    program("50% empty, records", "compact", "2048 50 records", "256 50 records"),
]

# About a tenth, a quarter and half of the time in requests, one each 10 ms
SERVER = [
    program(f"a request of {work} entries each 10 ms", "server",
            f"200 10 3000 {work}", f"50 10 500 {work}")
    for work in (400, 1200, 3000)
]

# What each worker does, and how the table calls it
FAMILY = {"none": "nothing", "major": "two major cycles",
          "written": "writes 1% of the state",
          "write": "writes 1% of the state, then two major cycles",
          "promote": "promotes and drops as much, then two major cycles"}
FAMILIES = [program(f"{n} workers: {what}", "family", f"200 {n} {work}",
                    f"50 {n} {work}", ocaml4=False)
            for work, what in FAMILY.items() for n in (4, 16)]
# Of the plot: so many workers
FAMILY_SIZES = (1, 2, 4, 8, 16, 32)


def family(n):
    return program(f"{n} workers, over their number", "family", f"200 {n} major",
                   f"50 {n} major", ocaml4=False)


BREATHE = program("breathe", "breathe", "128 10 0.3", "64 3 0.3")
BLOCKING = program("blocking", "blocking", "8 20000 0.00001", "8 20000 0.00001")

# Why the knobs have their defaults: values beside them
BREATHE_KNOBS = (
    "Xdirty_decay_ms=0", "Xdirty_decay_ms=100", "Xdirty_decay_ms=10000",
    "Xmuzzy_decay_ms=1000", "Xmuzzy_decay_ms=10000", "Xbackground_purge=off",
    "Xidle_compact_ms=never", "Xthp=never", "Xthp=always")
COMPACT_KNOBS = ("Xcompact_purge=lazy,Xmuzzy_decay_ms=1000", "Xcompact_purge=decay",
                 "Xthp=always")
OVERHEADS = ("50", "100", "500", "never")
