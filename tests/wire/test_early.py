#!/usr/bin/env python3
"""What ends or is answered before a request exists, one way after the other: where it is logged, and which counter has it (docs/metrics.md has the table)."""
import re, resource, socket, ssl, subprocess, time

from weir_site import Site, wait_for
from wire import connect, done, equal, free_port, ok, read_all

TLS, PROXY, CHAIN = free_port(), free_port(), free_port()
s = Site(start=False)
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", s.path("key"), "-out", s.path("crt"), "-days", "2",
                "-subj", "/CN=localhost"], check=True, capture_output=True)
CERT = "ssl_certificate %s; ssl_certificate_key %s;" % (s.path("crt"), s.path("key"))
s.write(raw="""daemon off; worker_processes 1; worker_rlimit_nofile 120; pid logs/weir.pid; error_log logs/error.log info;
events { worker_connections 100; }
http { access_log logs/access.log; client_header_timeout 1s; client_body_timeout 1s; client_max_body_size 100; large_client_header_buffers 2 1k; client_header_buffer_size 512;
 limit_conn_zone $binary_remote_addr zone=one:1m;
 server { listen 127.0.0.1:%d deferred=off; location = /x { return 200 hi; } location = /one { limit_conn one 1; limit_rate 2k; root html; try_files /big =404; }
          location = /post { client_body_in_file_only off; limit_except POST GET { deny all; } root html; mirror /sink; } location = /sink { return 204; } }
 server { listen 127.0.0.1:%d ssl deferred=off; %s location = /x { return 200 hi; } }
 server { listen 127.0.0.1:%d proxy_protocol deferred=off; location = /x { return 200 hi; } }
 server { listen 127.0.0.1:%d ssl deferred=off; %s ssl_verify_client on; ssl_client_certificate %s; location = /x { return 200 hi; } } }
""" % (s.port, TLS, CERT, PROXY, CHAIN, CERT, s.path("crt")))
with open(s.path("html", "big"), "w") as f:
    f.write("b" * 100000)
s.start()


def access():
    with open(s.path("logs", "access.log")) as f:
        return [re.sub("a{900,}", "a...", x.split('] ', 1)[1].strip()) for x in f]


def counter(name):
    return s.status()["counters"][name]


def way(name, do, line=None, error=None, count=None):
    """do() is done once; then the access log has `line`, the error log `error` at its level, and the counter one more. None: nothing new."""
    lines, log = len(access()), len(s.log())
    before = counter(count) if count else 0
    do()
    new = wait_for(lambda: access()[lines:], 5) if line else time.sleep(0.1) or access()[lines:]
    equal(new, [line] if line else [], name + ": the access log")
    if error:
        level, text = error
        ok(wait_for(lambda: any("[%s]" % level in x and text in x and "client: 127.0.0.1" in x for x in s.log()[log:].splitlines()), 5), "  the error log: " + text, s.log()[log:])
    if count:
        ok(wait_for(lambda: counter(count) > before, 5), "  %s counts it" % count, (before, counter(count)))


def send(data, port=None, wait=8):
    def do():
        with connect(port or s.port, wait) as c:
            c.sendall(data)
            read_all(c)
    return do


def silent(port):
    return send(b"", port)


def leaves(port):
    return lambda: connect(port).close()


def shake(port):
    def do():
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        try:
            with connect(port) as raw, ctx.wrap_socket(raw) as c:
                c.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while c.recv(4096):
                    pass
        except (OSError, ssl.SSLError):
            pass
    return do


wait_for(lambda: access(), 5)  # that it serves was asked
way("a malformed head", send(b"GET / HTTP/1.1\r\nbad\r\n\r\n"), '"GET / HTTP/1.1" 400 155 "-" "-"', ("info", "client sent a request that is refused"), "weir_responses_4xx_total")
way("no head at all", send(b"\x00\x01\x02\r\n\r\n"), '"\\x00" 400 155 "-" "-"', ("info", "client sent a request that is refused"), "weir_responses_4xx_total")
way("a line that is too long", send(b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n"), '"GET /a..." 414 175 "-" "-"', ("info", "client sent a request that is refused"), "weir_responses_4xx_total")
way("half a head, and the end", lambda: [c.sendall(b"GET / HTTP/1.1\r\nHo") or c.shutdown(socket.SHUT_WR) or read_all(c) for c in [connect(s.port)]], '"GET / HTTP/1.1" 400 155 "-" "-"',
    ("info", "client sent a request that is refused"), "weir_responses_4xx_total")
way("a head that does not come", send(b"GET / HTTP/1.1\r\nHo"), '"GET / HTTP/1.1" 408 165 "-" "-"', None, "weir_responses_4xx_total")
way("not a byte in time", silent(s.port), None, ("info", "client timed out (110: Connection timed out) while waiting for request"))
way("who leaves without a byte", leaves(s.port), None, ("info", "client closed connection while waiting for request"), "weir_connections_closed_total")
way("a body too long", send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"), '"POST /x HTTP/1.1" 413 181 "-" "-"', None, "weir_responses_4xx_total")
way("plain HTTP on a TLS port", send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", TLS), '"GET /x HTTP/1.1" 400 253 "-" "-"', ("info", "plain HTTP on a TLS port"), "weir_responses_4xx_total")
way("bytes that are no handshake", send(b"\x16\x03\x01\x00\x05garbagegarbage", TLS), None, ("info", "SSL_do_handshake() failed (SSL: "), "weir_tls_handshakes_failed_total")
way("no common version", lambda: subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % TLS, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                                                  capture_output=True, timeout=20), None, ("info", "SSL_do_handshake() failed (SSL: "), "weir_tls_handshakes_failed_total")
way("who leaves before the handshake", leaves(TLS), None, ("info", "client closed connection while SSL handshaking"), "weir_tls_handshakes_failed_total")
way("a client without its certificate", shake(CHAIN), '"GET /x HTTP/1.1" 400 235 "-" "-"', ("info", "client sent no required SSL certificate"), "weir_responses_4xx_total")
way("no PROXY header", send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", PROXY), None, ("info", "broken header while reading the PROXY header"), "weir_proxy_headers_bad_total")
way("silence in place of a PROXY header", silent(PROXY), None, ("info", "client timed out (110: Connection timed out) while reading the PROXY header"), "weir_connections_closed_total")


def limited():
    first = connect(s.port)
    first.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
    first.recv(10)
    way("limit_conn", send(b"GET /one HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), '"GET /one HTTP/1.1" 503 195 "-" "-"', ("error", "limiting connections by zone"), "weir_responses_5xx_total")
    first.close()
    wait_for(lambda: len(access()) and '/one HTTP/1.1" 200' in access()[-1], 5)


def crowd():
    clients = []
    for _ in range(130):
        c = connect(s.port)
        c.sendall(b"GET /x HTTP/1.1\r\nHost")
        clients.append(c)
    ok(s.logged("worker_connections are not enough: accepting pauses, new connections wait in the kernel's queue"), "worker_connections are taken: it is said", s.log()[-500:])
    for c in clients:
        c.close()


def handshakes():
    """More than 1024 who never speak."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4000), most))
    t = Site(start=False)
    t.write(raw="""daemon off; worker_processes 1; worker_rlimit_nofile 3000; pid logs/weir.pid; error_log logs/error.log notice; events { worker_connections 2500; }
http { access_log off; server { listen 127.0.0.1:%d; location = /x { return 200 hi; } } server { listen 127.0.0.1:%d ssl deferred=off; %s } }""" % (t.port, TLS, CERT))
    t.start()
    clients = [connect(TLS) for _ in range(1100)]
    ok(t.logged("handshakes are too many: accepting pauses, those older than a second are closed", 10), "too many handshakes: it is said", t.log()[-500:])
    ok(wait_for(lambda: t.status()["counters"]["weir_tls_handshakes_shed_total"] >= 100, 15), "and counted", t.status()["counters"])
    for c in clients:
        c.close()
    t.stop()


limited()
crowd()
s.stop()
handshakes()
done()
