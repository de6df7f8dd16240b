#!/usr/bin/env python3
"""The logger stands still: who logs does not notice. Rounds with the logger running and stopped take turns."""
import os, signal, statistics, time
from crowd import logger_of
from wire import BUILD, Server, connect, done, equal, ok

log = os.path.join(BUILD, "fault-logger.log")
if os.path.exists(log):
    os.unlink(log)
server = Server("examples/logd", "tcp://127.0.0.1:{port}", "log=" + log)
logger = logger_of(server.process.pid)
s = connect(server.port)
reader = s.makefile("rb")


def rounds(n):
    times = []
    for i in range(n):
        began = time.perf_counter()
        s.sendall(b"a line of an access log %s\n" % (b"." * 150))
        words = reader.readline().split()
        times.append(time.perf_counter() - began)
    times.sort()
    return times[int(n * 0.99)] * 1e6, int(words[3])


rounds(2000)
calm, stopped, dropped = [], [], 0
for i in range(5):
    calm.append(rounds(4000)[0])
    os.kill(logger, signal.SIGSTOP)
    p99, dropped = rounds(4000)
    stopped.append(p99)
    os.kill(logger, signal.SIGCONT)
    time.sleep(0.1)
a, b = statistics.median(calm), statistics.median(stopped)
ok(dropped > 10000, "with the logger stopped %d lines were dropped" % dropped)
# Whoever waited for the logger would wait for milliseconds; perf/faults.py holds the figure itself against its goal.
ok(b < 1.2 * a + 1000, "p99 %.0f us with the logger running, %.0f us with it stopped" % (a, b), (calm, stopped))
s.close()
equal(server.stop(), 0, "ends well")
told = sum(int(word[6:]) for line in open(log) if "log_dropped" in line for word in line.split() if word.startswith("count="))
equal(told, dropped, "the log tells every one of them")
done()
