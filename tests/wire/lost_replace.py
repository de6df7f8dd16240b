#!/usr/bin/env python3
"""All workers are replaced under load (SIGUSR2), again and again: not one connection is cut."""
import signal, time
from crowd import SCALE, Crowd
from wire import Server, done, equal, ok, settled

TOTAL = 12000 // SCALE

for mode in ("reuseport", "exclusive", "notify", "fdpass"):
    server = Server("examples/pool", "tcp://127.0.0.1:{port}", "workers=3", "accept=" + mode, "delay_ms=8")
    state = {"next": time.time() + 0.3, "n": 0}

    def replace():
        if time.time() > state["next"] and state["n"] < 4:
            state["next"] = time.time() + 0.5
            state["n"] += 1
            server.process.send_signal(signal.SIGUSR2)

    crowd = Crowd(server.port, TOTAL, 48, 100, replace).run()
    ok(state["n"] >= 2, "%s: workers replaced %d times" % (mode, state["n"]))
    equal((crowd.answered, crowd.cut, crowd.refused, crowd.hung, crowd.outside), (TOTAL, 0, 0, 0, 0), "%s: nothing was lost" % mode)
    ok(len(crowd.bodies) > 3, "%s: by old workers and new ones" % mode, crowd.bodies)
    equal(settled(server.port), (0, 0), "%s: Recv-Q and CLOSE_WAIT are 0" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)
done()
