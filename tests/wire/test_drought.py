#!/usr/bin/env python3
"""The n-th allocation of a worker is refused, for many n, while it answers all kinds of requests: nothing crashes, nothing leaks, the
requests behind it are answered."""
import socket

import drought_kit
from weir_site import Site

seconds = drought_kit.arm(45)
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


def ask_all():
    hung, lost = [], 0
    for request in ASK:
        got = ask(request)
        if got == b"TIMEOUT":
            hung.append(request[:40])
        lost += not got.startswith(b"HTTP/1.1 2") and b"GARBAGE" not in request and b"none" not in request
    return hung, lost


def ask_again():
    return [ask(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") == b"HTTP/1.1 200" for i in range(4)]


for request in ASK[:3]:
    ask(request)
drought_kit.run(site, seconds, ask_all, ask_again, "request")
