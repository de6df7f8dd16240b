#!/usr/bin/env python3
"""Short connections while workers are killed every 200 ms, in every accept mode: each is answered, or cut with the worker that
held it; none hangs, none is refused, and the dead are replaced."""
import os, signal, time
from crowd import SCALE, Crowd, children
from wire import Server, done, equal, ok, settled

TOTAL = 10000 // SCALE
WIDTH = 64


def name(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


for mode in ("reuseport", "exclusive", "notify", "fdpass"):
    server = Server("examples/pool", "tcp://127.0.0.1:{port}", "workers=4", "accept=" + mode, "delay_ms=15")

    def workers():
        return [p for p in children(server.process.pid) if name(p) == "pool"]

    state = {"next": time.time() + 0.2, "killed": 0}

    def kill_one():
        if time.time() < state["next"]:
            return
        state["next"] = time.time() + 0.2
        pids = workers()
        if pids:
            os.kill(pids[state["killed"] % len(pids)], signal.SIGKILL)
            state["killed"] += 1

    crowd = Crowd(server.port, TOTAL, WIDTH, 100, kill_one).run()
    ok(crowd.hung == crowd.refused == crowd.outside == 0, "%s: %d workers killed: %s" % (mode, state["killed"], crowd.words()))
    ok(crowd.answered + crowd.cut == TOTAL, "%s: every connection was answered or cut" % mode, crowd.words())
    ok(crowd.cut <= state["killed"] * WIDTH, "%s: at most what the dead held was cut" % mode, crowd.words())
    ok(state["killed"] > 2, "%s: the killing took place" % mode)
    end = time.time() + 5
    while len(workers()) < 4 and time.time() < end:
        time.sleep(0.02)
    equal(len(workers()), 4, "%s: the dead are replaced" % mode)
    time.sleep(0.3)
    late = Crowd(server.port, 1000, 32, 20).run()
    equal((late.answered, late.hung), (1000, 0), "%s: afterwards everything is answered" % mode)
    ok(len(late.bodies) >= 2, "%s: by several workers" % mode, late.bodies)
    equal(settled(server.port), (0, 0), "%s: Recv-Q and CLOSE_WAIT are 0" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)
done()
