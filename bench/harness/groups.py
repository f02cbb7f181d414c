"""The groups of measurements.  Each returns a list of rows: dicts with the label of
the program, the runtime's name, and one measurement, of one round."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from . import limits, measure, programs, real_programs, runtimes
from .programs import SEED


@dataclass
class Context:
    runtimes: list   # stock first
    programs: str    # directory of the sources
    work: str        # directory for what is compiled
    build: str       # directory of the build
    source: str      # directory of the project
    rounds: int
    quick: bool
    counting: bool
    warming: bool = False

    def compiled(self, name):
        return runtimes.Compiled(os.path.join(self.programs, name + ".ml"),
                                 os.path.join(self.work, name))

    def arguments(self, p):
        return [SEED] + (p.quick if self.quick or self.warming else p.arguments)

    def named(self, *names):
        return [r for r in self.runtimes if r.name in names]

    @property
    def tool(self):
        return os.path.join(self.build, "bin", "runtime-jemalloc")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def interleaved(context, label, candidates, run):
    """Rounds of all candidates, one after the other, after one of quick size that is
    not counted; run(runtime, round) measures."""
    rows = []
    say(label)
    for number in range(-1, context.rounds) if context.rounds > 0 else ():
        context.warming = number < 0
        for r in candidates:
            row = run(r, number)
            if number >= 0:
                rows.append({"program": label, "runtime": r.name, "round": number,
                             **row})
    return rows


def check_outputs(rows):
    """A program prints the same on all runtimes."""
    outputs = {row.pop("output") for row in rows}
    if len(outputs) > 1:
        raise measure.Failed(f"{rows[0]['program']}: it prints {outputs}")


def candidates_for(context, p):
    found = [r for r in context.runtimes if p.ocaml4 or not r.is_ocaml4]
    if p in programs.GROWTH:
        found.append(runtimes.with_knobs(context.named("ours")[0], "Xthp=always",
                                         "ours, huge pages"))
    return found


def timed_program(context, p, command, layouts=1):
    """Wall, CPU, faults and RSS; each round with another layout of the code.
    command(runtime, layout, arguments) is what to run."""

    def run(r, number):
        layout = runtimes.LAYOUTS[number % layouts]
        return measure.timed(command(r, layout, context.arguments(p)),
                             r.environment())

    rows = interleaved(context, p.label, candidates_for(context, p), run)
    check_outputs(rows)
    return rows


def counts(context, p, command, mappings=False, instructions=False):
    """What needs a run of its own, once: it does not drift."""
    rows = []
    if not context.counting:
        return rows
    say(f"{p.label}, counts")
    for r in candidates_for(context, p):
        argv = command(r, 0, context.arguments(p))
        row = {"program": p.label, "runtime": r.name}
        row["calls"] = sum(measure.memory_calls(argv, r.environment()).values())
        if mappings:
            row["mappings"] = measure.timed(argv, r.environment(),
                                            mappings=True)["mappings"]
        if instructions and r.name in ("stock", "ours"):  # minutes for each
            row["instructions"] = measure.instructions(
                command(r, 0, [SEED] + p.quick), r.environment(), slow_clock=True)
        rows.append(row)
    return rows


def compiled_program(context, p, bytecode=False):
    compiled = context.compiled(p.source)
    # A file that a program reads is one of the project's OCaml's sources
    source = os.path.join(context.build, "tree", programs.FILE)

    def command(r, layout, arguments):
        return [compiled.executable(r, layout, bytecode)] + [
            source if a == "FILE" else a for a in arguments]

    return command


def workers(context):
    rows = []
    compiled = context.compiled("workers")
    candidates = context.runtimes
    for wait in programs.WAITS:
        for call in programs.CALLS:
            p = programs.workers(call, wait)

            def run(r, number):
                row = measure.sampled(
                    context.tool, [compiled.executable(r)] + context.arguments(p),
                    r.environment())
                if number != 0 or p.label != programs.PLOTTED:
                    row.pop("samples")
                return row

            found = interleaved(context, p.label, candidates, run)
            check_outputs(found)
            rows += found
    return rows


def words_run(context, p, parse):
    """run(runtime, round): with what [parse] makes of the words that are printed"""
    compiled = context.compiled(p.source)

    def run(r, _):
        row = measure.timed([compiled.executable(r)] + context.arguments(p),
                            r.environment())
        words = row.pop("output").split()
        return {**row, **parse(words)}

    return run


def phases_figures(words):
    names = "end_rss", "mean_rss", "heap", "compactions", "steps"
    return dict(zip(names, map(int, words)))


def phases(context):
    rows = []
    for p in (programs.PHASES, programs.PHASES_STAY):
        rows += interleaved(context, p.label, context.runtimes,
                            words_run(context, p, phases_figures))
    return rows


def growth(context):
    rows = []
    for p in programs.GROWTH:
        command = compiled_program(context, p)
        rows += timed_program(context, p, command)
        rows += counts(context, p, command, mappings=True)
    return rows


def steady(context, p, command, layouts=1):
    return (timed_program(context, p, command, layouts)
            + counts(context, p, command, instructions=True))


def churn(context):
    rows = []
    for p in programs.CHURN:
        rows += steady(context, p, compiled_program(context, p),
                       len(runtimes.LAYOUTS))
    return rows


def real(context):
    rows = steady(context, programs.COMPILER, real_programs.compiler(context),
                  len(runtimes.LAYOUTS))
    rows += steady(context, programs.TOPLEVEL, real_programs.toplevel(context))
    rows += steady(context, programs.BYTECODE,
                   compiled_program(context, programs.BYTECODE, bytecode=True))
    return rows


def domains(context):
    rows = []
    for p in programs.DOMAINS:
        command = compiled_program(context, p)
        rows += timed_program(context, p, command)
        rows += counts(context, p, command)
    return rows


def time_and_left(words):
    return {"seconds": float(words[0]), "left": int(words[1])}


def compaction(context):
    rows = []
    for p in programs.COMPACTION:
        rows += interleaved(context, p.label, context.runtimes,
                            words_run(context, p, time_and_left))
    return rows


def knob_runs(context, p, values, parse):
    """Ours, its default beside other values of knobs."""
    ours = context.named("ours")[0]
    candidates = [runtimes.with_knobs(ours, v) for v in ("",) + tuple(values)]
    return interleaved(context, p.label, candidates, words_run(context, p, parse))


def defaults(context):
    return (
        knob_runs(context, programs.BREATHE, programs.BREATHE_KNOBS, lambda w: {
            "seconds": float(w[0]), "mean_rss": float(w[1])})
        + knob_runs(context, programs.COMPACTION[1], programs.COMPACT_KNOBS,
                    time_and_left)
        + knob_runs(context, programs.PHASES_STAY,
                    [f"Xmax_overhead={v}" for v in programs.OVERHEADS],
                    lambda w: {"end_rss": int(w[0]), "mean_rss": int(w[1]),
                               "compactions": int(w[3]), "steps": int(w[4])}))


def beside_stock(context, knobs, name):
    """Stock, ours, and ours with these knobs"""
    stock, ours = context.named("stock")[0], context.named("ours")[0]
    return [stock, ours, runtimes.with_knobs(ours, knobs, name)]


def server(context):
    """How long a request takes, from when it comes"""
    candidates = beside_stock(context, "Xidle_slices=off", "ours, no slices in gaps")
    names = "busy", "p50", "p90", "p99", "p999", "longest"
    rows = []
    for p in programs.SERVER:
        rows += interleaved(context, p.label, candidates, words_run(
            context, p, lambda words: dict(zip(names, map(float, words)))))
    return rows


def family_figures(words):
    alone, pss, first, following = map(float, words)
    return {"alone": alone, "sum_pss": pss, "of_alone": pss / alone, "first": first,
            "next": following}


def share(context):
    """A parent and its forked workers: what they take together, and their cycles"""
    candidates = beside_stock(context, "Xfork_share=on", "ours, sharing")
    rows = []
    for p in programs.FAMILIES:
        rows += interleaved(context, p.label, candidates,
                            words_run(context, p, family_figures))
    for n in programs.FAMILY_SIZES:
        p = programs.family(n)
        run = words_run(context, p, family_figures)
        rows += [{"program": p.label, "runtime": r.name, "workers": n, **run(r, 0)}
                 for r in candidates]
    return rows


def memory_limits(context):
    """Kills and throughput in memory cgroups, and the cost of a limit that is far"""
    stock, ours = context.named("stock")[0], context.named("ours")[0]
    (exe, limit_exe), p = limits.executables(context), programs.CHURN[0]
    say("memory limits")
    rows = []
    try:
        rows += limits.churn(exe, stock, ours, context.rounds)
        rows += limits.quarter(exe, ours, context.rounds)
        rows += limits.collection(exe, ours, context.rounds)
        rows += limits.leak(exe, ours, context.rounds)
        rows += limits.lowered(exe, ours, context.rounds)
        rows += limits.curves(exe, stock, ours, context.tool)
    except limits.Missing as e:
        say(f"not measured, since {e}: memory limits")
    rows += limits.nearly_full(limit_exe, ours, context.rounds)
    rows += limits.shortage(context.compiled("shortage"), ours, context.rounds)
    return rows + list(limits.far(context, p, compiled_program(context, p)))


def blocking(context):
    """What the idle thread costs who blocks and wakes up all the time"""
    compiled, p = context.compiled("blocking"), programs.BLOCKING
    say(p.label)
    rows = []
    for r in context.named("stock", "ours", "ours, not automatic"):
        argv = [compiled.executable(r)]
        rows.append({"program": p.label, "runtime": r.name,
                     "instructions": measure.instructions(
                         argv + context.arguments(p), r.environment(),
                         slow_clock=False)})
    return rows


def micro(context):
    """Pool and large block, get and put, from C: nanoseconds"""
    exe = os.path.join(context.work, "micro")
    os.makedirs(context.work, exist_ok=True)
    arena = os.path.join(context.source, "runtime-jemalloc", "arena")
    sources = [os.path.join(arena, f"jemalloc_{n}.c") for n in programs.ARENA]
    subprocess.run(
        ["cc", "-std=c11", "-O2", "-o", exe,
         os.path.join(context.programs, "micro.c")] + sources
        + ["-I", arena, "-I", os.path.join(context.source, "runtime-jemalloc", "heap"),
           "-I", os.path.join(context.build, "tree", "runtime"),
           os.path.join(context.build, "tree", "runtime", "jemalloc.o"),
           "-lpthread", "-lm"], check=True)
    ours = context.named("ours")
    return interleaved(
        context, "micro", ours,
        lambda r, _: json.loads(measure.timed([exe], r.environment())["output"]))


ALL = {"workers": workers, "phases": phases, "growth": growth, "churn": churn, "real": real,
       "compaction": compaction, "domains": domains, "micro": micro,
       "defaults": defaults, "blocking": blocking, "limits": memory_limits,
       "server": server, "share": share}
COUNTED = ("growth", "churn", "real", "domains")
