#!/usr/bin/env python3
"""libweir's examples against the floor (perf/bare_epoll.c), side by side: CPU time of the server per request.

    perf/compare_floor.py [--build build] [--rounds 5] [--secs 2] [--only keepalive,short,echo,frame] [--json FILE]
                          [--floor 'COMMAND with {port}']

Server on core 0, generator (perf/load.c) on core 1; rounds interleaved, the order turned around every round; the figure of a
row is the median over the rounds, its ratio the median of the rounds' ratios. Everything stays on 127.0.0.1 and ends by itself.
Exit status 1 when a ratio is over 1.05.
"""
import argparse, json, os, platform, signal, socket, statistics, subprocess, sys, time

PORT = 18380
GOAL = 1.05
# name, generator mode, connections, floor's options, example and its options
WORK = [
    ("keepalive", "keep-alive, 1 connection", "http", 1, "-m http", "hello", ""),
    ("keepalive", "keep-alive, 64", "http", 64, "-m http", "hello", ""),
    ("keepalive", "keep-alive, 512", "http", 512, "-m http", "hello", ""),
    ("keepalive", "keep-alive, 4000", "http", 4000, "-m http", "hello", ""),
    ("short", "short, both TCP_DEFER_ACCEPT", "close", 64, "-m http -d -i", "hello", "defer=1"),
    ("short", "short, both without", "close", 64, "-m http -i", "hello", ""),
    ("echo", "echo 64 bytes, 64", "echo", 64, "-m echo", "echo", ""),
    ("frame", "framed echo 64 bytes, 64", "frame", 64, "-m frame", "framed_echo", ""),
]


def cpu_ns(pid):
    total = 0
    for t in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, t)) as f:
            total += int(f.read().split()[0])
    return total


def start(argv, port):
    p = subprocess.Popen(["taskset", "-c", "0"] + argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(100):
        time.sleep(0.02)
        if p.poll() is not None:
            raise SystemExit("%s ended: %s" % (" ".join(argv), p.stderr.read().decode()))
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return p
        except OSError:
            pass
    p.kill()
    raise SystemExit("%s does not listen on port %d" % (" ".join(argv), port))


def load(a, mode, conns, secs, port):
    out = subprocess.check_output(["taskset", "-c", "1", os.path.join(a.build, "perf/load"), "-p", str(port), "-m", mode, "-c", str(conns),
                                   "-t", str(secs)], text=True).split()
    return {out[i]: float(out[i + 1]) for i in range(0, len(out), 2)}


def once(a, argv, mode, conns, port):
    p = start([w.format(port=port) for w in argv], port)
    try:
        load(a, mode, min(conns, 64), 0.3, port)
        before = cpu_ns(p.pid)
        r = load(a, mode, conns, a.secs, port)
        r["us"] = (cpu_ns(p.pid) - before) / 1e3 / max(r["requests"], 1)
        r["rps"] = r["requests"] / r["seconds"]
        return r
    finally:
        p.send_signal(signal.SIGKILL)
        p.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--secs", type=float, default=2)
    ap.add_argument("--only", default="")
    ap.add_argument("--json")
    ap.add_argument("--floor", help="another program as the floor of the HTTP rows")
    a = ap.parse_args()
    port, rows = PORT, []
    print("| workload | floor us/request | libweir us/request | ratio | floor req/s | libweir req/s | errors |\n|---|--:|--:|--:|--:|--:|--:|")
    for group, title, mode, conns, floor_args, example, option in WORK:
        if a.only and group not in a.only.split(","):
            continue
        exe = os.path.join(a.build, "examples", example)
        if not os.path.exists(exe):
            print("| %s | not built: %s | | | | | |" % (title, exe))
            continue
        floor = a.floor.split() if a.floor and mode in ("http", "close") else [os.path.join(a.build, "perf/bare_epoll"), "-p", "{port}"]
        floor += floor_args.split() if not a.floor else ["-d", "1", "-i"] if "-d" in floor_args else ["-i"] if "-i" in floor_args else []
        ours = [exe, "tcp://127.0.0.1:{port}"] + ([option] if option else [])
        got = {"floor": [], "ours": []}
        for r in range(a.rounds):
            order = [("floor", floor), ("ours", ours)]
            for name, argv in order if r % 2 == 0 else order[::-1]:
                port = PORT + (port - PORT + 1) % 1000
                got[name].append(once(a, argv, mode, conns, port))
        med = lambda n, k: statistics.median(x[k] for x in got[n])
        row = {"workload": title, "floor_us": med("floor", "us"), "us": med("ours", "us"),
               "ratio": statistics.median(o["us"] / f["us"] for o, f in zip(got["ours"], got["floor"])),
               "floor_rps": med("floor", "rps"), "rps": med("ours", "rps"),
               "errors": sum(x["errors"] for n in got for x in got[n])}
        rows.append(row)
        print("| {workload} | {floor_us:.2f} | {us:.2f} | {ratio:.3f} | {floor_rps:.0f} | {rps:.0f} | {errors:.0f} |".format(**row), flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"command": " ".join(sys.argv), "kernel": platform.release(), "cores": os.cpu_count(), "rounds": a.rounds, "rows": rows}, f, indent=1)
    return 0 if all(r["ratio"] <= GOAL for r in rows) else 1


sys.exit(main())
