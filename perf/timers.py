#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What deadlines of a million idle connections cost: base_wheel_bench, a few times.

    perf/timers.py [--build build] [--rounds 3] [--json FILE]

Medians. Exit status 1 when a goal is missed: a refresh at most 15 ns, re-placement at most 0.5 % of a core.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

ROWS = [  # title, pattern of the bench's line, unit, goal
    ("writing one word of each connection (the cache misses alone)", r"^touch +([\d.]+)", "ns", None),
    ("refreshing a deadline of one of a million connections", r"^deadline \(one store\) +([\d.]+)", "ns", 15),
    ("the same by moving a timer in the wheel", r"^timer moved in wheel +([\d.]+)", "ns", None),
    ("the same in a binary heap", r"^binary heap +([\d.]+)", "ns", None),
    ("re-placement, 60 s limits, all connections busy", r"^re-placement .*: ([\d.]+) % of a core", "% of a core", 0.5),
    ("longest advance of the wheel", r"^longest advance +([\d.]+)", "ms", None),
]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--json")
    a = ap.parse_args()
    bench = os.path.join(a.build, "libweir/base_wheel_bench")
    runs = [subprocess.check_output([bench], text=True) for _ in range(a.rounds)]
    result, good = {"command": " ".join(sys.argv), "rows": []}, True
    print("| timers | measured | goal |\n|---|--:|--:|")
    for title, pattern, unit, goal in ROWS:
        value = statistics.median(float(re.search(pattern, r, re.M).group(1)) for r in runs)
        good = good and (goal is None or value <= goal)
        result["rows"].append({"row": title, "value": value, "unit": unit, "goal": goal})
        print(f"| {title} | {value:g} {unit} | {f'{goal:g} {unit}' if goal else ''} |")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
