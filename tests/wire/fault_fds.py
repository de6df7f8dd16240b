#!/usr/bin/env python3
"""Out of descriptors: no spin, the rest is served, and it recovers within a second."""
import resource, socket, subprocess, time
from wire import Server, connect, done, equal, ok, read_response, settled

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def cpu(pid):
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[0]) / 1e9


resource.setrlimit(resource.RLIMIT_NOFILE, (4000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
server = Server("examples/pool", "tcp://127.0.0.1:{port}", "fds=64")
first = connect(server.port)
first.sendall(GET)
equal(read_response(first)[0].status, 200, "served before the shortage")
crowd = []
for i in range(300):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", server.port))
    crowd.append(s)
time.sleep(0.5)
before = cpu(server.process.pid)
time.sleep(2)
used = (cpu(server.process.pid) - before) / 2
ok(used < 0.05, "during the shortage %.1f %% of a core" % (used * 100))
first.sendall(GET)
equal(read_response(first)[0].status, 200, "who is in is still served")
for s in crowd:
    s.close()
began = time.time()
late = connect(server.port)
late.sendall(GET)
equal(read_response(late)[0].status, 200, "a newcomer is served again")
took = time.time() - began
ok(took < 1.0, "after %.0f ms" % (took * 1000))
first.close()
late.close()
equal(settled(server.port), (0, 0), "Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "ends well")
lines = [l for l in server.text().splitlines() if "fd_limit" in l or "shortage" in l]
ok(1 <= len(lines) <= 12, "said so, and not once per connection: %d lines" % len(lines), "\n".join(lines))
done()
