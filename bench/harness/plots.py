"""SVG plots, drawn by gnuplot."""

import os
import subprocess
import tempfile

# One a curve: all runtimes of bench/harness/runtimes.py
COLOURS = ("#e03131", "#1b6ca8", "#74c0fc", "#868e96", "#e8590c", "#2f9e44",
           "#9c36b5", "#f59f00", "#212529")

STYLE = """\
set terminal svg size 960,540 font 'sans-serif,13' background 'white'
set output '{path}'
set key outside below horizontal noenhanced
set grid back linecolor '#dddddd'
set border 3
set tics nomirror
set xrange [0:*]
set yrange [0:*]
"""


def over_time(curves, path, title, what, over="seconds", style="lines"):
    """[curves]: a name, and samples (second, or what it is [over], and MiB), each"""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        lines = []
        for i, (name, samples) in enumerate(curves):
            data = os.path.join(directory, str(i))
            with open(data, "w") as f:
                f.writelines(f"{t} {mib}\n" for t, mib in samples)
            lines.append(f"'{data}' with {style} linewidth 2 "
                         f"linecolor '{COLOURS[i]}' title '{name}'")
        script = STYLE.format(path=path) + (
            f"set xlabel '{over}'\nset ylabel '{what}, MiB'\n"
            f"set title '{title}' noenhanced\n"
            "plot " + ", ".join(lines) + "\n")
        subprocess.run(["gnuplot", "-"], input=script, text=True, check=True)


def workers(results, program, path):
    """Summed PSS over time, of all runtimes: the first round"""
    curves = [(runtime, row["samples"]) for runtime in results.runtimes("workers")
              for row in results.rows("workers", program=program, runtime=runtime)
              if "samples" in row]
    over_time(curves, path, "Forked workers that wait a second after each task, "
              f"OCaml {results.ocaml}", "summed PSS")


def limits(results, path):
    """PSS over time of what runs in cgroups"""
    curves = [(f"{row['runtime']}, {row['program']}", row["samples"])
              for row in results.rows("limits") if "samples" in row]
    over_time(curves, path, "300 MiB live, replaced all the time, in a cgroup of "
              f"so many times that, OCaml {results.ocaml}", "PSS")


def share(results, path):
    """Summed PSS of a parent and its workers, over their number"""
    curves = [(runtime, [(row["workers"], row["sum_pss"])
                         for row in results.rows("share", runtime=runtime)
                         if "workers" in row])
              for runtime in results.runtimes("share")]
    over_time(curves, path, "A parent of 200 MiB and its workers, two major cycles each, "
              f"OCaml {results.ocaml}", "summed PSS", "workers", "linespoints")
