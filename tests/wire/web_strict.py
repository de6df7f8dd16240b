"""What must be refused: malformed and ambiguous requests (RFC 9110, 9112, 3986), each whole and one byte at a time.

    web_strict.py                       against weir
    web_strict.py nginx lighttpd ...    the same list against installed peers, as a table (they answer what they like)

Refused means: an error status, the connection closed, and not one byte of an answer to what follows behind the bad request.
"""
import os, shutil, signal, socket, subprocess, sys, tempfile, time
from wire import BUILD, done, free_port, ok

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CASES = []


def add(name, raw, statuses=(400,)):
    CASES.append((name, raw.encode("latin-1") if isinstance(raw, str) else raw, statuses))


def line(name, text, *statuses):
    add("request line: " + name, text + "\r\nHost: localhost\r\n\r\n", statuses or (400,))


def field(name, text, *statuses):
    add("field: " + name, "GET / HTTP/1.1\r\nHost: localhost\r\n" + text + "\r\n\r\n", statuses or (400,))


def host(text):
    add("host: %r" % text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % text)


def framing(name, fields, body="", *statuses):
    add("framing: " + name, "POST /read HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n\r\n" + body, statuses or (400,))


def chunk(name, body, *statuses):
    add("chunks: " + name, "POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body, statuses or (400,))


for name, text in (("two blanks", "GET  / HTTP/1.1"), ("two blanks behind", "GET /  HTTP/1.1"), ("blank before", " GET / HTTP/1.1"), ("tab", "GET\t/ HTTP/1.1"), ("tab behind", "GET /\tHTTP/1.1"),
                   ("trailing blank", "GET / HTTP/1.1 "), ("trailing word", "GET / HTTP/1.1 x"), ("no blank", "GET/ HTTP/1.1"), ("lower case http", "GET / http/1.1"), ("mixed case", "GET / Http/1.1"),
                   ("no minor", "GET / HTTP/1"), ("empty minor", "GET / HTTP/1."), ("empty major", "GET / HTTP/.1"), ("leading zero", "GET / HTTP/01.1"), ("two digits", "GET / HTTP/1.10"),
                   ("two digits, major", "GET / HTTP/11.1"), ("HTTPS", "GET / HTTPS/1.1"), ("blank in version", "GET / HTTP 1.1"), ("comma", "GET / HTTP/1,1"), ("sign", "GET / HTTP/-1.1"),
                   ("letters", "GET / HTTP/a.b"), ("no slash", "GET / HTTP1.1"), ("only a method", "GET"), ("method and blank", "GET "), ("no method", "/ HTTP/1.1"), ("no target", "GET HTTP/1.1"),
                   ("empty target", "GET  HTTP/1.1"), ("relative target", "GET index.html HTTP/1.1"), ("dots", "GET ../x HTTP/1.1"), ("asterisk", "GET * HTTP/1.1"), ("asterisk and more", "OPTIONS *x HTTP/1.1"),
                   ("backslash target", "GET \\ HTTP/1.1"), ("two targets", "GET / / HTTP/1.1"), ("CONNECT to a path", "CONNECT / HTTP/1.1"), ("CONNECT without a port", "CONNECT localhost HTTP/1.1"),
                   ("userinfo", "GET http://user@localhost/ HTTP/1.1"), ("userinfo with password", "GET http://u:p@localhost/ HTTP/1.1"), ("no host in the absolute form", "GET http:/// HTTP/1.1"),
                   ("absolute form without slashes", "GET http:/x HTTP/1.1"), ("absolute form, bad port", "GET http://localhost:x/ HTTP/1.1"), ("absolute form, port too large", "GET http://localhost:65536/ HTTP/1.1"),
                   ("absolute form, bad host", "GET http://a b/ HTTP/1.1"), ("absolute form, bad IPv6", "GET http://[::g]/ HTTP/1.1"), ("absolute form, open bracket", "GET http://[::1/ HTTP/1.1")):
    line(name, text)
line("version 2.0", "GET / HTTP/2.0", 400, 505)
line("version 0.9", "GET / HTTP/0.9", 400, 505)
line("version 3.0", "GET / HTTP/3.0", 400, 505)
for c in "()<>@,;:\\\"/[]?={}\x7f":
    line("%r in the method" % c, "GE%sT / HTTP/1.1" % c)
for c in (0, 1, 8, 11, 12, 27, 31, 127, 128, 255):
    line("byte %d in the method" % c, "G%cT / HTTP/1.1" % c)
for c in (0, 1, 8, 9, 11, 12, 13, 27, 31, 127):
    line("byte %d in the target" % c, "GET /a%cb HTTP/1.1" % c)
    line("byte %d in the query" % c, "GET /?a%cb HTTP/1.1" % c)
for t in ("%", "%4", "%zz", "%4g", "%g4", "%%41", "%00", "a%00b", "%u0041", "%-1", "% 41"):
    line("bad percent %s" % t, "GET /%s HTTP/1.1" % t)
for t in ("/..", "/../", "/../x", "/a/../../x", "/%2e%2e/x", "/%2E./x", "/.%2e/x", "/a/%2e%2e/%2e%2e/x", "/..%2fx", "/%2e%2e%2fx"):
    line("out of the root by %s" % t, "GET %s HTTP/1.1" % t)
add("bare LF behind the request line", "GET / HTTP/1.1\nHost: localhost\r\n\r\n")
add("bare LF everywhere", "GET / HTTP/1.1\nHost: localhost\n\n")
add("bare CR behind the request line", "GET / HTTP/1.1\rHost: localhost\r\n\r\n")
add("CR CR LF", "GET / HTTP/1.1\r\r\nHost: localhost\r\n\r\n")
add("bare LF before the request", "\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
add("TLS hello to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 40 + b"\r\n\r\n")
add("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505))
for name, text in (("blank before the colon", "X-A : b"), ("tab before the colon", "X-A\t: b"), ("no colon", "X-A b"), ("no name", ": b"), ("only a colon", ":"), ("blank name", " : b"),
                   ("blank in the name", "X A: b"), ("folded", "X-A: b\r\n c"), ("folded by a tab", "X-A: b\r\n\tc"), ("empty fold", "X-A: b\r\n "), ("bare LF", "X-A: b\nX-B: c"),
                   ("bare LF at the end", "X-A: b\n"), ("bare CR", "X-A: b\rX-B: c"), ("CR CR LF", "X-A: b\r\r\nX-B: c"), ("LF CR", "X-A: b\n\rX-B: c"), ("NUL in the value", "X-A: b\0c"), ("NUL in the name", "X\0A: b")):
    field(name, text)
for c in "()<>@,;\\\"/[]?={}":
    field("%r in the name" % c, "X%sA: b" % c)
for c in (1, 8, 11, 12, 27, 31, 127):
    field("byte %d in the value" % c, "X-A: b%cc" % c)
    field("byte %d in the name" % c, "X%cA: b" % c)
for c in (128, 160, 255):
    field("byte %d in the name" % c, "X%cA: b" % c)
add("fold before the first field", "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n")
add("no Host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n")
add("two Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n")
add("the same Host twice", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
add("two Hosts, absolute form", "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n")
add("no Host, absolute form", "GET http://localhost/ HTTP/1.1\r\nX-A: b\r\n\r\n")
for t in ("a b", "a/b", "a?b", "a#b", "a@b", "u:p@b", "a:b", "a:99999", "a:-1", "a:0x50", "a:80:80", "a,b", "a\\b", "[::1", "::1", "[]", "[::g]", "[::1]x", "[1.2.3.4]", "a..b", ".a", "a%00", "a%zz", "a\"b", "a<b", "a\tb", "a\x01b", "\xe9"):
    host(t)
for t in ("99999999999999999999", "18446744073709551616", "9223372036854775808"):
    framing("Content-Length: %r" % t, "Content-Length: " + t, "x", 400, 413)
for t in ("abc", "-1", "+1", "1 1", "1,1", "1, 1", "1,2", "0x1", "1.0", "1e1", "", " ", "1;x", "\"1\"", "1_0", "\x0b1", "1\x0c"):
    framing("Content-Length: %r" % t, "Content-Length: " + t, "x")
framing("Content-Length twice, the same", "Content-Length: 1\r\nContent-Length: 1", "x")
framing("Content-Length twice", "Content-Length: 1\r\nContent-Length: 2", "xy")
framing("both", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")
framing("both, the other order", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n")
framing("Content-Length with a blank before its colon", "Content-Length : 1", "x")
for t in ("chunked, chunked", "chunked, gzip", "xchunked", "chunkedx", "chun ked", "\"chunked\"", "chunked;q=1", "\x0bchunked", "chunked\x0b", "chunked\0", "'chunked'", "identity", "", "chunked, identity", "identity, chunked"):
    framing("Transfer-Encoding: %r" % t, "Transfer-Encoding: " + t, "0\r\n\r\n", 400, 501)
framing("Transfer-Encoding: gzip", "Transfer-Encoding: gzip", "0\r\n\r\n", 400, 501)
framing("Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n", 400, 501)
framing("two Transfer-Encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 400, 501)
framing("two Transfer-Encodings that differ", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n", 400, 501)
framing("Transfer-Encoding folded", "Transfer-Encoding:\r\n chunked", "0\r\n\r\n")
framing("Transfer-Encoding with a blank before its colon", "Transfer-Encoding : chunked", "0\r\n\r\n")
add("framing: Transfer-Encoding in HTTP/1.0", "POST /read HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
for name, body in (("size is no number", "g\r\nx\r\n0\r\n\r\n"), ("negative", "-1\r\nx\r\n0\r\n\r\n"), ("plus", "+1\r\nx\r\n0\r\n\r\n"), ("0x", "0x1\r\nx\r\n0\r\n\r\n"), ("blank before", " 1\r\nx\r\n0\r\n\r\n"),
                   ("blank behind", "1 \r\nx\r\n0\r\n\r\n"), ("bare LF behind the size", "1\nx\r\n0\r\n\r\n"), ("empty size", "\r\nx\r\n0\r\n\r\n"), ("2^64", "10000000000000000\r\nx\r\n0\r\n\r\n"), ("2^64+1 digits of zero", "000000000000000000001\r\nx\r\n0\r\n\r\n"), ("more data than said", "1\r\nxy\r\n0\r\n\r\n"), ("less data than said", "3\r\nx\r\n0\r\n\r\n"),
                   ("no CRLF behind the data", "1\r\nx0\r\n\r\n"), ("LF behind the data", "1\r\nx\n0\r\n\r\n"), ("CR behind the data", "1\r\nx\r0\r\n\r\n"), ("bare LF in an extension", "1;a\nx\r\n0\r\n\r\n"),
                   ("bare CR in an extension", "1;a\rb\r\nx\r\n0\r\n\r\n"), ("NUL in an extension", "1;a\0b\r\nx\r\n0\r\n\r\n"), ("comma instead of an extension", "1,a\r\nx\r\n0\r\n\r\n"), ("underscore", "1_0\r\nx\r\n0\r\n\r\n"),
                   ("bare LF behind the last size", "0\n\r\n"), ("bare LF at the end", "0\r\n\n"), ("trailer without a colon", "0\r\nabc\r\n\r\n"), ("trailer with a blank in its name", "0\r\na b: c\r\n\r\n"),
                   ("trailer with a blank before its colon", "0\r\na : c\r\n\r\n"), ("trailer folded", "0\r\na: b\r\n c\r\n\r\n"), ("bare LF in a trailer", "0\r\na: b\nc: d\r\n\r\n"), ("NUL in a trailer", "0\r\na: b\0\r\n\r\n"),
                   ("bare CR in a trailer", "0\r\na: b\rc\r\n\r\n"), ("trailer without a name", "0\r\n: b\r\n\r\n"), ("vertical tab before the size", "\x0b1\r\nx\r\n0\r\n\r\n")):
    chunk(name, body)

chunk("too large", "FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n", 400, 413)

CONF = """daemon off; worker_processes 1; pid %(dir)s/pid; error_log %(dir)s/error.log info;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(dir)s/b; %(nginx)s
    server {
        listen 127.0.0.1:%(port)d;
        location / { return 200 "answered\\n"; }
        location = /smuggled { return 200 "SMUGGLED\\n"; }
        location = /read { mirror /sink; root %(dir)s; error_page 404 405 =200 /answered; }
        location = /answered { return 200 "answered\\n"; }
        location = /sink { internal; return 204; }
    }
}
"""
PEERS = {
    "weir": ([os.path.join(BUILD, "weir"), "-p", "%(dir)s", "-c", "%(dir)s/conf"], CONF),
    "nginx": (["nginx", "-p", "%(dir)s", "-c", "%(dir)s/conf"], CONF),
    "lighttpd": (["lighttpd", "-D", "-f", "%(dir)s/conf"],
                 'server.document-root = "%(dir)s"\nserver.port = %(port)d\nserver.bind = "127.0.0.1"\nserver.errorlog = "%(dir)s/error.log"\n'),
    "haproxy": (["haproxy", "-db", "-f", "%(dir)s/conf"],
                "global\n  maxconn 100\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n  option http-buffer-request\nfrontend f\n  bind 127.0.0.1:%(port)d\n"
                '  http-request return status 200 content-type text/plain string "SMUGGLED" if { path /smuggled }\n  http-request return status 200 content-type text/plain string "answered"\n'),
    "h2o": (["h2o", "-c", "%(dir)s/conf"], "hosts:\n  default:\n    listen:\n      host: 127.0.0.1\n      port: %(port)d\n    paths:\n      /:\n        file.dir: %(dir)s\n"),
    "caddy": (["caddy", "run", "--config", "%(dir)s/conf", "--adapter", "caddyfile"],
              '{\n  admin off\n  auto_https off\n}\nhttp://localhost:%(port)d, http://127.0.0.1:%(port)d {\n  bind 127.0.0.1\n  respond /smuggled "SMUGGLED"\n  respond "answered"\n}\n'),
}


class Peer:
    def __init__(self, name):
        argv, conf = PEERS[name]
        self.dir = tempfile.mkdtemp(prefix="strict-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        names = {"dir": self.dir, "port": self.port, "nginx": ""}
        if name == "nginx":  # folders that it makes at its start whether it proxies or not
            names["nginx"] = "".join("%s_temp_path %s/%s; " % (w, self.dir, w) for w in ("proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(self.dir, "conf"), "w", encoding="utf-8") as f:
            f.write(conf % names)
        with open(os.path.join(self.dir, "smuggled"), "w", encoding="utf-8") as f:
            f.write("SMUGGLED\n")
        self.process = subprocess.Popen([a % names for a in argv], stdin=subprocess.DEVNULL, stdout=open(os.path.join(self.dir, "out"), "w"), stderr=subprocess.STDOUT,
                                        env=dict(os.environ, HOME=self.dir, XDG_DATA_HOME=self.dir, XDG_CONFIG_HOME=self.dir))
        end = time.time() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.time() > end:
                    print("Bail out! %s does not serve: %s" % (name, open(os.path.join(self.dir, "out")).read()[-1500:]))
                    sys.exit(1)
                time.sleep(0.02)

    def ask(self, raw, one_by_one):
        """What came back until the server closed; a second of silence counts as 'open'."""
        s = socket.create_connection(("127.0.0.1", self.port), 5)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got, state = b"", "closed"
        try:
            for piece in ([raw[i:i + 1] for i in range(len(raw))] if one_by_one else [raw]):
                s.sendall(piece)
        except OSError:
            pass
        s.settimeout(1)
        try:
            while True:
                d = s.recv(65536)
                if not d:
                    break
                got += d
        except (socket.timeout, TimeoutError):
            state = "open"
        except OSError:
            pass
        s.close()
        return got, state

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def judge(got, state, statuses):
    """'' when refused as it must be, else what happened."""
    if b"SMUGGLED" in got:
        return "the request behind it was answered"
    if state != "closed":
        return "the connection stays open; answer %r" % got[:60]
    if not got:
        return "closed without an answer"
    words = got.split(b" ", 2)
    status = int(words[1][:3]) if len(words) > 1 and words[1][:3].isdigit() else 0
    if status not in statuses:
        return "answered %r" % got.split(b"\r\n")[0]
    return "two answers" if got.count(b"HTTP/1.1 ") > 1 else ""


def compare(names):
    """Every peer and weir over the list, whole only: how many are refused as they must be."""
    for name in names:
        p = Peer(name)
        wrong = []
        for case, raw, statuses in CASES:
            why = judge(*p.ask(raw + NEXT, False), statuses + (400, 501, 505))
            if why:
                wrong.append("%s: %s" % (case, why))
        p.stop()
        print("%-10s %3d of %d refused" % (name, len(CASES) - len(wrong), len(CASES)))
        if "-v" in sys.argv:
            print("".join("    %s\n" % w for w in wrong), end="")


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if names:
        compare(names)
        return
    p = Peer("weir")
    for case, raw, statuses in CASES:
        for one_by_one in (False, True):
            why = judge(*p.ask(raw + NEXT, one_by_one), statuses)
            ok(not why, case + (", byte by byte" if one_by_one else ""), why)
    ok(len(CASES) >= 200, "at least 200 cases: %d" % len(CASES))
    p.stop()
    done()


main()
