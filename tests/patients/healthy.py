#!/usr/bin/env python3
"""Healthy servers must stay silent: real ones, looked at by the real `weir doctor` at rest and under load (TAP).

    healthy.py [--jobs N] [SERVER ...]

Each server is examined idle, with 200 idle connections, under moderate and saturating load, and with a new connection for every
request; then come odd ways of being well: clients that wait on purpose, streams, port checks, slow readers. A finding above
information is a false alarm, unless the server's row calls it true. What is not installed is skipped, never passed.
Every load is bounded to a few seconds and stays inside a network namespace of its own.
"""
import concurrent.futures, json, os, shutil, socket, struct, subprocess, sys, threading, time

import beds
from patients import BUILD, HERE, WEIR, of_machine

PORT = beds.PORT
REQUEST = b"GET / HTTP/1.1\r\nHost: patient\r\n\r\n"
STATES = ["idle", "200 idle connections", "moderate load", "saturating load", "new connections"]
BUILT = os.path.join(BUILD, "tests", "healthy-go")

# ---- their files -------------------------------------------------------------------------------------------
NGINX = """daemon off; error_log stderr; pid %(dir)s/pid; worker_processes 2; user root;
events { worker_connections 2048; }
http { access_log %(dir)s/access.log; server { listen 127.0.0.1:%(port)d; location / { return 200 "ok\\n"; } } }
"""
HAPROXY = """defaults
 mode http
 timeout client 30s
 timeout server 30s
 timeout connect 5s
frontend f
 bind 127.0.0.1:%(port)d
 default_backend b
backend b
 server s 127.0.0.1:8081
"""
LIGHTTPD = """server.document-root = "%(dir)s"
server.bind = "127.0.0.1"
server.port = %(port)d
server.max-keep-alive-requests = 100000
index-file.names = ( "index.html" )
"""
H2O = """hosts:
  default:
    listen:
      host: 127.0.0.1
      port: %(port)d
    paths:
      /:
        file.dir: %(dir)s
user: root
"""
CADDY = """{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:%(port)d"],"automatic_https":{"disable":true},
"routes":[{"handle":[{"handler":"static_response","body":"ok\\n"}]}]}}}}}
"""
PYTHON = """import http.server
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers(); self.wfile.write(b"ok\\n")
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 512
S(("127.0.0.1", %(port)d), H).serve_forever()
"""
NODE = "require('http').createServer((q, r) => r.end('ok\\n')).listen(%(port)d, '127.0.0.1');\n"
JAVA = """import com.sun.net.httpserver.HttpServer;
public class Main { public static void main(String[] a) throws Exception {
    HttpServer s = HttpServer.create(new java.net.InetSocketAddress("127.0.0.1", %(port)d), 512);
    s.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(8));
    s.createContext("/", x -> { x.sendResponseHeaders(200, 3); x.getResponseBody().write("ok\\n".getBytes()); x.close(); });
    s.start(); } }
"""
GO = """package main
import "net/http"
func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok\\n")) })
	http.ListenAndServe("127.0.0.1:8080", nil)
}
"""
WEIR_CONF = NGINX


# ---- how each is started -------------------------------------------------------------------------------------
def file(bed, name, text, port=PORT):
    path = os.path.join(bed.dir, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text % {"dir": bed.dir, "port": port})
    return path


def need(*tools):
    for t in tools:
        if not shutil.which(t) and not os.path.exists(t):
            raise beds.Skip("%s is not installed" % t)


def spawn(bed, *argv, user=None, port=PORT, seconds=60):
    with open(os.path.join(bed.dir, "log%d" % port), "w", encoding="utf-8") as log:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, cwd=bed.dir)
    bed.processes.append(p)
    end = time.time() + seconds
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if p.poll() is not None:
                break
            time.sleep(0.1)
    with open(log.name, encoding="utf-8", errors="replace") as f:
        raise RuntimeError("%s does not listen: %s" % (argv[0], f.read()[-300:]))


def nginx(bed, port=PORT):
    need("nginx")
    spawn(bed, "nginx", "-p", bed.dir, "-c", file(bed, "nginx.conf", NGINX, port), port=port)


def haproxy(bed):
    need("haproxy", "nginx")
    nginx(bed, 8081)
    spawn(bed, "haproxy", "-db", "-f", file(bed, "haproxy.cfg", HAPROXY))


def lighttpd(bed):
    need("lighttpd")
    file(bed, "index.html", "ok\n")
    spawn(bed, "lighttpd", "-D", "-f", file(bed, "lighttpd.conf", LIGHTTPD))


def h2o(bed):
    need("h2o")
    file(bed, "index.html", "ok\n")
    spawn(bed, "h2o", "-c", file(bed, "h2o.yaml", H2O))


def caddy(bed):
    need("caddy")
    os.environ.update(HOME=bed.dir, XDG_DATA_HOME=bed.dir, XDG_CONFIG_HOME=bed.dir)
    spawn(bed, "caddy", "run", "--config", file(bed, "caddy.json", CADDY))


def redis(bed):
    need("redis-server")
    spawn(bed, "redis-server", "--port", str(PORT), "--bind", "127.0.0.1", "--save", "", "--dir", bed.dir)


def postgres(bed, *more):
    need("postgres", "initdb", "pgbench")
    data = os.path.join(bed.dir, "data")
    os.chmod(bed.dir, 0o755)
    os.mkdir(data)
    shutil.chown(data, "nobody")
    subprocess.run(["initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], user="nobody", check=True, cwd="/", stdout=subprocess.DEVNULL)
    spawn(bed, "postgres", "-D", data, "-p", str(PORT), "-h", "127.0.0.1", "-k", "", "-F", *more, user="nobody")
    subprocess.run(["pgbench", "-h", "127.0.0.1", "-p", str(PORT), "-U", "postgres", "-i", "-q", "-s", "1", "postgres"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def mariadb(bed):
    need("mariadbd", "mariadb-install-db", "mariadb-slap")
    data = os.path.join(bed.dir, "data")
    subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + data, "--user=root", "--auth-root-authentication-method=normal"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spawn(bed, "mariadbd", "--no-defaults", "--user=root", "--datadir=" + data, "--port=%d" % PORT, "--bind-address=127.0.0.1",
          "--socket=" + os.path.join(bed.dir, "s"), "--pid-file=" + os.path.join(bed.dir, "pid"), "--max-connections=300")


def python(bed):
    spawn(bed, sys.executable, file(bed, "server.py", PYTHON))


def node(bed):
    need("node")
    spawn(bed, "node", file(bed, "server.js", NODE))


def java(bed):
    need("java")
    spawn(bed, "java", "-Xmx128m", file(bed, "Main.java", JAVA))


def go(bed):
    need("go")
    if not os.path.exists(BUILT):
        env = dict(os.environ, GO111MODULE="off", GOCACHE=os.path.join(BUILD, "go-cache"))
        p = subprocess.run(["go", "build", "-o", BUILT, file(bed, "main.go", GO)], env=env, stderr=subprocess.PIPE, text=True, check=False)
        if p.returncode != 0:
            raise beds.Skip("go build: " + p.stderr[-200:])
    spawn(bed, BUILT)


def weir(bed):
    spawn(bed, WEIR, "-p", bed.dir, "-c", file(bed, "weir.conf", WEIR_CONF))


# ---- idle connections ------------------------------------------------------------------------------------------
def idle_http(bed):
    held = beds.clients(200, REQUEST)
    return held


def idle_redis(bed):
    return beds.clients(200, b"PING\r\n")


def idle_postgres(bed):
    body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
    return beds.clients(60, struct.pack("!i", len(body) + 4) + body)


def idle_mariadb(bed):
    argv = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(PORT), "-u", "root", "--batch", "-n"]
    held = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(30)]
    for p in held:
        p.stdin.write(b"select 1;\n")
        p.stdin.flush()
        p.stdout.readline()
    bed.processes += held
    return held


# ---- loads: each ends by itself after a few seconds ------------------------------------------------------------
def ask(request, end):
    with socket.create_connection(("127.0.0.1", PORT), 5) as s:
        s.settimeout(5)
        while time.time() < end:
            s.sendall(request)
            if not s.recv(4096):
                return
            time.sleep(0.01)


def moderate(request, seconds):
    """Four connections that ask a hundred times a second, and a new one now and then."""
    end = time.time() + seconds
    threads = [threading.Thread(target=ask, args=(request, end)) for _ in range(4)]
    for t in threads:
        t.start()
    while time.time() < end:
        ask(request, time.time() + 0.005)
        time.sleep(0.05)
    for t in threads:
        t.join()


SELF = [sys.executable, os.path.join(HERE, "healthy.py"), "--load"]
URL = "http://127.0.0.1:%d/" % PORT
HTTP_LOAD = (SELF + ["http"], ["wrk", "-t1", "-c64", "-d4", URL], ["ab", "-q", "-c", "50", "-t", "4", "-n", "1000000", URL])
REDIS_LOAD = (SELF + ["redis"], ["redis-benchmark", "-p", str(PORT), "-c", "50", "-n", "600000", "-t", "get", "-q"],
              ["redis-benchmark", "-p", str(PORT), "-c", "50", "-n", "60000", "-t", "get", "-q", "-k", "0"])
PG = ["pgbench", "-h", "127.0.0.1", "-p", str(PORT), "-U", "postgres", "-n", "-S", "-T", "4"]
PG_LOAD = (PG + ["-c", "4", "-R", "200", "postgres"], PG + ["-c", "24", "postgres"], PG + ["-C", "-c", "8", "postgres"])
SLAP = ["mariadb-slap", "--no-defaults", "-h", "127.0.0.1", "-P", str(PORT), "-u", "root", "--auto-generate-sql"]
SLAP_LOAD = (SLAP + ["--concurrency=2", "--number-of-queries=20000"], SLAP + ["--concurrency=40", "--number-of-queries=60000"],
             SLAP + ["--concurrency=8", "--number-of-queries=20000", "--detach=2"])

# name: start, idle connections, loads, findings that are true of it. Python's and Java's own servers send head and body of an
# answer apart, with Nagle's algorithm: 40 ms for a request to a client that delays its acknowledgements.
SERVERS = {
    "nginx": (nginx, idle_http, HTTP_LOAD, set()),
    "haproxy": (haproxy, idle_http, HTTP_LOAD, set()),
    "lighttpd": (lighttpd, idle_http, HTTP_LOAD, set()),
    "h2o": (h2o, idle_http, HTTP_LOAD, set()),
    "caddy": (caddy, idle_http, HTTP_LOAD, set()),
    "redis": (redis, idle_redis, REDIS_LOAD, set()),
    "postgres": (postgres, idle_postgres, PG_LOAD, set()),
    "mariadb": (mariadb, idle_mariadb, SLAP_LOAD, set()),
    "python": (python, idle_http, HTTP_LOAD, {"nagle-delayed-ack"}),
    "node": (node, idle_http, HTTP_LOAD, set()),
    "java": (java, idle_http, HTTP_LOAD, {"nagle-delayed-ack"}),
    "go": (go, idle_http, HTTP_LOAD, set()),
    "weir": (weir, idle_http, HTTP_LOAD, set()),
}


# ---- odd ways of being well --------------------------------------------------------------------------------------
LONG_POLL_PY = """import http.server, threading
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): threading.Event().wait(20)
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 512
S(("127.0.0.1", %(port)d), H).serve_forever()
"""
LONG_POLL_JS = "require('http').createServer((q, r) => setTimeout(() => r.end('ok'), 20000)).listen(%(port)d, '127.0.0.1');\n"
EVENTS_JS = """require('http').createServer((q, r) => {
    r.writeHead(200, {'Content-Type': 'text/event-stream'});
    r.write('data: hello\\n\\n');
    setInterval(() => r.write('data: tick\\n\\n'), 3000);
}).listen(%(port)d, '127.0.0.1');
"""
PREFORK_PY = """import os, socket
l = socket.create_server(("127.0.0.1", %(port)d), backlog=512)
for _ in range(3):
    if os.fork() == 0:
        break
while True:
    c, _ = l.accept()
    while c.recv(4096):
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n")
    c.close()
"""
BIG = "x" * 8000000


def long_poll_threads(bed):
    spawn(bed, sys.executable, file(bed, "server.py", LONG_POLL_PY))


def long_poll_loop(bed):
    need("node")
    spawn(bed, "node", file(bed, "server.js", LONG_POLL_JS))


def events(bed):
    need("node")
    spawn(bed, "node", file(bed, "server.js", EVENTS_JS))


def prefork(bed):
    spawn(bed, sys.executable, file(bed, "server.py", PREFORK_PY))


def fifty_wait(bed):
    held = beds.clients(50, REQUEST)
    time.sleep(3)
    return held


def blocking_pops(bed):
    held = beds.clients(50, b"BLPOP nothing 0\r\n")
    time.sleep(3)
    return held


def long_queries(bed):
    argv = ["psql", "-h", "127.0.0.1", "-p", str(PORT), "-U", "postgres", "-c", "select pg_sleep(30)"]
    need(argv[0])
    bed.processes += [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(10)]
    time.sleep(3)


def port_checks(bed):
    """As balancers do: connect, and hang up at once, half of them by a reset."""
    def check_again(end):
        while time.time() < end:
            s = socket.create_connection(("127.0.0.1", PORT), 5)
            if int(time.time() * 100) % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            time.sleep(0.02)
    threading.Thread(target=check_again, args=(time.time() + 4,), daemon=True).start()
    time.sleep(1)


def slow_readers(bed):
    """Four downloads whose readers take their time."""
    held = []
    for _ in range(4):
        s = socket.create_connection(("127.0.0.1", PORT), 5)
        s.sendall(b"GET /big HTTP/1.1\r\nHost: patient\r\n\r\n")
        held.append(s)

    def sip(end):
        while time.time() < end:
            for s in held:
                s.recv(20000)
            time.sleep(0.2)
    threading.Thread(target=sip, args=(time.time() + 6,), daemon=True).start()
    time.sleep(2)
    return held


def nginx_with_file(bed):
    need("nginx")
    with open(os.path.join(bed.dir, "big"), "w", encoding="ascii") as f:
        f.write(BIG)
    spawn(bed, "nginx", "-p", bed.dir, "-c", file(bed, "nginx.conf", NGINX.replace("location / {", "location /big { root %(dir)s; } location / {")))


def nginx_piped(bed):
    need("nginx", "cat")
    os.mkfifo(os.path.join(bed.dir, "access.log"))
    bed.processes.append(subprocess.Popen(["cat", os.path.join(bed.dir, "access.log")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    nginx(bed)


def postgres_synced(bed):
    postgres(bed, "-c", "fsync=on")


def ask_while(bed, load):
    need(load[0])
    bed.processes.append(subprocess.Popen(load, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    time.sleep(1)


PG_WRITES = ["pgbench", "-h", "127.0.0.1", "-p", str(PORT), "-U", "postgres", "-n", "-T", "4", "-c", "8", "postgres"]

# what: start, what happens
ODD = {
    "threads, 50 clients long-polling": (long_poll_threads, fifty_wait),
    "one loop, 50 clients long-polling": (long_poll_loop, fifty_wait),
    "50 streams of events": (events, fifty_wait),
    "redis, 50 clients in BLPOP": (redis, blocking_pops),
    "postgres, 10 queries of 30 seconds": (postgres, long_queries),
    "nginx, its log a pipe that is read": (nginx_piped, lambda bed: ask_while(bed, HTTP_LOAD[1])),
    "postgres, written to and synced": (postgres_synced, lambda bed: ask_while(bed, PG_WRITES)),
    "nginx, a port check every 20 ms": (nginx, port_checks),
    "haproxy, a port check every 20 ms": (haproxy, port_checks),
    "nginx, four slow readers": (nginx_with_file, slow_readers),
    "three processes that accept in turn": (prefork, lambda bed: beds.clients(3, REQUEST)),
}


# ---- examinations -------------------------------------------------------------------------------------------------
def doctor():
    return beds.doctor(WEIR, "-t", "1s", ":%d" % PORT)


def under(load):
    if not shutil.which(load[0]):
        return {"skip": "%s is not installed" % load[0]}
    p = subprocess.Popen(load, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    if p.poll() is not None:
        return {"error": "%s ended early with %d" % (load[0], p.returncode)}
    got = doctor()
    p.terminate()
    p.wait(20)
    return got


def four_states(bed, start, idle, loads):
    start(bed)
    time.sleep(0.3)
    yield doctor()
    held = idle(bed)
    yield doctor()
    for s in held:
        s.kill() if isinstance(s, subprocess.Popen) else s.close()
    for load in loads:
        yield under(load)


def odd_state(bed, start, happens):
    start(bed)
    held = happens(bed)
    yield doctor()
    del held


def inside(name):
    bed, out = beds.Bed([], False), []
    try:
        beds.loopback_up()
        for got in odd_state(bed, *ODD[name]) if name in ODD else four_states(bed, *SERVERS[name][:3]):
            out.append(got)
    except beds.Skip as e:
        out = [{"skip": str(e)}]
    except (RuntimeError, OSError, subprocess.SubprocessError) as e:
        out.append({"error": "%s: %s" % (type(e).__name__, e)})
    finally:
        bed.clear()
    print(json.dumps(out + [out[-1]] * (len(states_of(name)) - len(out))))
    return 0


def states_of(name):
    return ["well"] if name in ODD else STATES


def look(name):
    p = subprocess.run(beds.unshare() + [sys.executable, os.path.abspath(__file__), "--inside", name], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200, check=False)
    try:
        return json.loads(p.stdout)
    except ValueError:
        said = (p.stderr.strip().splitlines() or ["exit %d" % p.returncode])[-1]
        return [{"skip" if "unshare" in p.stderr else "error": said}] * len(states_of(name))


def verdict(name, got):
    """What is wrong, and the cell of the table."""
    if "error" in got:
        return got["error"], "error"
    bad, words = [], []
    for f in got["report"]["findings"]:
        true = name in SERVERS and f["id"] in SERVERS[name][3] or of_machine(f, got)
        if f["severity"] != "info" and not true:
            bad.append("%s (%s, %s): %s" % (f["id"], f["severity"], f["sure"], [(e["k"], e.get("text", e.get("b"))) for e in f["evidence"]]))
        words.append(f["id"] + (" (info)" if f["severity"] == "info" else " (true)" if true else " (FALSE)"))
    return "; ".join(bad), ", ".join(words) or "-"


def run_all(names, jobs):
    began, count, failed, table = time.time(), 0, 0, []
    print("1..%d" % sum(len(states_of(n)) for n in names))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, future in [(n, pool.submit(look, n)) for n in names]:
            cells = []
            for state, got in zip(states_of(name), future.result()):
                count += 1
                if "skip" in got:
                    print("ok %d - %s, %s # SKIP %s" % (count, name, state, got["skip"]), flush=True)
                    cells.append("skipped")
                    continue
                bad, cell = verdict(name, got)
                failed += bool(bad)
                cells.append(cell)
                print("%sok %d - %s, %s: no false alarm" % ("not " if bad else "", count, name, state))
                if bad:
                    print("#   " + bad)
                sys.stdout.flush()
            table.append((name, cells))
    print("# %-36s %s" % ("", " | ".join("%-22s" % s for s in STATES)))
    for name, cells in table:
        print("# %-36s %s" % (name, " | ".join("%-22s" % c for c in cells)))
    print("# %d examinations in %.0f s" % (count, time.time() - began))
    return 1 if failed else 0


def main():
    args = sys.argv[1:]
    if args[:1] == ["--inside"]:
        return inside(args[1])
    if args[:1] == ["--load"]:
        moderate({"http": REQUEST, "redis": b"PING\r\n"}[args[1]], 4)
        return 0
    jobs = 2
    if "--jobs" in args:
        at = args.index("--jobs")
        jobs = int(args[at + 1])
        del args[at:at + 2]
    unknown = [a for a in args if a not in SERVERS and a not in ODD]
    if unknown:
        print("healthy.py: unknown server %s; there are: %s" % (unknown[0], ", ".join(list(SERVERS) + list(ODD))), file=sys.stderr)
        return 64
    return run_all(args or list(SERVERS) + list(ODD), jobs)


if __name__ == "__main__":
    sys.exit(main())
