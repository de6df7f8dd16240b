#!/usr/bin/env python3
"""Workers are killed under load: what is lost is what was under way in them, and it is all found again afterwards.

    test_kill.py [--seconds 3 --every 0.2]
"""
import os, random, signal, subprocess, sys, time

from weir_site import WEIR, Load, Site, alive, wait_for
from wire import connect, done, equal, ok


def option(name, default):
    return type(default)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def killed_under_load(seconds, every):
    s = Site()
    load = Load(s.port, kept=3, short=3)
    kills, slow = 0, 0.0
    end = time.time() + seconds
    while time.time() < end:
        now = s.workers()
        if now:
            try:
                os.kill(random.choice(now), signal.SIGKILL)
                kills += 1
            except OSError:
                pass
        time.sleep(every)
    ok(wait_for(lambda: len(s.workers()) == 2, 10), "after %d kills there are two workers" % kills)
    load.stop()
    ok(len(load.failed) <= kills * 6, "%d of %d requests were lost, at most those under way (6 clients, %d kills)" % (len(load.failed), load.asked, kills), "\n".join(load.failed[:5]))
    ok(wait_for(s.answers), "it serves")
    equal(s.status()["deaths"] >= kills - 1, True, "deaths are counted")
    s.stop()


def postmortem():
    s = Site(server="location = /x { return 200 'hi'; }")
    c = [connect(s.port) for _ in range(4)]
    for one in c:
        one.sendall(b"GET /x?token=s HTTP/1.1\r\nHost: localhost\r\n\r\n")
        one.recv(4096)
    time.sleep(0.7)
    held = {}
    for row in s.status()["connections"]:
        held.setdefault(row["worker"], []).append(row["peer"])
    workers = {w["worker"]: w["pid"] for w in s.status()["workers"]}
    index = max(held, key=lambda w: len(held[w]))
    victim = workers[index]
    os.kill(victim, signal.SIGKILL)
    ok(s.logged("worker process %d exited on signal 9" % victim), "the log says how it ended")
    ok(s.logged("postmortem of worker process %d" % victim), "and where its last words are")
    r = subprocess.run([WEIR, "postmortem", s.path("logs")], capture_output=True, text=True)
    ok(r.returncode == 0 and "pid %d" % victim in r.stdout, "weir postmortem prints them", r)
    ok(all("peer=" + p in r.stdout for p in held[index]), "with the connections that it held", r.stdout)
    ok("token" not in r.stdout and "GET /x" in r.stdout, "and their requests, without queries")
    ok(r.stdout.count("reply") >= 1 or "REPLY" in r.stdout, "and its last events", r.stdout)
    ok(all(line.lstrip().startswith(time.strftime("%Y-", time.gmtime())) for line in r.stdout.split("its last events:\n")[1].splitlines()), "of today", r.stdout)
    equal(subprocess.run([WEIR, "postmortem", "--pid", "1", s.path("logs")], capture_output=True).returncode, 1, "a pid that it does not know")
    s.stop()


killed_under_load(option("--seconds", 3.0), option("--every", 0.2))
if "--seconds" not in sys.argv:
    postmortem()
done()
