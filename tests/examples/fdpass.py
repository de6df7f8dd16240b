#!/usr/bin/env python3
"""fdpass: one process accepts, another serves."""
import re
from wire import Server, connect, done, equal, ok, settled

server = Server("examples/fdpass")
served = set()
good = 0
for i in range(50):
    with connect(server.port) as s:
        f = s.makefile("rb")
        s.sendall(b"hello %d\n" % i)
        m = re.match(rb"fd (\d+) accepted by (\d+), fd (\d+) served by (\d+):", f.readline())
        good += bool(m) and f.readline().strip() == b"hello %d" % i and int(m.group(2)) == server.process.pid
        served.add(int(m.group(4)))
equal(good, 50, "fifty connections, accepted by the one")
ok(len(served) == 1 and server.process.pid not in served, "served by the other", served)
crowd = [connect(server.port) for _ in range(100)]
got = 0
for s in crowd:
    s.sendall(b"x\n")
for s in crowd:
    f = s.makefile("rb")
    got += f.readline().startswith(b"fd ") and f.readline().strip() == b"x"
    s.close()
equal(got, 100, "a hundred at once")
equal(settled(server.port), (0, 0), "Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "ends well")
done()
