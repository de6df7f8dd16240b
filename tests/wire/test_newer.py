#!/usr/bin/env python3
"""What the nginx that the oracle runs does not know: brotli and zstd, and directives and variables of later versions."""
import ctypes, http.client, os, signal, socket, ssl, struct, subprocess, time

import weir_site
from sites import Site, folder
from wire import done, equal, ok, read_all

CONF = """
max_headers 5;
early_hints $http_x_any;
server {
    listen 127.0.0.1:{port};
    root {root};
    keepalive_timeout 60s;
    location /br/ { alias {root}/; brotli on; brotli_types text/plain; brotli_min_length 100; brotli_comp_level 4; brotli_window 64k; brotli_buffers 4 8k; }
    location /br1/ { alias {root}/; brotli on; brotli_types text/plain; brotli_comp_level 1; brotli_window 1k; }
    location /zst/ { alias {root}/; zstd on; zstd_types text/plain; zstd_min_length 100; zstd_comp_level 3; zstd_buffers 4 8k; }
    location /zst19/ { alias {root}/; zstd on; zstd_types text/plain; zstd_comp_level 19; }
    location /off/ { alias {root}/; brotli off; zstd off; }
    location /pre/ { alias {root}/; brotli_static on; zstd_static on; }
    location /always/ { alias {root}/; zstd_static always; }
    location /port { return 200 "[$request_port][$is_request_port]\\n"; }
    location /trailer/ { alias {root}/; mirror /none; error_page 405 =200 @trailer; }
    location @trailer { return 200 "[$trailer_checksum]\\n"; }
    location = /none { internal; return 204; }
    location /brief { keepalive_min_timeout 60s; return 200 "x\\n"; }
}
"""


def plain_of(library, body):
    """The body unpacked by the library whose packer made it."""
    room = ctypes.create_string_buffer(4 << 20)
    if library == "br":
        n = ctypes.c_size_t(len(room))
        good = ctypes.CDLL("libbrotlidec.so.1").BrotliDecoderDecompress(ctypes.c_size_t(len(body)), body, ctypes.byref(n), room)
        return room.raw[:n.value] if good == 1 else b"<damaged>"
    unpack = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
    unpack.restype = ctypes.c_size_t
    n = unpack(room, ctypes.c_size_t(len(room)), body, ctypes.c_size_t(len(body)))
    return room.raw[:n] if n <= len(room) else b"<damaged>"


def ask(site, target, *fields):
    """(head, body), without the chunks."""
    c = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    c.putrequest("GET", target, skip_accept_encoding=True)
    for f in fields:
        c.putheader(*f.split(": "))
    c.endheaders()
    r = c.getresponse()
    body = r.read()
    c.close()
    return "%d\r\n%s" % (r.status, r.headers), body


def coded(site, root):
    text = open(os.path.join(root, "a.txt"), "rb").read()
    for name, target in (("br", "/br/"), ("br", "/br1/"), ("zstd", "/zst/"), ("zstd", "/zst19/")):
        head, body = ask(site, target + "a.txt", "Accept-Encoding: " + name)
        ok("Content-Encoding: " + name in head, "%s%s: coded" % (target, name), head)
        ok(plain_of(name, body) == text, target + ": unpacked it is the file", body[:60])
        ok(len(body) < len(text) // 2, "and it is much smaller", len(body))
        ok("Content-Encoding" not in ask(site, target + "a.txt", "Accept-Encoding: gzip")[0], "not for who does not take it")
        ok("Content-Encoding" not in ask(site, target + "a.json", "Accept-Encoding: br, zstd")[0], "nor a type that is not named")
    for target, name in (("/br/", "br"), ("/zst/", "zstd")):
        body = ask(site, target + "big.txt", "Accept-Encoding: " + name)[1]
        ok(len(body) > 1 << 20 and plain_of(name, body) == open(os.path.join(root, "big.txt"), "rb").read(), target + ": more than a connection's memory", len(body))
        ok("Content-Encoding" not in ask(site, target + "short.txt", "Accept-Encoding: " + name)[0], target + ": min_length")
    ok("Content-Encoding" not in ask(site, "/off/a.txt", "Accept-Encoding: br, zstd")[0], "off")
    big, small = (len(ask(site, t + "many.txt", "Accept-Encoding: br")[1]) for t in ("/br1/", "/br/"))
    ok(small < big, "brotli: a higher level and a larger window make it smaller", (small, big))
    big, small = (len(ask(site, t + "many.txt", "Accept-Encoding: zstd")[1]) for t in ("/zst/", "/zst19/"))
    ok(small < big, "zstd: a higher level makes it smaller", (small, big))


def precompressed(site):
    equal(ask(site, "/pre/p.txt", "Accept-Encoding: br")[1], b"brotli's", "brotli_static")
    equal(ask(site, "/pre/p.txt", "Accept-Encoding: zstd")[1], b"zstd's", "zstd_static")
    equal(ask(site, "/pre/p.txt")[1], b"plain", "and the file itself")
    equal(ask(site, "/always/p.txt")[1], b"zstd's", "always")


def newer(site):
    fields = ["X-%d: 1" % i for i in range(4)]  # and Host
    ok("200" in ask(site, "/port", *fields)[0], "as many fields as max_headers")
    ok("400" in ask(site, "/port", "X-4: 1", *fields)[0].split("\r\n")[0], "one more", ask(site, "/port", "X-4: 1", *fields)[0])
    with site.connect() as s:
        s.sendall(b"GET /port HTTP/1.1\r\nHost: x:8123\r\nConnection: close\r\n\r\n")
        ok(b"[8123][:]" in read_all(s), "$request_port and $is_request_port")
    with site.connect() as s:
        s.sendall(b"GET /port HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        ok(b"[][]" in read_all(s), "and without")
    with site.connect() as s:
        s.sendall(b"POST /trailer/p.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nChecksum: 42\r\n\r\n")
        got = read_all(s)
        ok(got.endswith(b"[]\n"), "$trailer_NAME: trailers of requests are checked and dropped", got)


def tlv():
    """A value of the PROXY protocol's second version, by number and by name."""
    root = folder()
    site = Site('server { listen 127.0.0.1:{port} proxy_protocol; return 200 "[$proxy_protocol_tlv_0xe1][$proxy_protocol_tlv_authority]"; }', root)
    rows = struct.pack(">BH", 0xe1, 4) + b"mine" + struct.pack(">BH", 2, 6) + b"a.test"
    addresses = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack(">HH", 1000, 80)
    head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(addresses) + len(rows)) + addresses + rows
    with site.connect() as s:
        s.sendall(head + b"GET / HTTP/1.0\r\n\r\n")
        got = read_all(s)
    ok(got.endswith(b"[mine][a.test]"), "$proxy_protocol_tlv_NAME", got[-60:])
    ok(site.stop() == 0, "ends well", site.text())


def min_timeout():
    """keepalive_min_timeout: a server that is to stop still takes the next request of an idle connection."""
    for target, served in (("/brief", True), ("/port", False)):
        site = Site(CONF, folder())
        with site.connect() as s:
            s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target).encode())
            s.recv(4096)
            site.process.send_signal(signal.SIGQUIT)
            end = time.time() + 10
            while "shutting down" not in site.log() and time.time() < end:
                time.sleep(0.02)
            s.settimeout(1 if served else 10)
            try:
                left = s.recv(10) == b""
            except TimeoutError:
                left = False
            except ConnectionError:
                left = True
            equal(left, not served, "%s: an idle connection is %s at a stop" % (target, "kept" if served else "closed"))
        site.process.kill()
        site.process.wait()


def tls():
    """Variables of later versions over TLS; what an OpenSSL before 3.5 cannot tell is accepted or without a value."""
    root = folder()
    key, cert = os.path.join(root, "key"), os.path.join(root, "cert")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    site = Site("""ssl_certificate_compression on; ssl_ech_file {root}/none.pem;
                   server { listen 127.0.0.1:{port} ssl; ssl_certificate {root}/cert; ssl_certificate_key {root}/key; ssl_client_certificate {root}/cert;
                   ssl_verify_client optional; return 200 "[$ssl_sigalg][$ssl_client_sigalg][$ssl_ech_status][$ssl_ech_outer_server_name]"; }""", root)
    for with_certificate, theirs in ((False, b""), (True, b"ecdsa_secp256r1_sha256")):
        c = ssl.create_default_context()
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        if with_certificate:
            c.load_cert_chain(cert, key)
        with c.wrap_socket(site.connect(), server_hostname="localhost") as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            got = read_all(s)
        ok(got.endswith((b"[ecdsa_secp256r1_sha256][" + theirs + b"][][]", b"[][][][]")), "$ssl_sigalg, $ssl_client_sigalg, $ssl_ech_status, $ssl_ech_outer_server_name", got[-90:])
    ok(site.stop() == 0, "ends well", site.text())


def main_context():
    """postmortem_path, and what is accepted for the sake of old files: connections, load_module, ssl_engine."""
    site = weir_site.Site(main="postmortem_path @DIR@/dead; load_module modules/x.so; ssl_engine dynamic;", events="connections 100;", start=False)
    os.mkdir(site.path("dead"))
    site.start()
    equal(site.get("/x")[0], 200, "serves")
    os.kill(site.workers()[0], signal.SIGKILL)
    end = time.time() + 10
    while not os.listdir(site.path("dead")) and time.time() < end:
        time.sleep(0.05)
    ok(os.listdir(site.path("dead")), "postmortem_path: the last words are there")
    site.stop()


def main():
    root = folder()
    for name, text in (("a.txt", "a line of text\n" * 500), ("a.json", "[[[]]]" * 500), ("short.txt", "x" * 50), ("p.txt", "plain"), ("p.txt.br", "brotli's"),
                       ("p.txt.zst", "zstd's"), ("many.txt", "".join("%d %d\n" % (i, i * i % 977) for i in range(9000)))):
        with open(os.path.join(root, name), "w") as f:
            f.write(text)
    with open(os.path.join(root, "big.txt"), "wb") as f:
        f.write(os.urandom(3 << 20))
    site = Site(CONF, root)
    coded(site, root)
    precompressed(site)
    newer(site)
    ok(site.stop() == 0, "ends well", site.text())
    tlv()
    min_timeout()
    main_context()
    tls()
    done()


main()
