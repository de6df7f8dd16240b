#!/usr/bin/env python3
"""The books of a whole service, read from outside while it runs: after a load with kills, in every accept mode, every connection
that entered has left, in order or not, and what the clients saw agrees with what the board says."""
import os, signal, subprocess, time
from crowd import SCALE, Crowd, children
from wire import BUILD, Server, done, equal, ok

TOTAL = 6000 // SCALE
WIDTH = 64
CONNECTION = "server/connection"


def name(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


def board(pid):
    out = subprocess.run([os.path.join(BUILD, "tests", "board_read"), str(pid)], capture_output=True, text=True, timeout=20)
    words = {}
    for line in out.stdout.splitlines():
        kind, key, *values = line.split()
        words[key] = [int(v) for v in values] if kind == "stage" else int(values[0])
    return words


def at_rest(pid, seconds=5):
    """The board, once nothing is in flight, or after that time."""
    end = time.time() + seconds
    while True:
        words = board(pid)
        flight = [k for k, v in words.items() if isinstance(v, list) and v[0] != v[1] + v[2]]
        if not flight or time.time() > end:
            return words, flight
        time.sleep(0.05)


for mode in ("reuseport", "exclusive", "notify", "fdpass"):
    server = Server("examples/pool", "tcp://127.0.0.1:{port}", "workers=4", "accept=" + mode, "delay_ms=5")
    master = server.process.pid
    # Without kills everything is exact; one connection more is the knock that found it listening.
    calm = Crowd(server.port, 1000 // SCALE, 32, 60).run()
    words, flight = at_rest(master)
    entered, good, bad = words.get(CONNECTION, [0, 0, 0])
    equal(flight, [], "%s: nothing is in flight at rest" % mode)
    equal((entered, good, bad), (calm.answered + 1, calm.answered + 1, 0), "%s: as many connections as clients, all in order" % mode)
    equal(words.get("weir_connections_accepted_total"), entered, "%s: accepted = entered" % mode)
    equal(words.get("weir_connections_open"), 0, "%s: none is open" % mode)
    state = {"next": TOTAL // 8, "killed": 0, "wrong": 0}

    def kill_and_look():  # by progress, not by the clock: a fast machine has no less of it
        if crowd.started < state["next"]:
            return
        state["next"] += TOTAL // 8
        pids = [p for p in children(master) if name(p) == "pool"]
        if pids:
            os.kill(pids[state["killed"] % len(pids)], signal.SIGKILL)
            state["killed"] += 1
        e, g, b = board(master).get(CONNECTION, [0, 1, 0])
        state["wrong"] += e < g + b  # more left than entered: never, at any moment

    crowd = Crowd(server.port, TOTAL, WIDTH, 100, kill_and_look)
    crowd.run()
    words, flight = at_rest(master)
    e, g, b = words.get(CONNECTION, [0, 0, 0])
    e, g, b = e - entered, g - good, b - bad
    ok(crowd.hung == crowd.refused == crowd.outside == 0, "%s: %d workers killed: %s" % (mode, state["killed"], crowd.words()))
    ok(state["killed"] > 2 and state["wrong"] == 0, "%s: at no moment had more left than entered" % mode, state)
    equal(flight, [], "%s: entered = ok + failed in every stage, the dead ones' included" % mode)
    ok(g <= crowd.answered <= g + b, "%s: who was answered had come in" % mode, "ok %d failed %d: %s" % (g, b, crowd.words()))
    # A worker may die between accept and its note of it: a connection each, or a burst of them that was being passed on.
    lost = TOTAL - e
    ok(0 <= lost <= state["killed"] * WIDTH, "%s: %d of %d died unnoted" % (mode, lost, TOTAL))
    ok(crowd.cut >= lost, "%s: and these were cut" % mode, crowd.words())
    equal(words.get("weir_connections_open"), 0, "%s: none is open" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)
done()
