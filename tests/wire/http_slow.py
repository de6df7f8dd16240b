#!/usr/bin/env python3
"""Deadlines: a head that drips, a body that stalls, silence, a reader that does not read. Others are served meanwhile."""
import socket, time
from wire import Server, connect, done, equal, ok, read_all, read_response, settled

server = Server("examples/pool", "tcp://127.0.0.1:{port}", "timeout_ms=1000")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def timed(send, drip=b""):
    s = connect(server.port, 10)
    began = time.time()
    s.sendall(send)
    out = b""
    s.settimeout(0.2)
    while time.time() - began < 8:
        try:
            piece = s.recv(65536)
            if not piece:
                break
            out += piece
        except socket.timeout:
            if drip:
                try:
                    s.sendall(drip)
                except OSError:
                    break
        except OSError:
            break
    s.close()
    return time.time() - began, out


took, out = timed(b"")
ok(0.8 < took < 2.5 and out == b"", "silence after connecting: closed after %.1f s" % took, out)
took, out = timed(b"GET / HTTP/1.1\r\nX: ", b"a")
ok(0.8 < took < 2.5 and b" 408 " in out, "a head that drips: 408 after %.1f s" % took, out)
took, out = timed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", b"a")
ok(took < 4 and out.startswith(b"HTTP/1.1 "), "a body that drips: an answer and the end after %.1f s" % took, out)
took, out = timed(GET)
ok(0.8 < took < 2.5 and b" 200 " in out, "idle after an answer: closed after %.1f s" % took, out)

slow = [connect(server.port) for _ in range(200)]
for s in slow:
    s.sendall(b"GET / HTTP/1.1\r\n")
with connect(server.port) as s:
    began = time.time()
    s.sendall(GET)
    equal(read_response(s)[0].status, 200, "200 slow ones do not delay another")
    ok(time.time() - began < 0.1, "answered in %.0f ms" % ((time.time() - began) * 1000))
time.sleep(1.6)
closed = sum(1 for s in slow if read_all(s) is not None)
equal(closed, 200, "and all of them were closed")
for s in slow:
    s.close()
equal(settled(server.port), (0, 0), "Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "ends well")
done()
