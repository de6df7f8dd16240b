#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What an idle connection costs the server in user memory.

    perf/idle.py [--build build] [--conns 19000] [--quiet SECONDS] [--json FILE]

Opens the connections, has one request answered on each, leaves them alone, and divides the growth of the
server's resident private memory by their number. The growth counts everything: connection, timer, slots of
the tables, slack of the pools. Rows: the HTTP hello, framed echo, and the floor for comparison. While they idle
the server's CPU time is measured too. Exit status 1 when a row of the library is over 512 bytes.
"""
import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import time

HTTP = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FRAME = b"\0\0\0\4ping"
ROWS = [
    ("HTTP, keep-alive", "examples/hello", ["tcp://127.0.0.1:{port}"], HTTP, True),
    ("framed", "examples/framed_echo", ["tcp://127.0.0.1:{port}"], FRAME, True),
    ("floor (bare epoll)", "perf/bare_epoll", ["-p", "{port}", "-m", "http"], HTTP, False),
]
GOAL = 512


def private_bytes(pid):
    """Resident pages that are not a file's: heap, mappings, stack."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return sum(int(line.split()[1]) * 1024 for line in f if line.startswith(("RssAnon", "RssShmem")))


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0])


def allow_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")


def ask(s, request):
    s.sendall(request)
    if not s.recv(4096):
        raise SystemExit("closed instead of answered")


def row(a, name, exe, args, request, port):
    server = subprocess.Popen([os.path.join(a.build, exe)] + [w.format(port=port) for w in args],
                              stderr=subprocess.DEVNULL, preexec_fn=allow_files)
    socks = []
    try:
        first = connect(port)
        ask(first, request)
        time.sleep(0.2)
        before = private_bytes(server.pid)
        for _ in range(a.conns):
            socks.append(connect(port))
            ask(socks[-1], request)
        time.sleep(1)
        used, cpu = private_bytes(server.pid) - before, cpu_ns(server.pid)
        time.sleep(a.quiet)
        idle = (cpu_ns(server.pid) - cpu) / (a.quiet * 1e9) * 100
        return {"row": name, "connections": a.conns, "bytes_each": used / a.conns, "idle_cpu_percent": idle}
    finally:
        for s in socks:
            s.close()
        server.kill()
        server.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build")
    ap.add_argument("--conns", type=int, default=19000)
    ap.add_argument("--quiet", type=float, default=5)
    ap.add_argument("--json")
    a = ap.parse_args()
    allow_files()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < a.conns + 64:
        raise SystemExit(f"too few descriptors for {a.conns} connections: ulimit -Hn")
    print("| idle connections | number | bytes of user memory each | CPU while idle |\n|---|--:|--:|--:|")
    rows, good = [], True
    for i, (name, exe, args, request, ours) in enumerate(ROWS):
        r = row(a, name, exe, args, request, 18980 + i)
        rows.append(r)
        good = good and (not ours or r["bytes_each"] <= GOAL)
        print(f"| {name} | {r['connections']} | {r['bytes_each']:.0f} | {r['idle_cpu_percent']:.2f} % |", flush=True)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump({"command": " ".join(sys.argv), "goal_bytes": GOAL, "rows": rows}, f, indent=1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
