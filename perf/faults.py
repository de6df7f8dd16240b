#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Faults while traffic goes on: a logger that stands still, a worker that dies, no descriptors left.

    perf/faults.py [--build build] [--stopped 60] [--kills 5] [--only logger,worker,fds] [--json FILE]

logger  perf/logged writes a line for each request; 64 connections ask without pause, in windows of 5 s. The
        median p99 of the windows while the logger is stopped (SIGSTOP) against the median of those before and
        after. Goal: at most 1.2 times.
worker  examples/pool with 2 workers; one is killed with SIGKILL. How long until its successor has answered,
        and whether connections of the other worker noticed. Goal: 200 ms, none.
fds     examples/pool with 64 descriptors and 300 clients that keep on trying. CPU time of the server during the
        shortage, then how long until a newcomer is answered. Goal: 5 % of a core, 1 s.

Exit status 1 if a goal is missed.
"""
import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PORT = 18870
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def start(argv):
    server = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return server
        except OSError:
            time.sleep(0.02)
    server.kill()
    raise SystemExit(f"{argv[0]} does not listen")


def stop(server):
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(c) for c in f.read().split()]


def cpu_s(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()


def ask(s):
    """The body of the answer."""
    s.sendall(GET)
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"\n"):
        more = s.recv(4096)
        if not more:
            raise ConnectionError("closed")
        data += more
    return data.split(b"\r\n\r\n", 1)[1].decode()


def connect():
    s = socket.create_connection(("127.0.0.1", PORT), 2)
    s.settimeout(2)
    return s


# ---- a logger that stands still ---------------------------------------------------------------------------

def window(a, seconds=5):
    out = subprocess.check_output([os.path.join(a.build, "perf/load"), "-p", str(PORT), "-m", "http", "-c", "64",
                                   "-t", str(seconds)], text=True).split()
    return {out[i]: float(out[i + 1]) for i in range(0, len(out), 2)}


def logger(a):
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        server = start([os.path.join(a.build, "perf/logged"), f"tcp://127.0.0.1:{PORT}", log])
        try:
            found = [c for c in children(server.pid) if name_of(c).startswith("logger")]
            if len(found) != 1:
                raise SystemExit("no logger process among the children")
            window(a, 1)
            going = [window(a) for _ in range(3)]
            os.kill(found[0], signal.SIGSTOP)
            stopped = [window(a) for _ in range(max(1, round(a.stopped / 5)))]
            os.kill(found[0], signal.SIGCONT)
            window(a, 1)
            going += [window(a) for _ in range(3)]
        finally:
            stop(server)
        with open(log, encoding="utf-8", errors="replace") as f:
            dropped = sum("log_dropped" in line for line in f)
    p99 = {k: statistics.median(w["p99_us"] for w in v) for k, v in (("going", going), ("stopped", stopped))}
    return {"p99_us": p99["going"], "p99_us_stopped": p99["stopped"], "ratio": p99["stopped"] / p99["going"],
            "errors": sum(w["errors"] for w in going + stopped), "stopped_s": 5 * len(stopped),
            "says_dropped": dropped > 0}


# ---- a worker that dies -----------------------------------------------------------------------------------

def held_by(pid, n):
    """n connections that worker pid serves."""
    held = []
    for _ in range(400):
        s = connect()
        if ask(s).split() == ["worker", str(pid)]:
            held.append(s)
        else:
            s.close()
        if len(held) == n:
            return held
    raise SystemExit("connections do not reach every worker")


def workers_now():
    seen = set()
    for _ in range(40):
        with connect() as s:
            seen.add(int(ask(s).split()[1]))
    return seen


def until_replaced(known):
    began = time.monotonic()
    while time.monotonic() - began < 10:
        try:
            with connect() as s:
                if int(ask(s).split()[1]) not in known:
                    return (time.monotonic() - began) * 1000
        except OSError:
            pass
    return 10000.0


def worker(a):
    server = start([os.path.join(a.build, "examples/pool"), f"tcp://127.0.0.1:{PORT}", "workers=2"])
    took, disturbed = [], 0
    try:
        for _ in range(a.kills):
            known = workers_now()
            victim, other = sorted(known)
            held = held_by(other, 10)
            os.kill(victim, signal.SIGKILL)
            took.append(until_replaced(known))
            for s in held:
                try:
                    disturbed += ask(s).split()[1] != str(other)
                except OSError:
                    disturbed += 1
                s.close()
            time.sleep(3)
    finally:
        stop(server)
    return {"kills": a.kills, "median_ms": statistics.median(took), "worst_ms": max(took), "others_disturbed": disturbed}


# ---- no descriptors left ----------------------------------------------------------------------------------

def attempt():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", PORT))
    return s


def closed(s):
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def persist(crowd, seconds):
    """Who was turned away tries again."""
    end = time.monotonic() + seconds
    again = 0
    while time.monotonic() < end:
        time.sleep(0.05)
        for i, s in enumerate(crowd):
            if closed(s):
                s.close()
                crowd[i] = attempt()
                again += 1
    return again


def fds(a):
    server = start([os.path.join(a.build, "examples/pool"), f"tcp://127.0.0.1:{PORT}", "fds=64"])
    try:
        crowd = [attempt() for _ in range(300)]
        persist(crowd, 1)
        before = cpu_s(server.pid)
        again = persist(crowd, 5)
        used = (cpu_s(server.pid) - before) / 5
        for s in crowd:
            s.close()
        began = time.monotonic()
        with connect() as s:
            ask(s)
        return {"cpu_percent": used * 100, "recovery_ms": (time.monotonic() - began) * 1000, "retries": again}
    finally:
        stop(server)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build")
    ap.add_argument("--stopped", type=float, default=60, help="seconds that the logger stands still")
    ap.add_argument("--kills", type=int, default=5)
    ap.add_argument("--only", default="logger,worker,fds")
    ap.add_argument("--json")
    a = ap.parse_args()
    only, result, good = a.only.split(","), {"command": " ".join(sys.argv)}, []

    def say(fault, what, got, goal, met):
        good.append(met)
        print(f"| {fault} | {what} | {got} | {goal} | {'yes' if met else '**no**'} |", flush=True)

    print("| fault | figure | measured | goal | met |\n|---|---|--:|--:|---|")
    if "logger" in only:
        r = result["logger"] = logger(a)
        say(f"logger stopped {r['stopped_s']:.0f} s", "p99 against before and after",
            f"{r['p99_us_stopped']:.0f} / {r['p99_us']:.0f} us = {r['ratio']:.2f}", "1.2",
            r["ratio"] <= 1.2 and r["errors"] == 0)
    if "worker" in only:
        r = result["worker"] = worker(a)
        say("worker killed", "replaced after (worst)", f"{r['worst_ms']:.0f} ms", "200 ms", r["worst_ms"] <= 200)
        say("worker killed", "other worker's connections disturbed", r["others_disturbed"], "0", r["others_disturbed"] == 0)
    if "fds" in only:
        r = result["fds"] = fds(a)
        say("no descriptors", "CPU of the server", f"{r['cpu_percent']:.1f} %", "5 %", r["cpu_percent"] < 5)
        say("no descriptors", "newcomer answered after", f"{r['recovery_ms']:.0f} ms", "1000 ms", r["recovery_ms"] <= 1000)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
