"""The core of the server: locations, names, error pages, redirects inside, limits, the life of connections; asked of nginx too where it has an
opinion."""
import atexit, os, re, shutil, subprocess, tempfile, time
from wire import BUILD, _started, connect, done, equal, exchange, free_port, ok, read_all

DIR = tempfile.mkdtemp(prefix="weir-core-")
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
HEAD = "daemon off; master_process off; pid %(dir)s/pid; events { worker_connections 512; }\n"

CONF = """http {
    client_body_temp_path %(dir)s/body;
    server {
        listen 127.0.0.1:%(port)d;
        server_name a.test *.wild.test mail.* ~^re(?<n>[0-9]+)\\.test$ .dot.test;
        error_page 404 /e404;
        location / { return 200 "root $uri [$args]\\n"; }
        location = / { return 200 "exactly root\\n"; }
        location = /exact { return 200 "exact\\n"; }
        location /pre { return 200 "pre\\n"; }
        location /prefix/long { return 200 "long\\n"; }
        location ^~ /stop/ { return 200 "stop\\n"; }
        location ~ \\.php$ { return 200 "php\\n"; }
        location ~* \\.GIF$ { return 200 "gif\\n"; }
        location ~ ^/cap/(.*)/(.*)$ { return 200 "$1-$2\\n"; }
        location /nest/ {
            location /nest/in/ { return 200 "in\\n"; }
            location ~ \\.txt$ { return 200 "nested txt\\n"; }
            location = /nest/eq { return 200 "nested eq\\n"; }
            return 200 "nest\\n";
        }
        location /in404 { error_page 404 = /answer; return 404; }
        location /in404b { error_page 404 =201 /answer; return 404; }
        location /in404c { error_page 404 /answer?x=1; return 404; }
        location /named { error_page 418 = @named; return 418; }
        location @named { return 200 "named $uri\\n"; }
        location /out { error_page 404 http://other.test/x; return 404; }
        location /out301 { error_page 404 =301 http://other.test/x; return 404; }
        location /answer { internal; return 200 "answer $uri $args\\n"; }
        location /loop { error_page 404 /loop; recursive_error_pages on; return 404; }
        location /e404 { internal; return 200 "own 404\\n"; }
        location /plain404 { error_page 500 /x; return 404; }
        location /s500 { return 500; }
        location /s405 { return 405; }
        location /s429 { return 429; }
        location /s418 { return 418; }
        location /s204 { return 204; }
        location /s301 { return 301 /there?a=b; }
        location /s302 { return 302 http://x.test/; }
        location /rel { absolute_redirect off; return 301 /there; }
        location /noport { port_in_redirect off; return 301 /there; }
        location /name { server_name_in_redirect on; return 301 /there; }
        location /post { limit_except GET POST { deny all; } return 200 "method ok\\n"; }
        location /small { client_max_body_size 10; return 200 "small\\n"; }
        location /off { keepalive_timeout 0; return 200 "off\\n"; }
        location /ka { keepalive_timeout 65 20; return 200 "ka\\n"; }
        location /tokens { server_tokens off; return 404; error_page 404 /none; recursive_error_pages on; }
        location /pad { return 403; }
        location /deny { deny all; }
        location /any { satisfy any; deny all; allow 127.0.0.1; return 200 "x\\n"; }
        merge_slashes on;
    }
    server { listen 127.0.0.1:%(port)d; server_name b.test *.long.wild.test; location / { return 200 "b $host\\n"; } }
    server { listen 127.0.0.1:%(port)d; server_name *.b.wild.test mail.*; location / { return 200 "c\\n"; } }
    server { listen 127.0.0.1:%(port2)d default_server; server_name "";
        large_client_header_buffers 2 1k; keepalive_requests 2; underscores_in_headers on;
        location / { return 200 "second $http_under_score\\n"; } }
}
"""


def start(argv0, conf, name, ports):
    path = os.path.join(DIR, name + ".conf")
    with open(path, "w") as f:
        f.write(conf)
    log = open(os.path.join(DIR, name + ".log"), "w+")
    argv = [argv0, "-p", DIR + "/", "-c", path]
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    class S:
        process = p

        def text(self):
            return open(log.name, errors="replace").read()

    s = S()
    s.argv = argv
    _started.append(s)
    for port in ports:
        for _ in range(250):
            try:
                connect(port, 1).close()
                break
            except OSError:
                if p.poll() is not None:
                    raise SystemExit("Bail out! %s: %s" % (argv, s.text()))
                time.sleep(0.02)
    return s


def masked(answer):
    a = re.sub(rb"\r\nDate: [^\r]*", b"", answer)
    a = re.sub(rb"\r\nServer: [^\r]*", b"", a)
    a = re.sub(rb"<center>(nginx|weir)(/[0-9.]*)?</center>", b"<center>S</center>", a)
    a = re.sub(rb"Content-Length: \d+", b"Content-Length: N", a)
    return re.sub(rb":(%d|%d|%d|%d)/" % PORTS, b":P/", a)


def ask(port, target, host="a.test", method="GET", fields="", version="1.1", body=""):
    text = "%s %s HTTP/%s\r\n%s%s\r\n%s" % (method, target, version, "Host: %s\r\n" % host if host is not None else "", fields, body)
    return exchange(port, text.encode("latin-1"), half_close=False)


close = "Connection: close\r\n"
w1, w2, n1, n2 = free_port(), free_port(), free_port(), free_port()
PORTS = (w1, w2, n1, n2)
weir = start(os.path.join(BUILD, "weir"), HEAD % {"dir": DIR} + CONF % {"dir": DIR, "port": w1, "port2": w2}, "weir", (w1, w2))

# ---- the same as nginx
SAME = [("GET", t, h) for t in ("/", "/x", "/exact", "/exact/", "/pre", "/prefix", "/prefix/lon", "/prefix/long/er", "/stop/a.php", "/a.php", "/a.PHP", "/a.gif", "/b.GiF",
                                "/cap/1/2", "/nest/", "/nest/x", "/nest/in/y", "/nest/in/y.txt", "/nest/a.php", "/nest/eq", "/nest/eq/", "//x//y", "/a/../b", "/%61%2f", "/q?a=b&c",
                                "/q?", "/../x", "/%", "/%00", "/in404", "/in404b", "/in404c", "/named", "/out", "/out301", "/answer", "/loop", "/e404", "/plain404", "/s500", "/s405", "/s429",
                                "/s418", "/s204", "/s301", "/s302", "/rel", "/noport", "/name", "/post", "/off", "/pad", "/deny", "/any", "/tokens") for h in ("a.test",)]
SAME += [("GET", "/", h) for h in ("A.TEST", "a.test.", "a.test:99", "x.wild.test", "y.x.wild.test", "x.long.wild.test", "x.b.wild.test", "wild.test", "mail.org", "mail.a.b", "re12.test",
                                   "rex.test", "dot.test", "x.dot.test", "b.test", "none.test")]
SAME += [("HEAD", "/x", "a.test"), ("HEAD", "/s500", "a.test"), ("POST", "/post", "a.test"), ("DELETE", "/post", "a.test"), ("PUT", "/x", "a.test"), ("TRACE", "/x", "a.test"), ("OPTIONS", "/x", "a.test")]
if NGINX:
    oracle_head = HEAD.replace("%(dir)s/pid", "%(dir)s/npid") % {"dir": DIR} + "error_log %s/nerr info;\n" % DIR
    start(NGINX, oracle_head + (CONF % {"dir": DIR, "port": n1, "port2": n2}).replace("http {", "http { access_log off;", 1), "nginx", (n1, n2))
    for method, target, host in SAME:
        for fields in (close, "User-Agent: Mozilla Chrome/9\r\n" + close):
            ours, theirs = (masked(ask(p, target, host, method, fields)) for p in (w1, n1))
            equal(ours, theirs, "%s %s of %s%s" % (method, target, host, " (padded)" if "Chrome" in fields else ""))
    for version, host in (("1.0", None), ("1.0", "b.test")):
        ours, theirs = (masked(ask(p, "/x", host, "GET", "", version)) for p in (w1, n1))
        equal(ours, theirs, "HTTP/1.0, Host %s" % host)
else:
    print("# nginx is not installed: nothing to compare with")


# ---- limits
def status(answer):
    return int(answer[9:12]) if answer[:5] == b"HTTP/" else 0


equal(status(ask(w1, "/small", fields="Content-Length: 11\r\n" + close, body="x" * 11)), 413, "a body over client_max_body_size")
equal(status(ask(w1, "/small", method="POST", fields="Content-Length: 10\r\n" + close, body="x" * 10)), 200, "a body of client_max_body_size")
equal(status(ask(w1, "/x", method="CONNECT", fields=close)), 400, "CONNECT with a path")
equal(status(ask(w2, "/" + "x" * 2000, fields=close)), 414, "a line over large_client_header_buffers")
a = ask(w2, "/", fields="A: " + "x" * 2000 + "\r\n" + close)
ok(status(a) == 400 and b"Request Header Or Cookie Too Large" in a, "a field over large_client_header_buffers", a[:300])
ok(b"second [v]" in ask(w2, "/", fields="Under_score: v\r\n" + close).replace(b"second v", b"second [v]"), "underscores_in_headers on")

# ---- connections
with connect(w2) as s:
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    got = read_all(s)
equal(got.count(b"HTTP/1.1 200"), 2, "keepalive_requests 2: two answers, then the end")
ok(b"Connection: close" in got, "and the second says so", got)
with connect(w1) as s:
    s.sendall(b"GET /ka HTTP/1.1\r\nHost: a.test\r\n\r\n")
    time.sleep(0.2)
    got = s.recv(4096)
    ok(b"Keep-Alive: timeout=20\r\n" in got, "keepalive_timeout with a field", got)
    s.sendall(b"GET /off HTTP/1.1\r\nHost: a.test\r\n\r\n")
    got = read_all(s)
    ok(b"Connection: close" in got, "keepalive_timeout 0 ends the connection", got)
with connect(w1) as s:
    s.sendall(b"GET /exact HTTP/1.1\r\nHost: a.test\r\n\r\nGET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
    got = read_all(s)
    ok(b"exact\n" in got and b"root /x" in got, "pipelined requests are answered in order", got)
got = exchange(w1, b"GET /exact HTTP/1.1\r\nHost: a.test\r\n\r\n")
ok(b"exact\n" in got, "a half-closed connection is answered", got)
weir.process.terminate()
equal(weir.process.wait(10), 0, "TERM ends it in order")
atexit.register(shutil.rmtree, DIR, True)
done()
