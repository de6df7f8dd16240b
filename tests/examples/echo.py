#!/usr/bin/env python3
"""echo and framed_echo: every byte comes back, however it is cut, on many connections at once."""
import os, struct, threading
from wire import Server, connect, done, equal, exchange, ok, read_all, settled

server = Server("examples/echo")
equal(exchange(server.port, b"hello"), b"hello", "echo: a word")
equal(exchange(server.port, b"byte by byte", whole=False), b"byte by byte", "echo: a byte at a time")

big = os.urandom(8 << 20)
with connect(server.port, 20) as s:
    writer = threading.Thread(target=lambda: (s.sendall(big), s.shutdown(1)))
    writer.start()
    out = read_all(s)
    writer.join()
ok(out == big, "echo: 8 MiB back, byte for byte", len(out))

crowd = [connect(server.port) for _ in range(200)]
for i, s in enumerate(crowd):
    s.sendall(b"I am %d" % i)
good = sum(s.recv(100) == b"I am %d" % i for i, s in enumerate(crowd))
equal(good, 200, "echo: 200 at once, each gets its own")
for s in crowd:
    s.close()
equal(settled(server.port), (0, 0), "echo: Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "echo: ends well")

server = Server("examples/framed_echo")
frames = [b"", b"a", os.urandom(300), os.urandom(70000)]
data = b"".join(struct.pack(">I", len(f)) + f for f in frames)
equal(exchange(server.port, data) == data, True, "framed_echo: frames come back whole")
small = b"".join(struct.pack(">I", len(f)) + f for f in frames[:3])
equal(exchange(server.port, small, whole=False) == small, True, "framed_echo: also byte by byte")
equal(exchange(server.port, struct.pack(">I", (1 << 20) + 1), half_close=False), b"", "framed_echo: one byte over the maximum: closed")
equal(server.stop(), 0, "framed_echo: ends well")
done()
