#!/usr/bin/env python3
"""pool: several processes answer; a killed one is replaced; the log is reopened; it ends in order."""
import os, signal, time
from crowd import children
from wire import BUILD, Server, connect, done, equal, exchange, ok, read_response

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
log = os.path.join(BUILD, "pool-example.log")
for stale in (log, log + ".1"):
    if os.path.exists(stale):
        os.unlink(stale)
server = Server("examples/pool", "tcp://127.0.0.1:{port}", "workers=3", "log=" + log)


def answer():
    return int(exchange(server.port, GET).rsplit(b" ", 1)[1])


def wait_for(condition, seconds=3):
    end = time.time() + seconds
    while not condition() and time.time() < end:
        time.sleep(0.01)
    return condition()


pids = set()
ok(wait_for(lambda: pids.add(answer()) or len(pids) == 3), "three workers answer", pids)
victim = min(pids)
os.kill(victim, signal.SIGKILL)
began = time.time()
seen = set()
ok(wait_for(lambda: seen.add(answer()) or len(seen - pids) == 1), "a killed one is replaced", (pids, seen))
ok(victim not in seen, "after %.0f ms" % ((time.time() - began) * 1000))
ok(wait_for(lambda: "worker_ended" in open(log).read()), "the log says so", open(log).read())
os.rename(log, log + ".1")
server.process.send_signal(signal.SIGUSR1)
ok(wait_for(lambda: os.path.exists(log)), "SIGUSR1: a new log file")
began = time.time()
equal(server.stop(), 0, "ends well")
ok(time.time() - began < 3, "and soon")
ok(wait_for(lambda: "stopped" in open(log).read()), "the last line is in the new file", open(log).read())
done()
