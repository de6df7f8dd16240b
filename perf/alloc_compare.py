#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The library's pools and arenas beside malloc: time of the request loop, memory after a pile-up.

    perf/alloc_compare.py [--build build] [--rounds 7] [--requests 1000000] [--cpu 1] [--json FILE]
                          [NAME=PATH.so ...]

mem_conns and mem_spike use the library; malloc_conns and malloc_spike do the same work with malloc, once
for the C library and once for each NAME=PATH.so (default: tcmalloc=Debian's libtcmalloc-minimal4).
Rounds are interleaved in a new order each time, so that drift of the machine hits everybody alike; what
is printed are medians. A program that fails, or whose .so was not loaded, counts as failed, not as fast.
Exit status 1 if a goal is missed: conns at most half of tcmalloc's time, spike at most 16 MiB after two
seconds asleep.
"""
import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys

TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"


def run(cmd, preload, cpu):
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    if preload:
        env["LD_PRELOAD"] = preload
    p = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=120,
                       preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    if p.returncode != 0 or "cannot be preloaded" in p.stderr:
        raise RuntimeError(f"{' '.join(cmd)}: status {p.returncode} {p.stderr.strip()[:200]}")
    return {k: float(v) for k, v in re.findall(r"^(\w+) ([0-9.]+)$", p.stdout, re.M)}


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build")
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--spike-rounds", type=int, default=2)
    ap.add_argument("--requests", type=int, default=1000000)
    ap.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    ap.add_argument("--json")
    ap.add_argument("malloc", nargs="*", help="NAME=PATH.so")
    a = ap.parse_args()
    perf = os.path.join(a.build, "perf")
    mallocs = dict(m.split("=", 1) for m in a.malloc) or {"tcmalloc": TCMALLOC}
    who = {"libweir": ("mem", None), "glibc": ("malloc", None)}
    for name, path in mallocs.items():
        if not os.path.exists(path):
            print(f"{name}: no {path} (apt-get install libtcmalloc-minimal4)", file=sys.stderr)
            return 2
        who[name] = ("malloc", path)

    conns = {w: [] for w in who}
    spike = {w: [] for w in who}
    for r in range(a.rounds):
        for w in random.sample(list(who), len(who)):
            kind, preload = who[w]
            out = run([f"{perf}/{kind}_conns", str(a.requests)], preload, a.cpu)
            conns[w].append(out["ns_per_request"])
            if r < a.spike_rounds:
                spike[w].append(run([f"{perf}/{kind}_spike", "2"], preload, a.cpu))

    result = {"command": " ".join(sys.argv), "rounds": a.rounds, "conns_ns": {}, "spike_mib": {}}
    print("| memory of requests | ns/request | least | against libweir | pile-up, MiB | right after | after 2 s asleep |\n"
          "|---|--:|--:|--:|--:|--:|--:|")
    base = statistics.median(conns["libweir"])
    for w in who:
        ns = statistics.median(conns[w])
        mib = {k: statistics.median(s[k] for s in spike[w]) for k in ("rss_peak", "rss_after", "rss_2s")}
        result["conns_ns"][w] = ns
        result["spike_mib"][w] = mib
        print(f"| {w} | {ns:.1f} | {min(conns[w]):.1f} | {ns / base:.2f} | {mib['rss_peak']:.1f} | "
              f"{mib['rss_after']:.1f} | {mib['rss_2s']:.1f} |")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    goals = [("spike after 2 s asleep <= 16 MiB", result["spike_mib"]["libweir"]["rss_2s"] <= 16)]
    if "tcmalloc" in who:
        half = base <= 0.5 * result["conns_ns"]["tcmalloc"]
        goals.append(("conns <= half of tcmalloc", half))
    print()
    for text, met in goals:
        print(f"- {text}: {'met' if met else '**missed**'}")
    return 0 if all(met for _, met in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
