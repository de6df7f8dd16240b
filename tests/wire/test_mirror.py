#!/usr/bin/env python3
"""mirror: copies of requests, with and without their bodies, which delay and change nothing."""
import os, time

from sites import HAVE_NGINX, NGINX, folder
from whole import both
from wire import done, equal, ok, read_all

ROOT = folder()
for name in ("index.html", "x.txt"):
    with open(os.path.join(ROOT, name), "w") as f:
        f.write("in\n" * 10)
CONF = """
  log_format m '$request_method $request_uri to $uri $args'; log_subrequest on; access_log {dir}/m.log m;
  server { listen 127.0.0.1:{port}; root {root}; error_page 405 =200 /index.html;
    location /a { mirror /copy1; mirror /copy2; try_files /x.txt =404; }
    location /nobody { mirror /copy1; mirror_request_body off; try_files /x.txt =404; }
    location /outer { mirror /copy1; location /outer/in { try_files /x.txt =404; } location /outer/off { mirror off; try_files /x.txt =404; } }
    location /broken { mirror /copy-none; try_files /x.txt =404; }
    location /refused { mirror /copy1; client_max_body_size 10k; error_page 400 413 /a; }
    location /slowcopy { mirror /slow; try_files /x.txt =404; }
    location = /copy1 { internal; return 200 ""; }
    location = /copy2 { internal; return 503; }
    location = /slow { internal; limit_rate 10; try_files /x.txt =404; }
  } """
servers = both(CONF, ROOT, workers=1)


def lines(s):
    return sorted(s.file("m.log").splitlines())


for s in servers:
    name = "nginx" if s.binary == NGINX else "weir"
    for uri in ("/a?q=1", "/nobody?q=2", "/outer/in", "/outer/off", "/broken"):
        status, _, body = s.ask(uri)
        equal((status, body), (200, b"in\n" * 10), "%s: %s is answered as without a mirror" % (name, uri))
    with s.connect() as c:
        c.sendall(b"GET /slowcopy HTTP/1.1\r\nHost: x\r\n\r\n")
        t = time.time()
        ok(c.recv(4096).startswith(b"HTTP/1.1 200") and time.time() - t < 0.5, name + ": a slow copy delays nothing")
    for status, behind in ((413, b"1000\r\n" + b"b" * 4096 + b"\r\n"), (400, b"zz\r\n")):
        with s.connect() as c:
            c.sendall(b"POST /refused HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"b" * 4096 + b"\r\n") * 2 + behind)
            got = read_all(c)
        ok(got.startswith(b"HTTP/1.1 %d " % status) and got.endswith(b"in\n" * 10), "%s: a body that is refused, and a page that is mirrored, too: %d" % (name, status), got[:300])
    ok(s.wait_for("m.log", lambda t: t.count(" to /copy1") >= 3 and t.count(" to /copy2") >= 1), name + ": the copies", lines(s))
mine = servers[-1]
ok("GET /a?q=1 to /copy1 q=1" in lines(mine) and "GET /a?q=1 to /copy2 q=1" in lines(mine), "URI and arguments", lines(mine))
ok(not [x for x in lines(mine) if "/outer/off" in x and "copy" in x], "off")
with mine.connect() as c:
    c.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
    time.sleep(0.1)
    ok(not [x for x in lines(mine) if x.startswith("POST")], "a copy with a body waits for it")
    c.sendall(b"56789")
    ok(c.recv(4096).startswith(b"HTTP/1.1 "), "then the request goes on")
    ok(mine.wait_for("m.log", "POST /a to /copy1"), "and its copy has the method", lines(mine))
    c.sendall(b"GET /x.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    ok(b"HTTP/1.1 200" in c.recv(4096), "the connection goes on")
equal(mine.stop(), 0, "ends well")
done()
