#!/usr/bin/env python3
"""hello and serial: one page; and what the difference is when somebody connects and says nothing."""
import socket, time
from wire import Server, connect, done, equal, exchange, free_port, ok, read_response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
server = Server("examples/hello")
silent = connect(server.port)
with connect(server.port) as s:
    s.sendall(GET + GET)
    first, rest = read_response(s)
    second, rest = read_response(s, buffered=rest)
    equal((first.status, first.body), (200, b"hello, world\n"), "hello: the page")
    equal((second.body, rest), (first.body, b""), "hello: again on the same connection")
silent.close()
equal(exchange(server.port, b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[:12], b"HTTP/1.1 404", "hello: no such page")
equal(server.stop(), 0, "hello: ends well")

port = free_port()
server = Server("examples/serial", str(port), port=port)
equal(exchange(port, GET)[:12], b"HTTP/1.1 200", "serial: the page")
silent = connect(port)
time.sleep(0.1)
with connect(port, 0.5) as s:
    s.sendall(GET)
    try:
        got = s.recv(100)
    except socket.timeout:
        got = b""
    equal(got, b"", "serial: one who says nothing stops everybody")
    silent.close()
    s.settimeout(5)
    equal(s.recv(12), b"HTTP/1.1 200", "serial: until he leaves")
server.process.kill()
done()
