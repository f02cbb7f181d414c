"""Programs in memory cgroups: Xmemory_limit=auto beside stock.

Groups are made below this process's own, and removed.  As root, with a memory
controller of version 1 or 2."""

import contextlib
import os
import re
import subprocess
import tempfile
import time

from . import measure, programs, runtimes

V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
TIMEOUT = 200  # s, of one run


class Missing(Exception):
    """Groups cannot be made here."""


def _parent():
    """The directory of this process's own group, and the names of its limit and of
    what it uses"""
    with open("/proc/self/cgroup") as f:
        found = re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$", f.read(), re.M)
    if found and os.path.exists(f"{V1}/memory.limit_in_bytes"):
        own = V1 + found[1]
        return (own if os.path.isdir(own) else V1, "memory.limit_in_bytes",
                "memory.usage_in_bytes")
    with contextlib.suppress(OSError), open(f"{V2}/cgroup.subtree_control") as f:
        if "memory" in f.read().split():
            return V2, "memory.max", "memory.current"
    raise Missing("there is no memory controller of cgroups")


@contextlib.contextmanager
def group(mib):
    """A group with that limit: its directory"""
    parent, name, _ = _parent()
    try:
        directory = tempfile.mkdtemp(prefix="runtime-jemalloc.", dir=parent)
    except OSError as e:
        raise Missing(f"no group can be made in {parent}: {e.strerror}") from e
    try:
        with open(os.path.join(directory, name), "w") as f:
            f.write(str(mib * measure.MIB))
        yield directory
    finally:
        os.rmdir(directory)


def entering(directory):
    """For subprocess: the new process begins by going into the group, if there is one.
    Where it cannot, that is an error, and no program runs."""
    def enter():
        with open(os.path.join(directory, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))
    return {"preexec_fn": enter} if directory else {}


def run(directory, argv, env):
    """Did it end well, in the group or, without one, in none?  With the seconds it
    took, and the sum of the numbers that it and its workers printed"""
    began = time.monotonic()
    done = subprocess.run(
        argv, **entering(directory), env=env, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=TIMEOUT)
    ended = done.returncode == 0
    return {"killed": int(not ended), "wall": time.monotonic() - began,
            **({"steps": sum(map(int, done.stdout.split()))} if ended else {})}


def sampled(directory, tool, argv, env):
    """PSS over time, (seconds, MiB) each, to its end or until it is killed"""
    with tempfile.NamedTemporaryFile("r") as samples:
        subprocess.run(
            [tool, "run", "--interval", "20", "--samples", samples.name] + argv,
            **entering(directory), env=env, check=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=TIMEOUT)
        rows = [[float(v) for v in line.split("\t")] for line in samples.readlines()[1:]]
    return [(row[0], row[2]) for row in rows]


# Tried in this order: the first with which three runs survive is the best.
OVERHEADS = (120, 100, 80, 60, 50, 40, 30, 25, 20, 15, 10, 5)


def best_overhead(directory, argv, stock):
    """Stock with the largest constant space_overhead that survives, or None"""
    for overhead in OVERHEADS:
        r = runtimes.with_knobs(stock, f"o={overhead}")
        if not any(run(directory, argv, r.environment())["killed"] for _ in range(3)):
            return r
    return None


# Stock runs once in so many of ours: what it does is known.
STOCK_PART = 5

# Label, MiB live, the limit's factor, runs in a round, kind and workers of churn: a
# hundred runs of the first three in seven rounds
CHURN = [
    ("does nothing but allocate, 2 x live", 300, 2, 15, ["small"]),
    ("the same, 1.5 x", 300, 1.5, 15, ["small"]),
    ("the same, 1.3 x", 300, 1.3, 15, ["small"]),
    ("half of it in bigarrays, 1.5 x", 300, 1.5, 3, ["bigarrays"]),
    ("four forked workers, 2 x their sum", 100, 8, 3, ["small", "4"]),
]
SECONDS = "2"

COLLECTION = "does nothing but allocate, 1.3 x, watched"
LEAK = "a leak"
LOWERED = "the limit is lowered to 1.5 x live"
SHORTAGE = "memory is short, 1 GiB is free"
NEARLY_FULL = "0.88 x Xheap_limit lives"

# A quarter of the time is for allocation: 5 ms of a round's 20, without a limit
QUARTER = [("allocates a quarter of the time, 2 x", 300, 2),
           ("the same, 1.5 x live", 300, 1.5)]
ROUNDS = "400"


def churn(exe, stock, ours, rounds):
    """Rows of ours in a group, as it finds it; of stock as it is; and of stock with the
    best constant space_overhead for just this limit."""
    for label, lives, factor, runs, kind in CHURN:
        argv = [exe(ours), str(lives), SECONDS] + kind
        with group(int(lives * factor)) as directory:
            plain = [exe(stock)] + argv[1:]
            best = best_overhead(directory, plain, stock)
            for number in range(runs * rounds):
                yield {"program": label, "runtime": "ours, auto", "round": number,
                       **run(directory, argv, limited(ours).environment())}
                if best is not None and number % STOCK_PART == 0:
                    yield {"program": label, "runtime": "stock, best constant",
                           "round": number, "overhead": int(best.knobs[2:]),
                           **run(directory, plain, best.environment())}
            yield {"program": label, "runtime": "stock", "round": 0,
                   **run(directory, plain, stock.environment())}


def curves(exe, stock, ours, tool):
    """Memory over time at each factor, of ours; and of stock at the largest"""
    for factor in (2, 1.5, 1.3):
        with group(int(300 * factor)) as directory:
            for name, r in ("ours", limited(ours)), ("stock", stock):
                if name == "stock" and factor < 2:
                    continue
                argv = [exe(ours if name == "ours" else stock), "300", "4", "small"]
                yield {"program": f"{factor} x live", "runtime": name,
                       "samples": sampled(directory, tool, argv, r.environment())}


def quarter(exe, ours, runs):
    """Ours in a group beside ours without a limit"""
    for label, lives, factor in QUARTER:
        argv = [exe(ours), str(lives), ROUNDS, "quarter"]
        with group(int(lives * factor)) as directory:
            for number in range(runs):
                yield {"program": label, "runtime": "no limit", "round": number,
                       **run(None, argv, ours.environment())}
                yield {"program": label, "runtime": "ours, auto", "round": number,
                       **run(directory, argv, limited(ours).environment())}


def collection(exe, ours, runs):
    """The part of the time that major collection takes"""
    argv = [exe(ours), "300", SECONDS, "collection"]
    with group(390) as directory:
        for number in range(runs):
            found = run(directory, argv, limited(ours).environment())
            yield {"program": COLLECTION, "runtime": "ours, auto", "round": number,
                   "killed": found["killed"],
                   **({} if found["killed"] else {"collecting": found["steps"] / 10_000})}


SHAPES = ["nearly_full", "nearly_full_large", "nearly_full_domains"]  # test/limit


def nearly_full(exe, ours, runs):
    """Does a program raise whose live blocks are a little below 0.9 x Xheap_limit?"""
    r = runtimes.with_knobs(ours, "Xheap_limit=64M")
    for number in range(runs):
        for shape in SHAPES:
            done = subprocess.run([exe(ours), shape, "64"], env=r.environment(),
                                  check=False, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=TIMEOUT)
            yield {"program": NEARLY_FULL, "runtime": "ours", "round": number,
                   "raised": int(done.returncode != 0)}


def _usage(directory):
    with open(os.path.join(directory, _parent()[2])) as f:
        return int(f.read())


def leak(exe, ours, runs):
    """Seconds from nine tenths of the limit to the end, by Out_of_memory"""
    r, mib = limited(ours), 300
    for number in range(runs):
        with group(mib) as directory:
            process = subprocess.Popen(
                [exe(ours), "0", "0", "leak"], **entering(directory),
                env=r.environment(), stderr=subprocess.DEVNULL)
            near = None
            while process.poll() is None:
                if near is None and _usage(directory) > 0.9 * mib * measure.MIB:
                    near = time.monotonic()
                time.sleep(0.01)
            yield {"program": LEAK, "runtime": "ours, auto", "round": number,
                   "killed": int(process.returncode != 2),
                   "to_the_end": time.monotonic() - (near or time.monotonic())}


def _lower(directory, mib, process):
    """Lowers the limit as far as the kernel agrees, which is to no less than what is
    used, until it is that.  False if the process ends before"""
    name, goal = os.path.join(directory, _parent()[1]), mib * measure.MIB
    while process.poll() is None:
        limit = max(goal, _usage(directory) + 8 * measure.MIB)
        with contextlib.suppress(OSError), open(name, "w") as f:
            f.write(str(limit))
            f.flush()
            if limit == goal:
                return True
        time.sleep(0.01)
    return False


def lowered(exe, ours, runs):
    """Seconds until a program that runs is below a limit that is 1.5 x live now"""
    r = limited(ours)
    for number in range(runs):
        with group(900) as directory:
            process = subprocess.Popen(
                [exe(ours), "300", "12", "small"], **entering(directory),
                env=r.environment(), stdout=subprocess.DEVNULL)
            time.sleep(4)
            began = time.monotonic()
            agreed = _lower(directory, 450, process)
            followed = time.monotonic() - began
            yield {"program": LOWERED, "runtime": "ours, auto", "round": number,
                   "killed": int(process.wait() != 0),
                   **({"followed": followed} if agreed else {})}


# All that is given back is given back since memory is short
KEEPS = ("Xdirty_decay_ms=never,Xbackground_purge=off,Xmax_overhead=never,"
         "Xcompact_purge=decay,Xidle_compact_ms=never")


def shortage(compiled, ours, runs):
    """ms from the sign that memory is short until 1 GiB that is free is given back"""
    r = runtimes.with_knobs(ours, KEEPS)
    with tempfile.TemporaryDirectory() as directory:
        fifo = os.path.join(directory, "fifo")
        os.mkfifo(fifo)
        environment = {**r.environment(), "MEMORY_PRESSURE_WATCH": fifo}
        for number in range(runs):
            row = measure.timed([compiled.executable(ours), programs.SEED, "1024", fifo],
                                environment)
            yield {"program": SHORTAGE, "runtime": "ours", "round": number,
                   "given_back": float(row["output"])}


def limited(runtime):
    return runtimes.with_knobs(runtime, "Xmemory_limit=auto")


# Far from its limit
FAR = ("none", "auto")


def far_label(p):
    return f"{p.label}, far from its limit"


def far(context, p, command):
    """Instructions of a program that has no limit to see, without and with auto"""
    ours = context.named("ours")[0]
    for limit in FAR:
        r = runtimes.with_knobs(ours, f"Xmemory_limit={limit}")
        argv = command(r, 0, [programs.SEED] + p.quick)
        yield {"program": far_label(p), "runtime": limit,
               "instructions": measure.instructions(argv, r.environment(),
                                                    slow_clock=True)}


def executables(context):
    """churn and limit of the tests, compiled: exe(runtime)"""
    tests = os.path.join(context.source, "test")
    churn_of_tests = runtimes.Compiled(
        os.path.join(tests, "cgroups", "churn.ml"), os.path.join(context.work, "churn"),
        libraries=("unix", "runtime_events"))
    limit_of_tests = runtimes.Compiled(
        os.path.join(tests, "limit", "limit.ml"), os.path.join(context.work, "limit"),
        beside=[os.path.join(tests, "limit", "limit_stubs.c")])
    return churn_of_tests.executable, limit_of_tests.executable
