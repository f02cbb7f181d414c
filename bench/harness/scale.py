"""What would not scale to more processors than there are here: gets and puts of real
programs, replayed by many domains in simulated time (bench/programs/scale.c)."""

import json
import os
import statistics
import subprocess

from . import programs, runtimes
from .report import table

DOMAINS = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 3  # each with a seed of its own; medians count
TRACED = programs.CHURN + programs.DOMAINS[:1]

# A structure bends where more than this part of those who take it find it held, of a
# program in which this part of gets and puts takes it
HELD = 0.10
TAKEN = 0.01

MUTEXES = ("pthread_mutex_lock", "pthread_mutex_trylock", "pthread_mutex_unlock")
SOURCE = ("caml_heap_pool_alloc", "caml_heap_pool_free", "caml_heap_large_alloc",
          "caml_heap_large_free")


def wrapped(functions):
    return "-Wl," + ",".join(f"--wrap={f}" for f in functions)


class Scale:
    """[arena]: runtime-jemalloc's sources, which may be others than those built."""

    def __init__(self, source, build, ocamlopt, arena=None):
        self.source, self.build, self.ocamlopt = source, build, ocamlopt
        self.arena = arena or os.path.join(source, "runtime-jemalloc")
        self.programs = os.path.join(source, "bench", "programs")
        self.work = os.path.join(build, "bench", "scale")
        os.makedirs(self.work, exist_ok=True)
        self.built = {}

    def program(self, name):
        """bench/programs/[name].c, on the arena"""
        exe = os.path.join(self.work, name)
        if name not in self.built:
            below = lambda d: os.path.join(self.arena, d)
            runtime = os.path.join(self.build, "tree", "runtime")
            subprocess.run(
                ["cc", "-std=gnu11", "-O2", "-o", exe]
                + [os.path.join(self.programs, f"{n}.c") for n in (name, "scale_arena")]
                + [os.path.join(below("arena"), f"jemalloc_{n}.c") for n in programs.ARENA]
                + ["-I", below("arena"), "-I", below("heap"), "-I", runtime,
                   wrapped(MUTEXES + ("clock_gettime",)),
                   os.path.join(runtime, "jemalloc.o"), "-lpthread", "-lm"], check=True)
            self.built[name] = exe
        return exe

    def trace(self, p):
        """What [p] gets and puts, in a file"""
        path = os.path.join(self.work, p.label.replace(" ", "_").replace(",", "")
                            + ".trace")
        if os.path.exists(path):
            return path
        traced = runtimes.Runtime(
            "traced", self.ocamlopt,
            ["-I", os.path.join(self.build, "variant"), "-runtime-variant", "_jemalloc",
             "-ccopt", f"-I'{self.programs}'",
             "-ccopt", f"-I'{os.path.join(self.build, 'tree', 'runtime')}'",
             "-ccopt", wrapped(SOURCE)])
        compiled = runtimes.Compiled(
            os.path.join(self.programs, p.source + ".ml"),
            os.path.join(self.work, p.source),
            beside=(os.path.join(self.programs, "scale_trace.c"),))
        read = os.path.join(self.build, "tree", programs.FILE)
        subprocess.run(
            [compiled.executable(traced), programs.SEED]
            + [read if a == "FILE" else a for a in p.quick],
            env={**traced.environment(), "SCALE_TRACE": path + ".new"}, check=True,
            stdout=subprocess.DEVNULL)
        os.replace(path + ".new", path)
        return path

    def lines(self):
        """ns for a line from one processor to another; what a get and a put take"""
        out = subprocess.run([self.program("scale_lines")], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        rows = [json.loads(line) for line in out.splitlines()]
        return rows[0]["transfer"], rows[1:]

    def replay(self, domains, transfer, traces):
        """Of each round, what happened"""
        command = [self.program("scale"), str(domains)]
        return [json.loads(subprocess.run(
            command + [str(int(programs.SEED) + i), str(transfer)] + traces,
            check=True, stdout=subprocess.PIPE, text=True).stdout)
            for i in range(ROUNDS)]


def median(figure):
    """Of the figures of several rounds; None if they have none as a rule"""
    def of(rounds, *arguments):
        figures = [f for r in rounds if (f := figure(r, *arguments)) is not None]
        return statistics.median(figures) if 2 * len(figures) > len(rounds) else None
    return of


def total(run, what):
    return sum(c[what] for c in run["calls"].values())


@median
def found(run):
    """Of the blocks of up to 1 MiB, in the own shard; None where there are few"""
    hits, misses = (run["calls"][f"get block, {k}"]["n"] for k in ("own shard", "more"))
    return hits / (hits + misses) if hits + misses >= 100 else None


@median
def rate(run):
    """Gets and puts in a ms of a domain's"""
    return 1e6 * total(run, "n") / run["gaps"]


@median
def waited(run):
    return total(run, "waited") / max(1, total(run, "n"))


@median
def throughput(run):
    """Of what it would be if nobody waited"""
    work = run["gaps"] + total(run, "work")
    return work / (work + total(run, "wait"))


@median
def chance(run, lock):
    """That who takes it finds it held; None where few take it"""
    seen = run["locks"].get(lock)
    if seen is None or seen["taken"] < max(TAKEN * total(run, "n"), 100):
        return None
    return seen["found_held"] / seen["taken"]


def percent(part, digits=1):
    return "–" if part is None else f"{100 * part:.{digits}f}%"


def lines_table(rows):
    def locks(row):
        by_name = {}
        for l in row["locks"]:
            if l["taken"] >= 0.05:
                n, ns = by_name.get(l["name"], (0, 0))
                by_name[l["name"]] = n + l["taken"], ns + l["taken"] * l["held"]
        return "; ".join(f"{name}: {n:.1f}, {ns:.0f} ns"
                         for name, (n, ns) in by_name.items()) or "none"
    return table(
        ["", "lines of ours", "of jemalloc's", "ns", "locks: how many, how long held"],
        [[f"{r['call']}, {r['name']}", f"{r['ours']:.0f}", f"{r['jemallocs']:.0f}",
          f"{r['work']:.0f}", locks(r)] for r in rows])


def structures_table(runs):
    """[runs]: by program, then by number of domains.  The worst program counts."""
    names = sorted({lock for by in runs.values() for rounds in by.values()
                    for run in rounds for lock in run["locks"]})
    rows = []
    for name in names:
        worst = [max((c for by in runs.values()
                      if (c := chance(by[n], name)) is not None), default=None)
                 for n in DOMAINS]
        bends = [n for n, w in zip(DOMAINS, worst) if w is not None and w > HELD]
        if any(w is not None for w in worst):
            rows.append([name] + [percent(w) for w in worst]
                        + [str(bends[0]) if bends else "no"])
    return table(["found held, domains:"] + [str(n) for n in DOMAINS] + ["bends at"],
                 rows)


def programs_table(runs):
    last = DOMAINS[-3:]
    rows = [[label, f"{rate(by[DOMAINS[0]]):.1f}", percent(found(by[DOMAINS[0]]), 0),
             percent(found(by[DOMAINS[-1]]), 0)]
            + [percent(waited(by[n])) for n in last]
            + [f"{throughput(by[n]):.3f}" for n in last]
            for label, by in runs.items()]
    return table(["program", "gets and puts in a ms",
                  f"found, {DOMAINS[0]} domain", f"found, {DOMAINS[-1]}"]
                 + [f"waited, {n}" for n in last]
                 + [f"throughput, {n}" for n in last], rows)


def measure(scale, chosen, say):
    """[chosen]: ns for a line, if not what it takes here"""
    traces = {p.label: [scale.trace(p)] for p in TRACED}
    traces["all of these"] = [t for [t] in traces.values()]
    transfer, rows = scale.lines()
    runs = {}
    for label, files in traces.items():
        say(label)
        runs[label] = {n: scale.replay(n, chosen or transfer, files) for n in DOMAINS}
    return transfer, rows, runs
