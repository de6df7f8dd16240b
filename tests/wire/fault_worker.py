#!/usr/bin/env python3
"""A worker is killed: the connections of the others go on undisturbed, newcomers are served all the time, and the dead one is
replaced within 200 ms."""
import os, signal, time
from crowd import SCALE, children
from wire import Server, connect, done, equal, exchange, ok, read_response, settled

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def worker_of(s):
    s.sendall(GET)
    return int(read_response(s)[0].body.split()[1])


def workers(pid):
    out = []
    for child in children(pid):
        try:
            with open("/proc/%d/comm" % child) as f:
                out += [child] if f.read().strip() == "pool" else []
        except OSError:
            pass
    return out


for mode in ("reuseport", "exclusive", "notify", "fdpass"):
    server = Server("examples/pool", "tcp://127.0.0.1:{port}", "workers=2", "accept=" + mode)
    held = {}
    for i in range(400):  # one kept connection in each worker
        s = connect(server.port)
        if held.setdefault(worker_of(s), s) is not s:
            s.close()
        if len(held) == 2:
            break
    equal(len(held), 2, "%s: both workers serve" % mode)
    time.sleep(0.6)
    victim, other = sorted(held)
    os.kill(victim, signal.SIGKILL)
    began = time.time()
    replaced, worst, answers, pids = None, 0.0, 0, set()
    while time.time() - began < 1.5:
        t = time.time()
        answers += exchange(server.port, LAST).startswith(b"HTTP/1.1 200")
        worst = max(worst, time.time() - t)
        pids.add(worker_of(held[other]))
        now = workers(server.process.pid)
        if replaced is None and len(now) == 2 and victim not in now:
            replaced = time.time() - began
        time.sleep(0.002)
    ok(replaced is not None and replaced < 0.2 * SCALE, "%s: replaced after %.0f ms" % (mode, (replaced or 9) * 1000))
    equal(pids, {other}, "%s: the other worker's connection goes on" % mode)
    ok(answers > 50 and worst < 0.2 * SCALE, "%s: %d newcomers answered, the slowest in %.0f ms" % (mode, answers, worst * 1000))
    held[victim].settimeout(1)
    try:
        gone = held[victim].recv(1)
    except ConnectionResetError:
        gone = b""
    equal(gone, b"", "%s: who was with the dead one is told at once" % mode)
    for s in held.values():
        s.close()
    equal(settled(server.port), (0, 0), "%s: Recv-Q and CLOSE_WAIT are 0" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)
done()
