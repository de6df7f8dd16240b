#!/usr/bin/env python3
"""Reloads under keep-alive and short-connection load: not one request may fail.

    tests/soak/reloads.py [--reloads 1000] [--every 0.2] [--bad 20]

Every --bad-th file is broken: it must change nothing. Says how many requests were asked, how many failed, and the master's descriptors
and memory before and after; exit 1 when one failed.
"""
import os, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "wire"))
from weir_site import Load, Site, wait_for


def option(name, default):
    return type(default)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def look(pid):
    with open("/proc/%d/status" % pid) as f:
        rss = [int(line.split()[1]) for line in f if line.startswith("RssAnon")][0]
    return len(os.listdir("/proc/%d/fd" % pid)), rss


def main():
    n, every, bad = option("--reloads", 1000), option("--every", 0.2), option("--bad", 20)
    s = Site(main="worker_shutdown_timeout 5s;")
    load = Load(s.port)
    time.sleep(1)
    before = look(s.pid())
    broken = 0
    for i in range(1, n + 1):
        s.write("location = /x { return 200 'g%d'; }" % i + ("nonsense;" if i % bad == 0 else ""))
        broken += i % bad == 0
        s.kill(signal.SIGHUP)
        time.sleep(every)
    s.write("location = /x { return 200 'last'; }")
    s.kill(signal.SIGHUP)
    good = wait_for(lambda: s.get()[1] == b"last", 20)
    load.stop()
    time.sleep(1)
    after, j = look(s.pid()), s.status()
    print("%d reloads (%d of them of broken files): %d requests, %d failed, %d idle connections asked again" % (n, broken, load.asked, len(load.failed), load.again))
    print("taken %d, refused %d; master: descriptors %d -> %d, private memory %d -> %d KiB; deaths %d" % (j["reloads"], j["reloads_failed"], before[0], after[0], before[1], after[1], j["deaths"]))
    for line in load.failed[:10]:
        print("  " + line)
    s.stop()
    return 0 if good and not load.failed and j["deaths"] == 0 else 1


sys.exit(main())
