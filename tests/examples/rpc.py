#!/usr/bin/env python3
"""rpc: calls are answered, who is deaf misses his heartbeats, who wants nothing is idle, and the status page counts them all."""
import os, subprocess, time
from wire import BUILD, Server, connect, done, equal, exchange, free_port, ok, settled

if not os.path.exists(os.path.join(BUILD, "examples/rpc")):
    print("1..0 # SKIP no protobuf-c")
    raise SystemExit(0)

status = free_port()
server = Server("examples/rpc", "tcp://127.0.0.1:{port}", "status=tcp://127.0.0.1:%d" % status, "heartbeat_ms=150", "idle_ms=1200")


def call(*words):
    return subprocess.Popen([os.path.join(BUILD, "examples/rpc_call"), "127.0.0.1:%d" % server.port, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(*words):
    p = call(*words)
    out = p.communicate(timeout=10)[0]
    return p.returncode, out


def page():
    text = exchange(status, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").decode().partition("\r\n\r\n")[2]
    return {k: int(v) for k, v in (line.split() for line in text.splitlines())}


equal(run("get", "colour"), (1, "error: no such key\n"), "a key that is not there")
equal(run("put", "colour", "blue"), (0, "blue\n"), "put")
equal(run("get", "colour"), (0, "blue\n"), "get")
equal(run("put", "colour", "x" * 20000)[0], 0, "a long value takes its place")
equal(run("get", "colour"), (0, "x" * 20000 + "\n"), "and comes back whole")
many = [call("put", "k%d" % i, "v%d" % i) for i in range(30)]
good = sum(p.communicate(timeout=10)[0] == "v%d\n" % i for i, p in enumerate(many))
equal(good, 30, "thirty at once, each its own value")

hold, deaf, began = call("hold"), call("deaf"), time.time()
silent = connect(server.port)
equal(run("get", "k7"), (0, "v7\n"), "meanwhile others are served")
out = deaf.communicate(timeout=10)[0]
ok(out.count("ping") == 3 and "closed" in out, "deaf: pinged three times, then closed", out)
deaf_for = time.time() - began
out = hold.communicate(timeout=10)[0]
ok(out.count("ping") >= 4 and "closed" in out, "hold: answers pings, asks nothing: idle, closed", out)
ok(deaf_for < time.time() - began < 5, "deaf after %.1f s, hold after %.1f s" % (deaf_for, time.time() - began))

with connect(server.port) as s:
    s.sendall(b"\x00\x00\x00\x05\xff\xff\xff\xff\xff")
    equal(s.recv(10), b"", "bytes that are no message: closed")
with connect(server.port) as s:
    s.sendall(b"\x7f\xff\xff\xff")
    equal(s.recv(10), b"", "a length over the maximum: closed")
silent.close()
time.sleep(0.2)
p = page()
ok(p.get("closed_heartbeat", 0) >= 1 and p.get("closed_idle", 0) >= 1, "the page counts heartbeat and idle", p)
ok(p.get("closed_proto", 0) == 1 and p.get("closed_too_big", 0) == 1, "and the two that broke the protocol", p)
equal(p["accepted"], p["open"] + sum(v for k, v in p.items() if k.startswith("closed_")), "accepted = open + closed, by reason")
equal((p["keys"], p["open"]), (31, 0), "keys and open connections")
equal(settled(server.port), (0, 0), "Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "ends well")
done()
