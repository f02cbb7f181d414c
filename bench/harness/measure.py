"""One run of a program, measured from outside."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time

MIB = 1024 * 1024


class Failed(Exception):
    """The program did not end well."""


def _spawn(argv, env, output):
    return subprocess.Popen(argv, env=env, stdout=output, cwd=_directory(argv),
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _directory(argv):
    """That of the program: what it writes stays there."""
    return os.path.dirname(argv[0]) or None


def timed(argv, env, mappings=False):
    """Wall and CPU seconds, page faults, peak RSS in MiB (of the largest process),
    and what it printed.  With [mappings], which costs it time, their peak too."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = _spawn(argv, env, output)
        counter = _MappingCounter(process.pid) if mappings else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().strip()
    if process.returncode != 0:
        raise Failed(f"{' '.join(argv)}: status {process.returncode}")
    result = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime,
              "user": usage.ru_utime, "faults": usage.ru_minflt,
              "rss": usage.ru_maxrss / 1024, "output": text}
    if counter:
        result["mappings"] = counter.peak()
    return result


class _MappingCounter:
    """Looks at /proc/PID/maps a hundred times a second, while PID runs."""

    def __init__(self, pid):
        self._path = f"/proc/{pid}/maps"
        self._peak = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        try:
            while True:
                with open(self._path, "rb") as f:
                    n = f.read().count(b"\n")
                if n == 0:
                    return
                self._peak = max(self._peak, n)
                time.sleep(0.01)
        except OSError:
            return

    def peak(self):
        self._thread.join()
        return self._peak


def sampled(tool, argv, env, interval_ms=20):
    """The same of the process and its descendants, with their summed PSS in MiB over
    time: mean, peak, at rest (the last look before the first of them ends), and the
    samples, (seconds, MiB) each."""
    with tempfile.TemporaryDirectory() as directory:
        samples = os.path.join(directory, "samples")
        # --json prints on stderr what the tool saw
        command = [tool, "run", "--interval", str(interval_ms), "--json",
                   "--samples", samples] + argv
        with tempfile.TemporaryFile("w+") as output:
            began = time.monotonic()
            process = subprocess.Popen(
                command, env=env, stdout=output, stderr=subprocess.PIPE, text=True)
            said = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().strip()
        if process.returncode != 0:
            raise Failed(f"{' '.join(command)}: status {process.returncode}: {said}")
        line = [l for l in (text + "\n" + said).splitlines() if l.startswith("{")][-1]
        seen = json.loads(line)
        with open(samples) as f:
            rows = [[float(v) for v in l.split("\t")] for l in f.readlines()[1:]]
    processes = max(r[1] for r in rows)
    text = "\n".join(l for l in text.splitlines() if not l.startswith("{"))
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime,
            "mean_pss": seen["pss"]["mean"] / MIB,
            "peak_pss": seen["pss"]["peak"] / MIB, "rest_pss": [r[2] for r in rows if r[1] == processes][-1],
            "output": text.strip(), "samples": [(r[0], r[2]) for r in rows]}


def memory_calls(argv, env):
    """How many system calls about memory, of all processes, by name."""
    with tempfile.NamedTemporaryFile("r") as counts:
        subprocess.run(
            ["strace", "-f", "-c", "-o", counts.name, "-e",
             "trace=mmap,munmap,madvise,mremap,mprotect,brk"] + argv,
            env=env, cwd=_directory(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=True)
        calls = {}
        for line in counts:
            match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$",
                             line)
            if match and match[2] != "total":
                calls[match[2]] = int(match[1])
    return calls


# Callgrind takes 35 times a compiler's time on the machine of the report.
CLOCK = "+0 x0.03"


def instructions(argv, env, slow_clock):
    """Instructions of the user's side, counted by callgrind.  What is done by the time,
    a major cycle of ours for one, it would do the more often the slower it is: with
    [slow_clock] time is slow too.  Looking at that costs instructions itself."""
    clock = ["faketime", "-m", "-f", CLOCK] if slow_clock else []
    result = subprocess.run(
        clock + ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"] + argv,
        env=env, cwd=_directory(argv), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=True)
    return int(re.findall(r"Collected : (\d+)", result.stderr)[-1])


def warm_memory(mib):
    """Touches and frees so much: memory that the machine has never touched costs
    seconds a GiB."""
    subprocess.run(
        ["python3", "-c", f"bytearray(b'x' * 1024) * (1024 * {mib})"], check=True)
