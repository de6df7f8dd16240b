#!/usr/bin/env python3
"""Variables over the life of connections: what is counted, what is cached, whose address it is, what the log is told."""
import os, re, socket, struct, time

from sites import Site, folder
from wire import done, equal, ok

ROOT = folder()
with open(os.path.join(ROOT, "f.txt"), "w") as f:
    f.write("0123456789" * 1000)
SOCKET = os.path.join(ROOT, "s.sock")

CONF = r"""
log_format all "$request_uri|$status|$body_bytes_sent|$bytes_sent|$request_completion|$request_length|$sent_http_content_length|$connection_requests|$remote_addr|$realip_remote_addr|$uid_set";
map $uri $once { ~(?<u>.*) $u; }
map $uri $each { volatile; ~(?<w>.*) $w; }
geo $near { default far; 127.0.0.0/8 near; }
split_clients $arg_c $part { 25% a; 25% b; * rest; }
server {
    listen 127.0.0.1:{port};
    listen unix:{root}/s.sock;
    access_log {root}/access.log all;
    root {root}; default_type text/plain;
    location = /count { return 200 "$connection $connection_requests\n"; }
    location = /id { return 200 "$request_id $request_id\n"; }
    location = /addr { return 200 "$remote_addr|$remote_port|$server_addr|$server_port|$near|$binary_remote_addr\n"; }
    location /cache { set $first "$once $each"; rewrite ^ /other; return 200 "$first | $once $each $uri\n"; }
    location = /long { limit_rate 1k; alias {root}/f.txt; }
    location = /page { error_page 404 /err; return 404; }
    location = /err { return 200 "$status $uri $request_uri\n"; }
    location = /part { return 200 "$part\n"; }
    location = /time { return 200 "$msec $time_iso8601\n"; }
    location = /user { return 200 "$remote_user\n"; }
    location = /uid { userid on; alias {root}/f.txt; }
}
server {
    listen 127.0.0.1:{proxy} proxy_protocol;
    set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
    location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port $remote_addr:$remote_port $realip_remote_addr [$proxy_protocol_tlv_authority][$proxy_protocol_tlv_0x02][$proxy_protocol_tlv_ssl_version]\n"; }
}"""
from wire import free_port
PROXY = free_port()
site = Site(CONF.replace("{proxy}", str(PROXY)), ROOT)


def body(target, *fields):
    return site.ask(target, *fields)[2].decode("latin-1")


def talk(s, target, fields=""):
    s.sendall(("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (target, fields)).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    n = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(rest) < n:
        rest += s.recv(65536)
    return rest.decode("latin-1")


with site.connect() as s:
    numbers = [talk(s, "/count").split() for _ in range(3)]
equal([n[1] for n in numbers], ["1", "2", "3"], "requests of a connection are counted")
equal(len({n[0] for n in numbers}), 1, "its number stays")
ok(body("/count").split()[0] != numbers[0][0], "another connection has another")
one, two = body("/id").split()
ok(one == two and re.fullmatch("[0-9a-f]{32}", one), "an id is made once a request", (one, two))
ok(body("/id").split()[0] != one, "and another for the next")
parts = body("/addr").rstrip("\n").split("|")
ok(parts[0] == "127.0.0.1" and parts[1].isdigit() and parts[2:5] == ["127.0.0.1", str(site.port), "near"] and parts[5] == "\x7f\0\0\1", "addresses", parts)
equal(body("/cache/x"), "/cache/x /cache/x | /cache/x /other /other\n", "a map is asked once, a volatile one each time")
equal(body("/page"), "404 /err /page\n", "a page behind an error knows the status and the first URI")
equal(body("/user", "Authorization: Basic am9lOng6eQ=="), "joe\n", "the user of Basic")
msec, iso = body("/time").split()
ok(abs(float(msec) - time.time()) < 2, "the clock", msec)
counts = {}
for i in range(400):
    if i % 4 == 0:
        s = site.connect()
    p = talk(s, "/part?c=%d" % i).strip()
    counts[p] = counts.get(p, 0) + 1
ok(70 < counts["a"] < 130 and 70 < counts["b"] < 130 and 150 < counts["rest"] < 250, "parts have their sizes", counts)

# A connection over a unix socket has no port.
with socket.socket(socket.AF_UNIX) as s:
    s.connect(SOCKET)
    s.settimeout(5)
    equal(talk(s, "/addr").split("|")[:2], ["unix:", ""], "a client on a unix socket")

# PROXY protocol, both versions.
def proxied(first, target="/"):
    with socket.create_connection(("127.0.0.1", PROXY), 5) as s:
        s.sendall(first)
        return talk(s, target)


equal(proxied(b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n"), "1.2.3.4:1111 5.6.7.8:2222 1.2.3.4:1111 127.0.0.1 [][][]\n", "version 1")
equal(proxied(b"PROXY UNKNOWN\r\n").split(" ")[0], ":", "of nobody")
tlvs = b"\x02\x00\x06a.test" + b"\x20\x00\x0f" + b"\x01\0\0\0\0" + b"\x21\x00\x07TLSv1.3"
block = socket.inet_aton("9.8.7.6") + socket.inet_aton("5.4.3.2") + struct.pack("!HH", 99, 88) + tlvs
equal(proxied(b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11" + struct.pack("!H", len(block)) + block),
      "9.8.7.6:99 5.4.3.2:88 9.8.7.6:99 127.0.0.1 [a.test][a.test][TLSv1.3]\n", "version 2 with its TLVs")

# The log.
site.ask("/uid")
with site.connect() as s:
    s.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
    s.recv(100)
end, LOG = time.time() + 8, os.path.join(ROOT, "access.log")
while time.time() < end:
    lines = [l.split("|") for l in open(LOG, encoding="latin-1").read().splitlines()] if os.path.exists(LOG) else []
    if {"/long", "/user", "/uid"} <= {l[0] for l in lines}:
        break
    time.sleep(0.05)
by = {l[0]: l for l in lines}
ok(by["/user"][1:3] == ["200", "4"] and int(by["/user"][3]) > 100, "status, body and all bytes", by["/user"])
equal(by["/user"][4], "OK", "a complete answer")
equal(by["/user"][5], str(len("GET /user HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic am9lOng6eQ==\r\n\r\n")), "length of the request")
equal(by["/user"][6], "4", "length as sent")
equal(by["/long"][4], "", "an answer that was cut is not complete")
ok(int(by["/long"][2]) < 10000, "and its bytes are those that went", by["/long"])
ok(re.fullmatch("uid=[0-9A-F]{32}", by["/uid"][10]) is not None, "the number that was given", by["/uid"])
done()
