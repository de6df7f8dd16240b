#!/usr/bin/env python3
"""relay: bytes both ways, half-closed streams, a slow reader, a target that is not there."""
import hashlib, os, socket, threading, time
from wire import BUILD, Server, connect, done, equal, exchange, free_port, ok, read_all, settled

echo = Server("examples/echo")
server = Server("examples/relay", "tcp://127.0.0.1:{port}", "localhost:%d" % echo.port)
equal(exchange(server.port, b"through"), b"through", "there and back, FIN included")
equal(exchange(server.port, b"byte by byte", whole=False), b"byte by byte", "a byte at a time")

big = os.urandom(1 << 20) * 16
with connect(server.port, 20) as s:
    writer = threading.Thread(target=lambda: (s.sendall(big), s.shutdown(socket.SHUT_WR)))
    writer.start()
    time.sleep(0.3)  # nobody reads: both ends of the relay fill up, and nothing else does
    with open("/proc/%d/status" % server.process.pid) as f:
        rss = [int(l.split()[1]) for l in f if l.startswith("VmRSS")][0]
    out = read_all(s)
    writer.join()
equal(hashlib.sha256(out).digest(), hashlib.sha256(big).digest(), "16 MiB with a reader who came late")
ok(rss < (400 << 10 if "ASAN_OPTIONS" in os.environ or "asan" in BUILD else 32 << 10), "the faster side was paused: %d KiB in use" % rss)

crowd = [connect(server.port) for _ in range(100)]
for i, s in enumerate(crowd):
    s.sendall(b"%03d" % i)
equal(sum(s.recv(10) == b"%03d" % i for i, s in enumerate(crowd)), 100, "100 sessions, each its own bytes")
for s in crowd:
    s.close()
equal((settled(server.port), settled(echo.port)), ((0, 0), (0, 0)), "no Recv-Q, no CLOSE_WAIT, here nor there")
equal(echo.stop(), 0, "echo ends")
equal(exchange(server.port, b"anybody?"), b"", "target gone: closed at once")
equal(server.stop(), 0, "ends well")
ok("stage=connect err=ECONNREFUSED" in server.text(), "and the log says in which stage", server.text()[-400:])
done()
