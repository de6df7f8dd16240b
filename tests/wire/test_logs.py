#!/usr/bin/env python3
"""Logs: formats as nginx writes them, buffers, gzip, names with variables, syslog, reopening, and a logger that stands still."""
import gzip, json, os, re, signal, socket, subprocess, time

import sites
from sites import HAVE_NGINX, NGINX, folder
from whole import Whole
from wire import done, equal, ok

ROOT = folder()
for name in ("index.html", "x.txt"):
    with open(os.path.join(ROOT, name), "w") as f:
        f.write("in\n" * 10)

CONF = """
  log_format def '$remote_addr|$request|$status|$body_bytes_sent|$http_referer|$http_user_agent|$http_x_any|$arg_a|$remote_user|$request_length|$uri|$args|$connection_requests|$sent_http_content_type|${status}x|$';
  log_format js escape=json '{"r":"$request","ref":"$http_referer","x":"$http_x_any","u":"$uri"}';
  log_format raw escape=none '$request|$http_referer|$http_x_any|$arg_a';
  log_format times '$time_local|$time_iso8601|$msec|$request_time|$pid|$bytes_sent';
  log_format one '$request_uri'; log_format hosted '$uri';
  map $status $bad { ~^[23] 0; default 1; } map $arg_zero $zero { 1 ""; default 5; }
  keepalive_requests 1000000; access_log {dir}/def.log def; access_log {dir}/combined.log; access_log {dir}/js.log js; access_log {dir}/raw.log raw; access_log {dir}/times.log times;
  server { listen 127.0.0.1:{port}; server_name localhost; root {root};
    location /off { access_log off; try_files /index.html =404; }
    location /own { access_log {dir}/own.log one; try_files /index.html =404; location /own/in { try_files /index.html =404; } }
    location /if { access_log {dir}/if.log one if=$bad; access_log {dir}/if2.log one if=$zero; try_files $uri /index.html =404; location /if/none { return 404; } }
    location /buffer { access_log {dir}/buffer.log one buffer=1k flush=300ms; try_files /index.html =404; }
    location /gzip { access_log {dir}/log.gz one gzip=3 flush=300ms; try_files /index.html =404; }
    location /named { access_log {dir}/by-$arg_n.log one; try_files /index.html =404; }
    location /kept { open_log_file_cache max=2 inactive=1s valid=1s; access_log {dir}/kept-$arg_n.log one; try_files /index.html =404; }
    location /return { return 418 "tea"; }
    location /err { error_log {dir}/err.log warn; deny all; }
    location /sys { access_log syslog:server=unix:{dir}/sock,facility=local3,tag=abc,severity=notice,nohostname one; try_files /index.html =404; }
    location /udp { access_log syslog:server=127.0.0.1:{udp} one; error_log syslog:server=127.0.0.1:{udp},tag=err info; try_files /index.html =404; location /udp/deny { deny all; } }
  } """
CONF = CONF.replace("|$';", "|';")

udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for s in udp:
    s.bind(("127.0.0.1", 0))
    s.settimeout(3)
unix, servers = [], []
for i, b in enumerate(([NGINX] if HAVE_NGINX else []) + [None]):
    d = folder()
    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    u.bind(d + "/sock")
    os.chmod(d + "/sock", 0o777)
    os.chmod(d, 0o777)
    u.settimeout(3)
    unix.append(u)
    servers.append(Whole(CONF.replace("{udp}", str(udp[i].getsockname()[1])), ROOT, binary=b, dir=d, workers=1))
mine = servers[-1]

REQUESTS = [("/index.html",), ("/x.txt?a=1",), ("/none",), ("/index.html", "Referer: http://a/\"b\\c", "User-Agent: m\u00fc \"x\"", "X-Any: tab\there"),
            ("/x.txt?a=%22%0a", "User-Agent: " + "long " * 40), ("/return",), ("/x%20y?a=\"q\"", "X-Any: "), ("/index.html", "Range: bytes=1-3"),
            ("/index.html", "Authorization: Basic dTpw"), ("/index.html", "X-Any: \xff\xfe\x80"), ("/%e4%b8%ad?a=b&c",)]
for s in servers:
    for target, *fields in REQUESTS:
        s.ask(target, *fields)
    s.ask("/index.html", method="HEAD")
    s.ask("/index.html", method="POST")
n = len(REQUESTS) + 2


def mask(text):
    return re.sub(r"\[\d\d/\w+/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "[TIME]", text)


for name in ("def.log", "combined.log", "js.log", "raw.log"):
    for s in servers:
        s.wait_for(name, lambda t: t.count("\n") >= n)
    lines = [mask(s.file(name)).split("\n") for s in servers]
    for a, b in zip(lines[0], lines[-1]):
        # The body of an error page and the size of a head are each server's own.
        x, y = (re.sub(r"(\|| )(4\d\d)(\|| )\d+", r"\1\2\3N", t) for t in (a, b))
        if not ok(x == y, "%s: %s" % (name, b[:70].encode("unicode_escape").decode()), "nginx %r\nweir  %r" % (a, b)):
            continue
    equal(len(lines[-1]), n + 1, "%s: a line per request" % name)
for line in mine.file("js.log").splitlines():
    try:
        json.loads(line)
    except ValueError as e:
        ok(False, "JSON", "%s: %r" % (e, line))
times = mine.file("times.log").splitlines()[0].split("|")
ok(re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", times[0]) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", times[1]) and
   abs(float(times[2]) - time.time()) < 60 and re.fullmatch(r"\d+\.\d{3}", times[2]) and re.fullmatch(r"0\.0\d\d", times[3]) and times[4].isdigit() and int(times[5]) > 100,
   "times", times)

for s in servers:
    name = "nginx" if s.binary == NGINX else "weir"
    before = s.file("def.log").count("\n")
    for u in ("/off", "/own", "/own/in", "/if/a?zero=1", "/if/none/b", "/named?n=1", "/named?n=2", "/named?n=1", "/named?n=../../x", "/named?n=%2e%2e/y", "/kept?n=1", "/kept?n=2",
              "/kept?n=3", "/kept?n=1", "/err/a"):
        s.ask(u)
    for i in range(3):
        s.ask("/buffer?%d" % i)
        s.ask("/gzip?%d" % i)
    held = s.file("buffer.log")
    ok(s.wait_for("own.log", lambda t: t == "/own\n/own/in\n"), name + ": a block with its own log", s.file("own.log"))
    ok(s.wait_for("if.log", lambda t: t == "/if/none/b\n") and s.wait_for("if2.log", lambda t: t == "/if/none/b\n"), name + ": if=", s.file("if.log") + s.file("if2.log"))
    ok(s.wait_for("by-1.log", lambda t: t == "/named?n=1\n" * 2) and s.wait_for("by-2.log", "/named?n=2\n"), name + ": a path with a variable", os.listdir(s.dir))
    ok(s.wait_for("kept-1.log", lambda t: t == "/kept?n=1\n" * 2) and s.wait_for("kept-3.log", "/kept?n=3\n"), name + ": and with a cache of files")
    ok(s.wait_for("buffer.log", lambda t: t == "/buffer?0\n/buffer?1\n/buffer?2\n") and held == "", name + ": a buffer is held back and flushed in time", (held, s.file("buffer.log")))
    ok(s.wait_for("err.log", "access forbidden by rule, client: 127.0.0.1, server: localhost, request: \"GET /err/a HTTP/1.1\", host: \"localhost\""),
       name + ": error_log of a location", s.file("err.log"))
    end = time.time() + 3
    while time.time() < end and not (os.path.exists(s.dir + "/log.gz") and os.path.getsize(s.dir + "/log.gz")):
        time.sleep(0.02)
    equal(gzip.open(s.dir + "/log.gz").read(), b"/gzip?0\n/gzip?1\n/gzip?2\n", name + ": gzip, readable while it runs")
    ok(s.wait_for("def.log", lambda t: t.count("\n") == before + 1) and not os.path.exists(os.path.dirname(s.dir) + "/x.log"), name + ": what has its own log, or none, is not in the outer one")
ok(not os.path.exists(os.path.join(mine.dir, "..", "x.log")) and not [x for x in os.listdir(mine.dir) if ".." in x], "a name cannot lead out of its folder")
ok('access log path with ".." refused' in mine.log(), "and who tried is in the error log")
line = [x for x in mine.file("err.log").splitlines()][0]
ok(re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ access forbidden by rule, client: ", line), "the shape of an error line", line)

# syslog
for s, u, d in zip(servers, unix, udp):
    name = "nginx" if s.binary == NGINX else "weir"
    s.ask("/sys?1")
    got = u.recv(4096).decode()
    ok(re.fullmatch(r"<157>\w{3} [ \d]\d \d\d:\d\d:\d\d abc: /sys\?1", got), name + ": syslog to a unix socket", got)
    s.ask("/udp")
    got = d.recv(4096).decode()
    ok(re.fullmatch(r"<190>\w{3} [ \d]\d \d\d:\d\d:\d\d %s (nginx|weir): /udp" % re.escape(socket.gethostname()), got), name + ": and over UDP", got)
    s.ask("/udp/deny")
    both = sorted(d.recv(4096).decode() for _ in range(2))
    ok(re.fullmatch(r"<187>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ err: \d{4}/.* \[error\] .*access forbidden by rule, client: .*host: \"localhost\"", both[0]), name + ": errors too", both)

# Reopening, as logrotate does it.
for s in servers:
    name = "nginx" if s.binary == NGINX else "weir"
    for x in ("own.log", "error.log"):
        os.rename(s.dir + "/" + x, s.dir + "/old-" + x)
    s.ask("/own?still")
    ok(s.wait_for("old-own.log", "/own?still"), name + ": a renamed log is written on")
    s.signal(signal.SIGUSR1)
    end = time.time() + 5
    while time.time() < end and not os.path.exists(s.dir + "/own.log"):
        time.sleep(0.02)
    s.ask("/own?new")
    ok(s.wait_for("own.log", lambda t: t == "/own?new\n"), name + ": USR1: a new file", s.file("own.log"))
    equal(oct(os.stat(s.dir + "/own.log").st_mode & 0o777), "0o644", name + ": its mode")

# A reload with other logs.
mine.write(CONF.replace("{udp}", "9").replace("{dir}/own.log", "{dir}/own2.log").replace("log_format one '$request_uri'", "log_format one 'two $request_uri'"))
old = set(mine.named("worker"))
mine.signal(signal.SIGHUP)
end = time.time() + 10
while time.time() < end and set(mine.named("worker")) & old:
    time.sleep(0.02)
mine.ask("/own?reloaded")
ok(mine.wait_for("own2.log", lambda t: t == "two /own?reloaded\n"), "a reload: another file, another format", mine.file("own2.log"))

# A logger that stands still: nobody waits, what is lost is counted.
logger = mine.named("logger")
if ok(len(logger) == 1, "there is a logger", mine.children()):
    def ask_many(n):
        with mine.connect(10) as s:
            worst, total = 0, 0
            for i in range(n // 20):
                t = time.time()
                s.sendall(b"GET /own?fill-%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i * 20)
                data = b""
                while data.count(b"HTTP/1.1 200") < 20 or not data.endswith(b"in\n"):
                    data += s.recv(1 << 20)
                worst = max(worst, time.time() - t)
            return worst
    here = ask_many(2000)
    time.sleep(0.3)
    written = mine.file("own2.log").count("fill-")
    equal(written, 2000, "while it runs every line is written")
    os.kill(logger[0], signal.SIGSTOP)
    there = ask_many(60000)
    os.kill(logger[0], signal.SIGCONT)
    ok(mine.wait_for("error.log", "log_dropped", 5), "drops are told")
    time.sleep(1)
    lines = mine.file("own2.log").count("fill-") - written
    dropped = sum(int(x) for x in re.findall(r"log_dropped count=(\d+)", mine.log()))
    equal(lines + dropped, 60000, "60000 requests: %d lines and %d drops" % (lines, dropped))
    ok(dropped > 0 and there < max(0.2, 10 * here), "and nobody waited: slowest twenty %.1f ms, before %.1f ms" % (there * 1000, here * 1000))
equal(mine.stop(), 0, "ends well")
equal(mine.file("times.log").count("\n") > 10, True, "nothing was lost at the end")


# A disk without room.
def tmpfs():
    """A server whose logs lie on a file system of 256 KiB, in a mount namespace of its own; None where that is not allowed."""
    d = folder()
    os.mkdir(d + "/small")
    script = "mount -t tmpfs -o size=256k none %s/small && exec \"$@\"" % d
    probe = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", "true"], capture_output=True)
    if probe.returncode:
        return None
    conf = """ keepalive_requests 100000; log_format f '$request_uri'; server { listen 127.0.0.1:{port}; root {root}; access_log {dir}/small/a.log f; } """
    return Whole(conf, ROOT, dir=d, workers=1, before=["unshare", "-m", "sh", "-c", script, "sh"])


s = tmpfs()
if s is None:
    print("# no mount namespace: the full disk is left out")
else:
    with s.connect(10) as c:
        for i in range(300):
            c.sendall((b"GET /x.txt?" + b"f" * 400 + b"-%d HTTP/1.1\r\nHost: x\r\n\r\n" % i) * 5)
            data = b""
            while data.count(b"HTTP/1.1 200") < 5:
                data += c.recv(1 << 20)
    equal(s.ask("/x.txt")[0], 200, "a full disk: answers go on")
    ok(s.wait_for("error.log", lambda t: "ENOSPC" in t), "and the error log names it", s.log()[-800:])
    equal(s.stop(), 0, "ends well")
done()
