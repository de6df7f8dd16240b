#!/usr/bin/env python3
"""The HTTP hello as its users see it: status, framing, keep-alive, pipelining, HEAD, 1.0, and a curl that agrees."""
import subprocess
from wire import Server, connect, done, equal, exchange, ok, read_response

BODY = b"hello, world\n"
server = Server("examples/hello")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

for whole in (True, False):
    how = "whole" if whole else "byte by byte"
    out = exchange(server.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), whole)
    ok(out.startswith(b"HTTP/1.1 200 OK\r\n") and out.endswith(b"\r\n\r\n" + BODY), "200 and the body, " + how, out)
    ok(b"\r\nconnection: close\r\n" in out.lower(), "asked to close, says so, " + how, out)

with connect(server.port) as s:
    for i in range(3):
        s.sendall(GET)
        r, rest = read_response(s)
        equal((r.status, r.body, rest), (200, BODY, b""), "keep-alive, request %d" % (i + 1))
    ok("date" in r.head and r.head["date"].endswith(" GMT"), "Date is there", r.head)
    equal(r.head.get("content-length"), str(len(BODY)), "Content-Length")

with connect(server.port) as s:
    s.sendall(GET * 100)
    good, rest = 0, b""
    for i in range(100):
        r, rest = read_response(s, buffered=rest)
        good += r.status == 200 and r.body == BODY
    equal(good, 100, "a hundred pipelined requests, answered in order")

with connect(server.port) as s:
    s.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    r, rest = read_response(s, head_only=True)
    equal((r.status, r.head.get("content-length")), (200, str(len(BODY))), "HEAD: the length of what GET would give")
    r, rest = read_response(s, buffered=rest)
    equal(r.body, BODY, "and no body before the next answer")

out = exchange(server.port, b"GET / HTTP/1.0\r\n\r\n", half_close=False)
ok(out.startswith(b"HTTP/1.1 200") and out.endswith(BODY), "HTTP/1.0 closes by itself", out)
with connect(server.port) as s:
    s.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    r, _ = read_response(s)
    equal(r.head.get("connection", "").lower(), "keep-alive", "HTTP/1.0 may ask to keep the connection")
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    equal(read_response(s)[0].status, 200, "and use it")

out = exchange(server.port, b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
ok(out.startswith(b"HTTP/1.1 404 "), "404 for what is not there", out)
out = exchange(server.port, b"BREW / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
ok(out.startswith(b"HTTP/1.1 405 ") or out.startswith(b"HTTP/1.1 501 "), "unknown method refused", out)

with connect(server.port) as s:
    s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET)
    r, rest = read_response(s)
    r2, rest = read_response(s, buffered=rest)
    equal((r2.status, r2.body), (200, BODY), "a body that nobody reads is skipped, the next request is answered")

with connect(server.port) as s:
    s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n" + GET)
    r, rest = read_response(s)
    r2, rest = read_response(s, buffered=rest)
    equal((r2.status, r2.body), (200, BODY), "so is a chunked one with an extension and a trailer")

curl = subprocess.run(["curl", "-sS", "-o", "-", "-w", "%{http_code} %{num_connects}\n", "http://127.0.0.1:%d/" % server.port,
                       "-o", "-", "http://127.0.0.1:%d/" % server.port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
equal(curl.stdout, BODY + b"200 1\n" + BODY + b"200 0\n", "curl: two answers over one connection")
curl = subprocess.run(["curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", "-H", "Expect: 100-continue", "-d", "x" * 2000,
                       "http://127.0.0.1:%d/" % server.port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
ok(curl.returncode == 0 and curl.stdout[:3].isdigit(), "curl: Expect: 100-continue does not wait", curl.stdout)

equal(server.stop(), 0, "SIGTERM: a graceful end with status 0")
done()
