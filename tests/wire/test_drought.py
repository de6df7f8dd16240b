#!/usr/bin/env python3
"""The n-th allocation of a worker is refused, for many n, while it answers all kinds of requests: nothing crashes, nothing leaks, the
requests behind it are answered. Builds with debug_asserts only: the others have no such switch."""
import os, re, signal, socket, sys, time

from wire import done, equal, ok

FIRST, STEP, SECONDS = [int(n) for n in os.environ.get("DROUGHT", "1,3,45").split(",")]
os.environ["WEIR_REFUSE"] = "%d,%d" % (FIRST, STEP)

from weir_site import Site, wait_for

site = Site(main="worker_processes 1;", start=False, http="map $arg_m $mapped { default none; ~^(.)x $1; } limit_req_zone $binary_remote_addr zone=z:1m rate=10000r/s; limit_conn_zone $server_name zone=c:1m; open_file_cache max=10; log_format f '$request $status $http_user_agent $mapped $request_id';",
            server="""access_log logs/access.log f; client_body_buffer_size 1k; keepalive_timeout 1;
    location = /x { return 200 'hi'; }
    location /files/ { alias @DIR@/html/; autoindex on; add_header X-A $mapped; add_trailer X-T $request_id; }
    location /cold/ { alias @DIR@/html/; hot_file_cache off; aio threads; }
    location /zip/ { alias @DIR@/html/; gzip on; gzip_types *; gzip_min_length 1; }
    location /sub/ { alias @DIR@/html/; sub_filter_types *; sub_filter line LINE; sub_filter_once off; charset utf-8; }
    location /add/ { alias @DIR@/html/; addition_types *; add_before_body /x; add_after_body /files/small.txt; }
    location /auth/ { alias @DIR@/html/; auth_request /x; mirror /x; }
    location /slow/ { alias @DIR@/html/; limit_rate 2m; limit_req zone=z; limit_conn c 100; }
    location /rw/ { rewrite ^/rw/(.*)$ /files/$1 break; root @DIR@/html; try_files $uri /$1 /x; }
    location /post { client_body_in_file_only clean; error_page 405 =200 /x; return 405; }
    error_page 404 /files/small.txt;""".replace("hot_file_cache off; ", ""))
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "", 1)
site.write(raw=text)
for name, size in (("small.txt", 20), ("big.txt", 300000)):
    with open(site.path("html", name), "w") as f:
        f.write(("line of a file\n" * (size // 15 + 1))[:size])
site.start()

NAMES = ["small.txt", "big.txt", "none.txt"]
ASK = [b"GET /%s/%s?m=ax HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nTE: trailers\r\n\r\n" % (where.encode(), name.encode())
       for where in ("files", "cold", "zip", "sub", "add", "auth", "slow", "rw") for name in NAMES]
ASK += [b"GET /files/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /files/big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=1-9,20-29\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n" + b"b" * 5000, b"HEAD /files/big.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"v" * 200) for i in range(60)) + b"\r\n", b"GARBAGE\r\n\r\n"]


def ask(request):
    """The first bytes of the answer, the rest is read and thrown away; b"" when the connection ends or nothing comes."""
    with socket.create_connection(("127.0.0.1", site.port), 10) as s:
        s.settimeout(10)
        head = b""
        try:
            s.sendall(request.replace(b"\r\nHost: localhost\r\n", b"\r\nHost: localhost\r\nConnection: close\r\n", 1))
            while True:
                piece = s.recv(1 << 18)
                if not piece:
                    return head
                head = head or piece[:12]
        except ConnectionError:
            return head
        except (socket.timeout, TimeoutError):
            return b"TIMEOUT"


def droughts():
    return [tuple(map(int, m)) for m in re.findall(r"drought: nth=(\d+) refused=(\d+) objects=(\d+) bytes=(\d+)", site.log())]


def reload(n):
    before = len(droughts())
    site.kill(signal.SIGHUP)
    return wait_for(lambda: len(droughts()) > before, n)


for request in ASK[:3]:
    ask(request)
if not reload(5 if "asan" not in os.environ.get("WEIR_BUILD", "") else 20):
    print("1..0 # SKIP not a build with debug_asserts")
    sys.exit(0)

hung, silent, lost = [], [], 0
end, rounds = time.time() + SECONDS, 0
while time.time() < end and not hung and not silent:
    rounds += 1
    for request in ASK:
        got = ask(request)
        if got == b"TIMEOUT":
            hung.append(request[:40])
        lost += not got.startswith(b"HTTP/1.1 2") and b"GARBAGE" not in request and b"none" not in request
    after = [ask(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") == b"HTTP/1.1 200" for i in range(4)]
    if after.count(False) > 1:  # one may be the one that was refused
        silent.append(rounds)
    if not reload(20):
        ok(False, "a worker leaves", site.log()[-400:])
        break
seen = droughts()
equal(hung, [], "no request hangs")
equal(silent, [], "the requests behind the refused allocation are answered")
fired = [d for d in seen if d[1] == 1]
ok(len(fired) >= min(rounds, 5), "%d workers, %d were refused something, %d requests suffered" % (len(seen), len(fired), lost))
leaks = [d for d in seen if d[2]]
equal(leaks, [], "no worker leaks")
equal(site.stop(), 0, "it ends")
done()
