"""How answers flow: throttled, slow readers, clients that leave, subrequests in order, timeouts; and what the log says of it."""
import atexit, os, re, shutil, subprocess, tempfile, time
from wire import BUILD, _started, connect, done, equal, exchange, free_port, ok, read_all

DIR = tempfile.mkdtemp(prefix="weir-flow-")
PORT = free_port()
BIG = os.urandom(1 << 20) * 12
os.mkdir(DIR + "/html")
for name, content in (("big", BIG), ("mid", BIG[:300000]), ("a", b"A" * 70000), ("b", b"B" * 50), ("c", b"C" * 90000), ("x.html", b"<p>x</p>\n")):
    with open(os.path.join(DIR, "html", name), "wb") as f:
        f.write(content)
CONF = """daemon off; master_process off; pid %(dir)s/pid; error_log %(dir)s/error.log info;
events { worker_connections 512; }
http {
    log_format flow '$uri $status $body_bytes_sent $request_completion';
    access_log %(dir)s/access.log flow; root %(dir)s/html; default_type text/plain; client_body_temp_path %(dir)s/body;
    server {
        listen 127.0.0.1:%(port)d; client_header_timeout 2s; client_body_timeout 2s; send_timeout 3s; lingering_timeout 1s;
        location / { }
        location /mid { limit_rate 200k; }
        location /after { alias html/mid; limit_rate 10k; limit_rate_after 1m; }
        location = /b { addition_types *; add_before_body /a; add_after_body /c; }
        location = /nested { alias html/b; addition_types *; add_before_body /b; add_after_body /none; }
        location /none { return 404; }
        location /hide { internal; }
        location /re { error_page 404 /big; recursive_error_pages on; return 404; }
    }
}
""" % {"dir": DIR, "port": PORT}
with open(DIR + "/conf", "w") as f:
    f.write(CONF)
log = open(DIR + "/out", "w+")
argv = [os.path.join(BUILD, "weir"), "-p", DIR + "/", "-c", DIR + "/conf"]
weir = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


class Weir:
    process, argv = weir, argv

    def text(self):
        return open(DIR + "/out", errors="replace").read()


_started.append(Weir())
atexit.register(shutil.rmtree, DIR, True)
for _ in range(250):
    try:
        connect(PORT, 1).close()
        break
    except OSError:
        if weir.poll() is not None:
            raise SystemExit("Bail out! " + open(DIR + "/out").read())
        time.sleep(0.02)


def get(path, seconds=20):
    raw = exchange(PORT, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode(), half_close=False, seconds=seconds)
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"chunked" in head:
        out = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            n = int(size, 16)
            out += rest[:n]
            if n == 0:
                return head, out if rest == b"\r\n" else out + b"TRAILING" + rest
            body = rest[n + 2 :]
        return head, out + b"CUT"
    return head, body


head, body = get("/big")
ok(body == BIG, "12 MiB arrive", "%d bytes" % len(body))
began = time.time()
head, body = get("/mid")
took = time.time() - began
ok(body == BIG[:300000], "limit_rate: all of it", "%d bytes" % len(body))
ok(0.3 <= took <= 2.0, "limit_rate: 300 kB at 200 kB/s after the first second's share", "%.2f s" % took)
began = time.time()
head, body = get("/after")
ok(len(body) == 300000 and time.time() - began < 1, "limit_rate_after: what comes before is not throttled", "%d bytes in %.2f s" % (len(body), time.time() - began))
head, body = get("/b")
ok(body == b"A" * 70000 + b"B" * 50 + b"C" * 90000, "subrequests answer in order", "%d bytes %r" % (len(body), body[:10]))
head, body = get("/nested")
ok(body.startswith(b"B" * 100 + b"<html>") and b"404 Not Found" in body, "an error of a subrequest is part of the answer", "%d bytes %r" % (len(body), body[-400:]))
head, body = get("/re")
ok(b" 404 " in head and body == BIG, "a large error page", head)

# A slow reader gets everything.
with connect(PORT, 30) as s:
    s.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = 0
    for _ in range(60):
        time.sleep(0.02)
        got += len(s.recv(65536))
    got += len(read_all(s))
    ok(got > len(BIG), "a slow reader gets all of it", "%d bytes" % got)

# A client that leaves in the middle.
with connect(PORT) as s:
    s.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    s.recv(1000)
with connect(PORT) as s:
    s.sendall(b"GET /mid HTTP/1.1\r\nHost: x\r\n\r\n")
    s.recv(1000)

# A client that takes nothing is let go.
with connect(PORT, 20) as s:
    s.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(5)
    got = len(read_all(s))
    ok(got < len(BIG), "send_timeout: who takes nothing for so long is let go", "%d bytes" % got)

# Half a head, half a body.
with connect(PORT) as s:
    began = time.time()
    s.sendall(b"GET / HTTP/1.1\r\nHos")
    got = read_all(s)
    ok(1.5 <= time.time() - began < 4 and (not got or b" 408 " in got), "client_header_timeout", "%.2f s %r" % (time.time() - began, got[:100]))
with connect(PORT) as s:
    s.sendall(b"POST /x.html HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    got = read_all(s)
    ok(b" 405 " in got, "a body that nobody reads does not delay the answer", got[:100])

equal(exchange(PORT, b"GET /x.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[-9:], b"<p>x</p>\n", "and it still serves")
weir.terminate()
equal(weir.wait(10), 0, "TERM ends it in order")
lines = open(DIR + "/access.log").read().splitlines()
full = [l for l in lines if l == "/big 200 %d OK" % len(BIG)]
equal(len(full), 2, "the log: whole answers are whole")
cut = [l for l in lines if re.match(r"/(big|mid) 200 \d+ $", l)]
ok(len(cut) == 3 and all(int(l.split()[2]) < len(BIG) for l in cut), "the log: cut ones say how much was sent", "\n".join(lines))
done()
