"""What was measured, in one file a version: bench/results/VERSION.json.

In memory each run of a program is a row: a dict with the program, the runtime, the
round and a figure for each column.  In the file each program on each runtime has a
line, with the figures of all rounds side by side, to six digits.  What only one run
showed, and no round, has a line of its own."""

import json

DIGITS = 6
KEYS = ("program", "runtime", "round")


def shortened(x):
    if isinstance(x, list):
        return [shortened(y) for y in x]
    return float(f"{x:.{DIGITS}g}") if isinstance(x, float) else x


def joined(rows):
    """Lines of the file, from rows of one group"""
    lines = {}
    for row in rows:
        key = row["program"], row["runtime"], "round" in row
        lines.setdefault(key, []).append(row)
    for (program, runtime, rounds), found in lines.items():
        columns = dict.fromkeys(c for row in found for c in row if c not in KEYS)
        line = {"program": program, "runtime": runtime}
        if rounds:
            line["rounds"] = [row["round"] for row in found]
        for column in columns:
            values = [shortened(row.get(column)) for row in found]
            # what only the first round has, as the plot's samples, is kept once
            only_first = rounds and values[1:] == [None] * (len(values) - 1)
            line[column] = values[:1] if only_first else values
        yield line


def parted(line):
    """Rows, from a line of the file"""
    rounds = line.get("rounds", [None])
    columns = {c: v for c, v in line.items() if c not in ("program", "runtime", "rounds")}
    for i, number in enumerate(rounds):
        row = {"program": line["program"], "runtime": line["runtime"]}
        if number is not None:
            row["round"] = number
        row.update({c: v[i] for c, v in columns.items()
                    if i < len(v) and v[i] is not None})
        yield row


def load(path):
    with open(path) as f:
        data = json.load(f)
    data["groups"] = {name: [row for line in lines for row in parted(line)]
                      for name, lines in data["groups"].items()}
    return data


def save(path, data):
    head = {k: v for k, v in data.items() if k != "groups"}
    groups = [f' {json.dumps(name)}: [\n' + ",\n".join(
        "  " + json.dumps(line, separators=(",", ":")) for line in joined(rows)) + "\n ]"
        for name, rows in data["groups"].items()]
    with open(path, "w") as f:
        f.write(json.dumps(head, indent=1)[:-2] + ',\n "groups": {\n'
                + ",\n".join(groups) + "\n}}\n")
