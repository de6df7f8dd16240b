#!/usr/bin/env python3
"""A flood of handshakes that never end: established clients do not notice, accepting pauses at the limit, and who is silent goes."""
import os, resource, socket, ssl, subprocess, tempfile, time
from wire import Server, done, equal, ok

SILENT = 1500 # the server allows 1024 handshakes at once
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * SILENT)), hard))
dir = tempfile.mkdtemp()
cert, key = os.path.join(dir, "cert.pem"), os.path.join(dir, "key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                "-days", "2", "-subj", "/CN=localhost"], check=True, stderr=subprocess.DEVNULL)
server = Server("examples/hello_tls", "tcp://127.0.0.1:{port}", "cert=" + cert, "key=" + key)
ctx = ssl.create_default_context()
ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE


def established():
    return ctx.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 20))


def ask(s):
    began = time.monotonic()
    s.sendall(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n")
    good = s.recv(4096).startswith(b"HTTP/1.1 200")
    return good, time.monotonic() - began


client = established()
ok(ask(client)[0], "an established client")
silent, slowest, good = [], 0, True
for i in range(SILENT):
    silent.append(socket.create_connection(("127.0.0.1", server.port), 20))
    if i % 3 == 0:
        silent[-1].sendall(b"\x16\x03\x01\x02\x00\x01") # a hello that goes no further
    if i % 50 == 0:
        answered, took = ask(client)
        good, slowest = good and answered, max(slowest, took)
ok(good and slowest < 2, "is served while %d others begin" % SILENT, slowest)

began = time.monotonic()
late = established()
ok(ask(late)[0], "a newcomer is served too")
took = time.monotonic() - began
ok(took < 8, "when those that are silent for a second have gone", took)
gone = 0
for s in silent:
    s.setblocking(False)
    try:
        gone += s.recv(1) == b""
    except ConnectionResetError:
        gone += 1
    except BlockingIOError:
        pass
ok(gone >= SILENT - 1024, "they were ended, not kept waiting", gone)
ok(ask(client)[0], "and the first client is still there")
for s in silent:
    s.close()
equal(server.stop(), 0, "ends in order")
done()
