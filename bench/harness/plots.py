"""SVG plots, drawn by gnuplot."""

import os
import subprocess
import tempfile

COLOURS = ("#e03131", "#1b6ca8", "#74c0fc", "#868e96", "#e8590c", "#2f9e44")

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


def workers(results, program, path):
    """Summed PSS over time, of all runtimes: the first round"""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        lines = []
        for i, runtime in enumerate(results.runtimes("workers")):
            rows = [r for r in results.rows("workers", program=program, runtime=runtime)
                    if "samples" in r]
            data = os.path.join(directory, str(i))
            with open(data, "w") as f:
                f.writelines(f"{t} {mib}\n" for t, mib in rows[0]["samples"])
            lines.append(f"'{data}' with lines linewidth 2 "
                         f"linecolor '{COLOURS[i]}' title '{runtime}'")
        script = STYLE.format(path=path) + (
            "set xlabel 'seconds'\nset ylabel 'summed PSS, MiB'\n"
            f"set title 'Forked workers that wait a second after each task, "
            f"OCaml {results.ocaml}' noenhanced\n"
            "plot " + ", ".join(lines) + "\n")
        subprocess.run(["gnuplot", "-"], input=script, text=True, check=True)
