#!/usr/bin/env python3
"""HTTP over TLS as openssl s_client, curl and Python's ssl see it: versions, keep-alive, sessions, ends, and what is no TLS."""
import os, socket, ssl, subprocess, tempfile, time
from wire import Server, done, equal, exchange, ok

dir = tempfile.mkdtemp()
cert, key = os.path.join(dir, "cert.pem"), os.path.join(dir, "key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
SIZE = 300000
server = Server("examples/hello_tls", "tcp://127.0.0.1:{port}", "cert=" + cert, "key=" + key, "size=%d" % SIZE)
url = "https://localhost:%d" % server.port


def curl(*args):
    r = subprocess.run(["curl", "-s", "-m", "10", "--cacert", cert, *args], capture_output=True)
    return r.returncode, r.stdout


def client(version=None):
    ctx = ssl.create_default_context(cafile=cert)
    if version:
        ctx.maximum_version = version
    return ctx


for name, flag in ("1.3", "--tlsv1.3"), ("1.2", "--tls-max"):
    code, out = curl(*([flag] if name == "1.3" else [flag, "1.2"]), url + "/session")
    ok(code == 0 and out.startswith(b"TLSv" + name.encode()), "curl, TLS " + name, (code, out))
code, out = curl(url + "/session", url + "/session", "-w", "%{num_connects} ")
ok(code == 0 and b"1 " in out and b"0 " in out, "curl keeps the connection", out)
code, out = curl(url + "/")
equal((code, len(out)), (0, SIZE), "a large page")

r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, "-CAfile", cert, "-servername", "localhost", "-quiet"],
                   input=b"GET /session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", capture_output=True, timeout=20)
ok(b"HTTP/1.1 200 OK" in r.stdout and b"TLSv1.3" in r.stdout, "openssl s_client", r.stdout + r.stderr)
r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, "-CAfile", cert, "-tls1_2", "-reconnect"],
                   input=b"", capture_output=True, timeout=20)
ok(r.stdout.count(b"Reused, TLSv1.2") >= 4, "sessions are taken up again", r.stdout.count(b"Reused"))

for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    raw = socket.create_connection(("127.0.0.1", server.port), 5)
    with client(version).wrap_socket(raw, server_hostname="localhost") as s:
        for byte in b"GET /session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
            s.sendall(bytes([byte]))
        got = b""
        while chunk := s.recv(4096): # an end that was not announced would raise
            got += chunk
    ok(got.startswith(b"HTTP/1.1 200") and got.endswith(b"from -\n"), "a byte a record, %s; the end is announced" % version.name, got)

# A client whose hello comes in crumbs, while others are served.
crumbs = socket.create_connection(("127.0.0.1", server.port), 5)
inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
obj = client().wrap_bio(inc, out, server_hostname="localhost")
try:
    obj.do_handshake()
except ssl.SSLWantReadError:
    pass
for byte in out.read():
    crumbs.sendall(bytes([byte]))
ok(crumbs.recv(5)[:1] == b"\x16", "a hello in crumbs is answered")
equal(curl(url + "/session")[0], 0, "and the others are served meanwhile")
crumbs.close()

out = exchange(server.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
ok(out.startswith(b"HTTP/1.1 400 ") and b"497: plain HTTP on a TLS port" in out, "plain HTTP is told so", out)
with socket.create_connection(("127.0.0.1", server.port), 5) as s:
    s.sendall(b"\x16\x03\x01\x00\x10" + b"no hello at all.")
    out = s.recv(100)
    ok(out[:1] == b"\x15", "garbage gets an alert", out)
    equal(s.recv(100), b"", "and the end")

proxied = Server("examples/hello_tls", "tcp://127.0.0.1:{port}", "cert=" + cert, "key=" + key, "proxy=1", wait=False)
end = time.time() + 10
while time.time() < end:
    try:
        raw = socket.create_connection(("127.0.0.1", proxied.port), 5)
        break
    except OSError:
        time.sleep(0.02)
raw.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n")
with client().wrap_socket(raw, server_hostname="localhost") as s:
    s.sendall(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n")
    ok(b"from 192.0.2.7:1234\n" in s.recv(4096), "TLS behind a PROXY header")
with socket.create_connection(("127.0.0.1", proxied.port), 5) as s:
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    equal(s.recv(100), b"", "and nothing without one")
early = Server("examples/hello_tls", "tcp://127.0.0.1:{port}", "cert=" + cert, "key=" + key, "early=1")
session, request = os.path.join(dir, "session"), os.path.join(dir, "request")
with open(request, "wb") as f:
    f.write(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n")
client_args = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % early.port, "-CAfile", cert]
LAST = b"GET /session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
r = subprocess.run(client_args + ["-sess_out", session, "-ign_eof"], input=LAST, capture_output=True, timeout=20)
ok(b"from -\n" in r.stdout, "a first connection", r.stdout[-300:])
r = subprocess.run(client_args + ["-sess_in", session, "-early_data", request, "-ign_eof"], input=LAST, capture_output=True, timeout=20)
ok(b"Early data was accepted" in r.stdout and b"(may be a replay)" in r.stdout and r.stdout.count(b"HTTP/1.1 200") == 2,
   "a second one begins with early data, and goes on", r.stdout[-900:])

equal(early.stop(), 0, "ends in order")
equal(server.stop(), 0, "ends in order")
equal(proxied.stop(), 0, "ends in order")
done()
