#!/usr/bin/env python3
"""logd: the logger is stopped under load; nobody waits, what was dropped is told, and every line is accounted for."""
import os, re, signal, time
from crowd import logger_of
from wire import BUILD, Server, connect, done, equal, ok

log = os.path.join(BUILD, "logd-example.log")
if os.path.exists(log):
    os.unlink(log)
server = Server("examples/logd", "tcp://127.0.0.1:{port}", "log=" + log)
logger = logger_of(server.process.pid)
ok(logger, "there is a logger process")
s = connect(server.port)
reader = s.makefile("rb")
numbers = {}


def put(first, n):
    """n lines, one at a time; the slowest round trip in ms."""
    worst = 0
    for i in range(first, first + n):
        began = time.time()
        s.sendall(b"line %06d %s\n" % (i, b"." * 100))
        words = reader.readline().split()
        worst = max(worst, time.time() - began)
    numbers["written"], numbers["dropped"] = int(words[1]), int(words[3])
    return worst * 1000


def lines():
    with open(log) as f:
        return f.read().splitlines()


def wait_for(condition, seconds=10):
    end = time.time() + seconds
    while not condition() and time.time() < end:
        time.sleep(0.02)
    return condition()


calm = put(0, 500)
ok(wait_for(lambda: sum("line " in l for l in lines()) == 500), "500 lines are written")
os.kill(logger, signal.SIGSTOP)
stuck = put(500, 4000)
ok(numbers["dropped"] > 100, "logger stopped: %d of 4000 lines dropped" % numbers["dropped"], numbers)
ok(stuck < max(100, 20 * calm), "nobody waited: slowest %.1f ms, before %.1f ms" % (stuck, calm))
os.kill(logger, signal.SIGCONT)
told = lambda: sum(int(n) for l in lines() for n in re.findall(r"log_dropped count=(\d+)", l))
ok(wait_for(lambda: told() == numbers["dropped"]), "the log itself says how many: %d" % told(), numbers)
put(4500, 100)
ok(wait_for(lambda: sum("line " in l for l in lines()) == 4600 - numbers["dropped"]), "written and dropped are all of them",
   (sum("line " in l for l in lines()), numbers))
ok(any("line 004599" in l for l in lines()), "and it goes on")
s.close()
equal(server.stop(), 0, "ends well")
done()
