"""bench/report.md, its plots, and the tables behind it (bench/tables), from the
results of all versions."""

import glob
import math
import os
import statistics

from . import limits, plots, programs, results

OURS = "ours"
HUGE_PAGES = "ours, huge pages"


class Results:
    """The rows of one version."""

    def __init__(self, data):
        self.ocaml = data["ocaml"]
        self.quick = data["quick"]
        self.machine = data["machine"]
        self.groups = data["groups"]
        self.measured = data.get("measured", {})

    @property
    def title(self):
        return f"OCaml {self.ocaml}" + (", quick" if self.quick else "")

    def when(self, *groups):
        """Which code the groups were measured with, and how often"""
        found = [self.measured[g] for g in groups if g in self.measured]
        return "; ".join(dict.fromkeys(
            ([f"at {m['commit']}, {m['rounds']} round{'s' * (m['rounds'] > 1)}"
              + self.elsewhere(m) for m in found if "rounds" in m]
             + [f"counts at {m['counts']}" for m in found if "counts" in m])))

    def elsewhere(self, m):
        """The processor, if it is not that of the tables' head"""
        cpu = m.get("cpu", self.machine["cpu"])
        return "" if cpu == self.machine["cpu"] else f", on {cpu}"

    def rows(self, group, **wanted):
        return [r for r in self.groups.get(group, [])
                if all(r.get(k) == v for k, v in wanted.items())]

    def programs(self, group):
        return list(dict.fromkeys(r["program"] for r in self.rows(group)))

    def runtimes(self, group):
        return list(dict.fromkeys(r["runtime"] for r in self.rows(group)))

    def values(self, group, program, runtime, column):
        return [r[column] for r in self.rows(group, program=program, runtime=runtime)
                if column in r]

    def median(self, group, program, runtime, column):
        found = self.values(group, program, runtime, column)
        return statistics.median(found) if found else None

    def ratios(self, group, program, runtime, column, base="stock"):
        """To the base's of the same round."""
        bases = {r.get("round"): r[column]
                 for r in self.rows(group, program=program, runtime=base)
                 if column in r}
        return [r[column] / bases[r.get("round")]
                for r in self.rows(group, program=program, runtime=runtime)
                if column in r and bases.get(r.get("round"))]

    def ratio(self, *args, **kwargs):
        found = self.ratios(*args, **kwargs)
        return statistics.median(found) if found else None

    def geometric(self, groups, runtime, column):
        """Geometric mean of the programs' median ratios, and the largest; of all
        groups or none"""
        if not all(self.groups.get(g) for g in groups):
            return None, None
        found = [r for g in groups for p in self.programs(g)
                 if (r := self.ratio(g, p, runtime, column)) is not None]
        if not found:
            return None, None
        return math.exp(sum(map(math.log, found)) / len(found)), max(found)


def spread(found):
    """Median, and the quartiles if there are some rounds"""
    if not found:
        return "–"
    middle = statistics.median(found)
    text = figure(middle)
    if len(found) > 2:
        low, _, high = statistics.quantiles(found, n=4)
        text += f" ({figure(low)}–{figure(high)})"
    return text


def figure(x):
    if x is None:
        return "–"
    if x == 0:
        return "0"
    return f"{x:.4f}" if x < 0.01 else f"{x:.3f}" if x < 0.1 else f"{x:.2f}"


def figure_beside(x, bound):
    """With one more digit where it would read like the bound"""
    return f"{x:.3f}" if x != bound and figure(x) == figure(bound) else figure(x)


# How stock's own figure of a column is written
UNITS = {"wall": "{:.2f} s", "cpu": "{:.2f} s", "seconds": "{:.2f} s",
         "instructions": "{:.3g}", "calls": "{:,.0f}", "faults": "{:,.0f}",
         "mappings": "{:,.0f}", "steps": "{:,.0f}", "busy": "{:.0%}",
         "p50": "{:.2f} ms", "p90": "{:.2f} ms", "p99": "{:.2f} ms",
         "p999": "{:.2f} ms"}


def absolute(x, column):
    return "–" if x is None else UNITS.get(column, "{:,.0f} MiB").format(x)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows]) + "\n"


# Column, and its name
COLUMNS = {
    "growth": [("calls", "memory system calls"), ("faults", "page faults"),
               ("mappings", "mappings"), ("rss", "peak RSS"), ("wall", "wall"),
               ("cpu", "CPU")],
    "churn": [("instructions", "instructions"), ("calls", "memory system calls"),
              ("faults", "page faults"), ("rss", "peak RSS"), ("wall", "wall"),
              ("cpu", "CPU")],
    "domains": [("calls", "memory system calls"), ("faults", "page faults"),
                ("rss", "peak RSS"), ("wall", "wall"), ("cpu", "CPU")],
    "workers": [("mean_pss", "mean PSS"), ("peak_pss", "peak PSS"),
                ("rest_pss", "PSS at rest"), ("wall", "wall"), ("cpu", "CPU")],
    "phases": [("end_rss", "RSS at the end"), ("mean_rss", "mean RSS"),
               ("rss", "peak RSS"), ("steps", "steps done")],
    "compaction": [("left", "RSS after it"), ("seconds", "time"),
                   ("rss", "peak RSS")],
}
COLUMNS["server"] = [("p50", "50%"), ("p90", "90%"), ("p99", "99%"), ("p999", "99.9%"),
                     ("busy", "time in requests"), ("cpu", "CPU"), ("rss", "peak RSS")]
COLUMNS["real"] = COLUMNS["churn"]

TITLES = {"workers": "Workers", "phases": "Phases", "growth": "Growth",
          "churn": "Churn", "real": "Real programs", "domains": "Domains",
          "compaction": "Gc.compact", "server": "Requests, from when they come"}


def group_table(r, group):
    columns = COLUMNS[group]
    rows = []
    for program in r.programs(group):
        for runtime in r.runtimes(group):
            if not r.rows(group, program=program, runtime=runtime):
                continue
            if runtime == "stock":
                cells = [absolute(r.median(group, program, runtime, column), column)
                         for column, _ in columns]
            else:
                cells = [spread(r.ratios(group, program, runtime, column))
                         for column, _ in columns]
            rows.append([program, runtime] + cells)
    return table(["program", "runtime"] + [name for _, name in columns], rows)


def worst(r, column):
    groups = "growth", "churn", "real", "domains", "phases", "compaction"
    if not all(r.groups.get(g) for g in groups):
        return None, None
    found = [(x, p) for g in groups for p in r.programs(g)
             if (x := r.ratio(g, p, OURS, column)) is not None]
    return max(found, default=(None, None))


WAITING = programs.PLOTTED
BACK_TO_BACK = "none, back to back"
COMPACTING = "compact, a second of waiting"
SMALL = "small blocks, 1 GiB"
HALF = "50% empty"


def targets(r):
    """What, the bound, the value (None: not measured), is it a lower bound"""
    calls = r.ratio("growth", SMALL, OURS, "calls")
    faults = r.ratio("growth", SMALL, HUGE_PAGES, "faults")
    growth, _ = r.geometric(["growth"], OURS, "wall")
    wall, wall_worst = r.geometric(["churn", "real"], OURS, "wall")
    _, instructions = r.geometric(["churn", "real"], OURS, "instructions")
    not_automatic = "ours, not automatic"
    return [
        ("memory system calls while growing to 1 GiB", 1 / 50, calls),
        ("page faults while growing to 1 GiB, huge pages allowed (`Xthp=always`)",
         1 / 20, faults),
        ("wall, growth", 0.95, growth),
        ("wall, geometric mean of churn and real", 0.98, wall),
        ("wall, the worst of them", 1.02, wall_worst),
        ("instructions, the worst of churn and real", 1.005, instructions),
        ("peak RSS, the worst program", 1.03, worst(r, "rss")[0]),
        ("workers, waiting, no call: mean PSS", 0.22,
         r.ratio("workers", WAITING, OURS, "mean_pss")),
        ("workers, waiting, no call: wall", 1.01,
         r.ratio("workers", WAITING, OURS, "wall")),
        ("workers, back to back, no call: mean PSS", 0.95,
         r.ratio("workers", BACK_TO_BACK, OURS, "mean_pss")),
        ("workers, back to back, no call: wall", 1.02,
         r.ratio("workers", BACK_TO_BACK, OURS, "wall")),
        ("phases: RSS at the end", 0.2, r.ratio("phases", "phases", OURS, "end_rss")),
        ("phases: mean RSS", 0.35, r.ratio("phases", "phases", OURS, "mean_rss")),
        ("phases: steps done", -1.0, r.ratio("phases", "phases", OURS, "steps")),
        ("workers with Gc.compact: mean PSS", 0.85,
         r.ratio("workers", COMPACTING, OURS, "mean_pss")),
        ("workers with Gc.compact: peak PSS", 1.0,
         r.ratio("workers", COMPACTING, OURS, "peak_pss")),
        ("workers with Gc.compact: wall", 0.95,
         r.ratio("workers", COMPACTING, OURS, "wall")),
        ("Gc.compact of a half-empty 2 GiB heap: time", 0.75,
         r.ratio("compaction", HALF, OURS, "seconds")),
        ("against pool_release, not automatic: wall", 0.97,
         r.ratio("workers", BACK_TO_BACK, not_automatic, "wall", base="pool_release")),
        ("against pool_release, not automatic: memory system calls", 1 / 20,
         r.ratio("growth", SMALL, not_automatic, "calls", base="pool_release")),
        ("against pool_release, not automatic: mean PSS", 1.05,
         r.ratio("workers", BACK_TO_BACK, not_automatic, "mean_pss",
                 base="pool_release")),
        ("pool get + put, one thread, median, ns", 150,
         r.median("micro", "micro", OURS, "pool_median")),
        ("pool get + put, two threads at once, throughput of one", -1.6,
         r.median("micro", "micro", OURS, "pool_two_threads")),
    ]


def limit_targets(r):
    """The same of memory limits"""
    auto, best = "ours, auto", "stock, best constant"
    churn = [c[0] for c in limits.CHURN]

    def kills(program):
        found = r.values("limits", program, auto, "killed")
        return sum(found) if found else None

    def steps():
        found = [r.ratio("limits", p, auto, "steps", base=best) for p in churn[:3]]
        return None if None in found else min(found)

    def wall(program):
        return r.ratio("limits", program, auto, "wall", base="no limit")

    raised = r.values("limits", limits.NEARLY_FULL, OURS, "raised")
    leaks = r.values("limits", limits.LEAK, auto, "to_the_end")
    followed = r.values("limits", limits.LOWERED, auto, "followed")
    return [(f"in a cgroup, {p}: kills", 0, kills(p)) for p in churn] + [
        ("the first three: blocks replaced, to stock's with its best constant, the worst",
         -1.0, steps()),
        (f"{limits.QUARTER[0][0]}: wall, to that without a limit", 1.1,
         wall(limits.QUARTER[0][0])),
        (f"{limits.QUARTER[1][0]}: wall", 1.25, wall(limits.QUARTER[1][0])),
        ("collection, of the CPU, at 1.3 x", 0.5,
         r.median("limits", limits.COLLECTION, auto, "collecting")),
        ("the limit is lowered to 1.5 x live: s until it is followed, at most", 1.0,
         max(followed, default=None)),
        ("a leak: s from nine tenths of the limit to `Out_of_memory`, at most", 30,
         max(leaks, default=None)),
        ("a leak: kills", 0, kills(limits.LEAK)),
        ("live below 0.9 x `Xheap_limit`: raises", 0, sum(raised) if raised else None),
        ("memory is short: ms until 1 GiB is given back", 150,
         r.median("limits", limits.SHORTAGE, OURS, "given_back")),
        ("far from its limit: instructions, to those without one", 1.001,
         r.ratio("limits", limits.far_label(programs.CHURN[0]), "auto", "instructions",
                 base="none")),
    ]


def target_table(all_results):
    rows = []
    for lines in zip(*(targets(r) + limit_targets(r) for r in all_results)):
        what, bound, _ = lines[0]
        cells = []
        for _, _, value in lines:
            reached = value is not None and (
                value <= bound if bound >= 0 else value >= -bound)
            shown = "not measured" if value is None else figure_beside(value, abs(bound))
            cells.append(shown if reached or value is None else f"**{shown}**, missed")
        limit = f"≥ {-bound:g}" if bound < 0 else f"≤ {bound:g}" if bound else "0"
        rows.append([what, limit] + cells)
    return table(["what, ratio to stock", "target"] + [r.title for r in all_results],
                 rows)


def sentence(text, *ratios):
    """A line with the ratios in percent; empty if one was not measured"""
    if None in ratios:
        return ""
    return "- " + text.format(*(f"{100 * r:.0f}%" for r in ratios)) + "\n"


def first_screen(r):
    wall, wall_worst = r.geometric(["churn", "real"], OURS, "wall")
    peak, program = worst(r, "rss")
    return "".join([
        f"On {r.title}:\n\n",
        sentence("Forked workers that wait between tasks and call nothing: {} of stock's "
                 "memory, {} of its time, {} of its CPU.",
                 *(r.ratio("workers", WAITING, OURS, column)
                   for column in ("mean_pss", "wall", "cpu"))),
        sentence("A program that keeps a twentieth of its peak and works on: {} of stock's "
                 "memory at the end.", r.ratio("phases", "phases", OURS, "end_rss")),
        sentence("Growing: {} of the time, {} of the memory system calls, with huge "
                 "pages {} of the page faults.",
                 r.geometric(["growth"], OURS, "wall")[0],
                 r.ratio("growth", SMALL, OURS, "calls"),
                 r.ratio("growth", SMALL, HUGE_PAGES, "faults")),
        sentence("Steady programs: {} of the time on the whole, {} in the worst case.",
                 wall, wall_worst),
        sentence(f"Peak memory is at most {{}} of stock's ({program}).", peak),
    ])


# The sources that the variant is compared with: bench/sources
OTHERS = ("pool_release", "pool_release_cycle", "mimalloc")


def sources_table(r):
    """Why jemalloc: others behind the same header, caml/heap_source.h"""
    rows = [[name, program] + [spread(r.ratios("workers", program, name, column))
                               for column, _ in COLUMNS["workers"]]
            for program in (WAITING, BACK_TO_BACK)
            for name in (OURS, "ours, not automatic") + OTHERS
            if r.rows("workers", program=program, runtime=name)]
    return table(["source of memory", "forked workers"]
                 + [name for _, name in COLUMNS["workers"]], rows)


SOURCES = """\
## Why jemalloc

The same runtime with other sources of memory, of stock's. *pool_release* unmaps each pool
as it is free, *pool_release_cycle* all that are at the end of a major cycle, *mimalloc*
is Debian's. Only ours can collect by itself.
"""


def defaults_table(r):
    rows = []
    for program in r.programs("defaults"):
        for runtime in r.runtimes("defaults"):
            if not r.rows("defaults", program=program, runtime=runtime):
                continue
            get = lambda column: r.median("defaults", program, runtime, column)
            time = r.ratios("defaults", program, runtime, "seconds", "default")
            steps = r.ratios("defaults", program, runtime, "steps", "default")
            memory = get("mean_rss") if get("left") is None else get("left")
            rows.append([program, f"`{runtime}`", spread(time or [1 / s for s in steps]),
                         f"{get('faults'):.0f}", f"{memory:.0f}",
                         figure(get("compactions"))])
    return table(["program", "knobs", "time, to the default's", "page faults",
                  "RSS, MiB", "compactions"], rows)


# bench/programs/micro.c; large: of before it had the others
MICRO = ("pool", "large", "5_to_13_KiB", "16_to_64_KiB", "100_KiB", "20_to_300_KiB")


def small_tables(r):
    lines = ["## Calls from C, and blocking sections\n", measured(r, "micro", "blocking")]
    if r.groups.get("micro"):
        get = lambda column: r.median("micro", "micro", OURS, column)
        lines.append("From C, put back and get one of 1,000, nanoseconds:\n")
        lines.append(table(
            ["", "median", "99%", "99.9%", "two threads: throughput of one"],
            [[name.replace("_", " ")]
             + [f"{get(f'{name}_{q}'):.0f}" for q in ("median", "99", "99.9")]
             + [figure(get(f"{name}_two_threads"))]
             for name in MICRO if get(f"{name}_median") is not None]))
        lines.append(
            f"A page of memory takes {get('page_touched'):.0f} ns when it is touched and "
            f"was not there; {get('page_populated'):.0f} ns where many are made by one "
            f"system call, and {get('page_touched_then'):.0f} more when it is touched "
            "then, of which a hypervisor may have a part.\n")
    if r.groups.get("blocking"):
        base = r.median("blocking", "blocking", "stock", "instructions")
        lines.append("Blocking and waking up 20,000 times, instructions: " + ", ".join(
            f"{runtime} {r.median('blocking', 'blocking', runtime, 'instructions') / base:.4f}"
            for runtime in r.runtimes("blocking")) + ".\n")
    return "\n".join(lines)


def sum_of(r, program, runtime, column):
    return sum(r.values("limits", program, runtime, column))


def limits_row(r, program, runtime):
    runs = len(r.values("limits", program, runtime, "killed"))
    base = "no limit" if runtime == "ours, auto" and r.rows(
        "limits", program=program, runtime="no limit") else "stock, best constant"
    wall = base == "no limit"
    ratio = r.ratio("limits", program, runtime, "wall" if wall else "steps", base=base)
    overhead = r.values("limits", program, runtime, "overhead")
    return [program, runtime + (f", `o={overhead[0]}`" if overhead else ""),
            f"{sum_of(r, program, runtime, 'killed')} of {runs}",
            "–" if wall else figure(ratio), figure(ratio) if wall else "–"]


def share_table(r):
    rows = [[p.label, runtime,
             figure(r.median("share", p.label, runtime, "of_alone"))]
            + [absolute(r.median("share", p.label, runtime, column), "p50")
               if runtime == "stock"
               else spread(r.ratios("share", p.label, runtime, column))
               for column in ("first", "next")]
            for p in programs.FAMILIES for runtime in r.runtimes("share")
            if r.rows("share", program=p.label, runtime=runtime)]
    return "\n".join([
        "## Forked workers and their parent\n", measured(r, "share"), """\
A parent with 200 MiB of state, and its workers; *sharing* is `Xfork_share=on`.
""", table(["each worker", "runtime", "summed PSS, of the parent's alone",
           "a worker's first cycle", "the next"], rows)])


LIMITS_TIMES = {
    "to_the_end": "seconds from nine tenths of the limit to Out_of_memory",
    "followed": "seconds until no more is used",
    "collecting": "part of the time that is major collection",
    "given_back": "ms from the sign until at most 64 MiB are left"}


def limits_tables(r):
    lines = ["## Memory limits\n", measured(r, "limits"), """\
Programs in memory cgroups of so many times what lives in them, 300 MiB; `auto` is
`Xmemory_limit=auto`. The best constant is the largest `space_overhead` with which three
runs of stock's survive.
"""]
    rows = [limits_row(r, p, runtime) for p in r.programs("limits")
            for runtime in r.runtimes("limits")
            if r.values("limits", p, runtime, "killed")]
    if rows:
        lines.append(table(["program", "runtime", "killed",
                            "blocks replaced, to stock's with the best constant",
                            "wall, to that without a limit"], rows))
    for column, what in LIMITS_TIMES.items():
        for p in r.programs("limits"):
            found = [v for runtime in r.runtimes("limits")
                     for v in r.values("limits", p, runtime, column)]
            if found:
                lines.append(f"{p}: {what}: {statistics.median(found):.3g}, at most "
                             f"{max(found):.3g} ({len(found)} "
                             f"run{'s' * (len(found) > 1)}).\n")
    raised = r.values("limits", limits.NEARLY_FULL, OURS, "raised")
    if raised:
        lines.append(f"{limits.NEARLY_FULL}: `Out_of_memory` in {sum(raised)} of "
                     f"{len(raised)} runs.\n")
    for p in r.programs("limits"):
        far = r.ratio("limits", p, "auto", "instructions", base="none")
        if far is not None:
            lines.append(f"{p}: {far:.4f} of the instructions.\n")
    return "\n".join(lines)


def machine_lines(r):
    return "\n".join(f"- {k}: {v}" for k, v in r.machine.items()) + "\n"


def measured(r, *groups):
    when = r.when(*groups)
    return f"Measured {when}.\n" if when else ""


def tables(r):
    parts = [f"# Tables: {r.title}\n", READING, machine_lines(r)]
    if r.quick:
        parts.append("Sizes are a quarter, or less, of what the programs' names say.\n")
    for group, title in TITLES.items():
        if r.groups.get(group):
            parts += [f"## {title}\n", measured(r, group), group_table(r, group)]
    if r.groups.get("micro") or r.groups.get("blocking"):
        parts.append(small_tables(r))
    if r.groups.get("share"):
        parts.append(share_table(r))
    if r.groups.get("limits"):
        parts.append(limits_tables(r))
    if r.groups.get("defaults"):
        parts += ["## Why the knobs have their defaults\n", measured(r, "defaults"),
                  defaults_table(r)]
    return "\n".join(parts)


READING = """\
Every figure is a ratio to stock's of the same round: the median, and in brackets the
quartiles. Below 1 is less. Stock's own lines give its medians. The runtimes take turns
in each round, and the first round is not counted. The summary is
[the report](../report.md).
"""

INTRODUCTION = """\
# Benchmarks: runtime-jemalloc beside stock OCaml

*Stock* is OCaml's own runtime, *ours* the variant on jemalloc. A figure is ours divided by
stock's: below 1 is less. `make bench` measures again and writes this page;
`make bench-quick` takes ten minutes.

| group | what its programs do |
| --- | --- |
| workers | forked workers build 200 MiB a task, keep 2 to 10% of it, and wait or go on |
| phases | a peak of 1 GiB, then work on the scattered twentieth that survives |
| growth | a heap that grows to its size, all of it kept |
| churn | heaps of a steady size, of many kinds of blocks |
| real | OCaml's compiler, its toplevel, an interpreter in bytecode |
| domains | a domain that passes blocks to another; domains that begin and end |
| Gc.compact | a heap of 2 GiB, a part of it dropped, compacted |
| requests | a server with a table of 200 MiB; requests come at their own times |
| forked workers and their parent | what they take together of 200 MiB of state, and what a worker's major cycles take |
| memory limits | programs in memory cgroups |
"""


def write(here):
    """Writes report.md and its tables into [here], from the results in it."""
    paths = sorted(glob.glob(os.path.join(here, "results", "*.json")))
    found = [Results(results.load(path)) for path in paths]
    # a quick result only for versions that have no other
    full = [r.ocaml for r in found if not r.quick]
    found = [r for r in found if not r.quick or r.ocaml not in full]
    # of which most is measured, and the newest of these
    first = max(reversed(found), key=lambda r: len(r.groups))
    parts = [INTRODUCTION, first_screen(first)]
    if first.groups.get("workers"):
        plots.workers(first, WAITING, os.path.join(here, "plots", "workers.svg"))
        parts.append("![Summed PSS of the workers over time](plots/workers.svg)\n")
    if first.groups.get("share"):
        plots.share(first, os.path.join(here, "plots", "share.svg"))
    if first.groups.get("limits"):
        plots.limits(first, os.path.join(here, "plots", "limits.svg"))
    if any(first.rows("workers", runtime=name) for name in OTHERS):
        parts += [SOURCES, sources_table(first)]
    parts += ["## Targets\n", target_table(found)]
    with open(os.path.join(here, "missed.md")) as f:
        parts.append(f.read())
    parts.append("## All figures\n")
    os.makedirs(os.path.join(here, "tables"), exist_ok=True)
    for r in found:
        name = f"tables/{r.ocaml}.md"
        with open(os.path.join(here, name), "w") as f:
            f.write(tables(r))
        shown = [title for group, title in TITLES.items() if r.groups.get(group)]
        parts.append(f"* [{r.title}]({name}): {', '.join(shown)}\n")
    with open(os.path.join(here, "report.md"), "w") as f:
        f.write("\n".join(parts))
