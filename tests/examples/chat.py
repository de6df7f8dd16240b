#!/usr/bin/env python3
"""chat: what one says the others hear, in order; who leaves is told; a reader who stopped reading is put out and delays nobody."""
import socket, time
from wire import Server, connect, done, equal, ok

server = Server("examples/chat")


def lines(s, n, seconds=5):
    data, s_end = b"", time.time() + seconds
    while data.count(b"\n") < n and time.time() < s_end:
        s.settimeout(max(0.01, s_end - time.time()))
        try:
            piece = s.recv(65536)
        except socket.timeout:
            break
        if not piece:
            break
        data += piece
    return data.split(b"\n")[:-1]


time.sleep(0.2)  # the probe of the start has left
anna = connect(server.port)
time.sleep(0.1)
bert = connect(server.port)
hello = lines(anna, 1)
ok(len(hello) == 1 and hello[0].rstrip().endswith(b"joined"), "anna hears that bert joined", hello)
for i in range(100):
    bert.sendall(b"line %d\n" % i)
heard = [l.rstrip() for l in lines(anna, 100)]
equal(heard, [b"line %d" % i for i in range(100)], "a hundred lines, in order")
bert.close()
left = lines(anna, 1)
ok(len(left) == 1 and left[0].rstrip().endswith(b"left"), "and that he left", left)

deaf = connect(server.port)
lines(anna, 1)
carl = connect(server.port)
lines(anna, 1)
line = b"x" * 1000 + b"\n"
count, began, worst = 24000, time.time(), 0.0
for i in range(count // 1000):
    carl.sendall(line * 1000)
    t = time.time()
    got = len(lines(anna, 1000))
    worst = max(worst, time.time() - t)
    if got < 1000:
        break
ok(got == 1000 and worst < 2, "24 MB go to anna while deaf does not read (slowest 1000 lines: %.0f ms)" % (worst * 1000), got)
gone = lines(anna, 1, 2)
total, end = 0, time.time() + 10
try:
    while time.time() < end:
        piece = deaf.recv(1 << 20)
        if not piece:
            break
        total += len(piece)
except OSError:
    pass
ok(total < 20 << 20, "deaf was put out at his hard limit: %.1f MB had been sent to him" % (total / 1e6))
equal(server.stop(), 0, "ends well")
done()
