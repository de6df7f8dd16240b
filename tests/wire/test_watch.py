#!/usr/bin/env python3
"""The watch: metrics, status, health; who may ask; and all of it while every worker stands still."""
import json, os, re, signal, socket, stat, subprocess, time

from weir_site import Load, Site, pids_of_family, wait_for
from wire import connect, done, equal, free_port, ok


def parse_metrics(text):
    """Prometheus text: {name{labels}: value}; raises on what is not."""
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name in types or kind not in ("counter", "gauge", "histogram"):
                raise ValueError(line)
            types[name] = kind
        elif line.startswith("# HELP "):
            continue
        else:
            m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="[^"\\]*",?)*\})? (-?[0-9.e+-]+|\+Inf)', line)
            if not m:
                raise ValueError(line)
            base = re.sub(r"_(bucket|sum|count)$", "", m.group(1))
            if m.group(1) not in types and types.get(base) != "histogram":
                raise ValueError("no type: " + line)
            key = m.group(1) + (m.group(2) or "")
            if key in out:
                raise ValueError("twice: " + line)
            out[key] = float(m.group(3))
    return out


def pages():
    s = Site(server="location = /x { return 200 'hi'; } location = /bad { return 404; }")
    mode = stat.S_IMODE(os.stat(s.path("logs", "weir.sock")).st_mode)
    equal(mode, 0o600, "the socket is the owner's alone")
    for _ in range(20):
        s.get("/x")
    for _ in range(5):
        s.get("/bad")
    kept = connect(s.port)
    kept.sendall(b"GET /x?secret=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    kept.recv(4096)
    time.sleep(1.2)
    m = parse_metrics(s.admin("/metrics")[1])
    first = m["weir_requests_total"]
    ok(first >= 26, "requests are counted", first)
    equal(m["weir_responses_4xx_total"], 5.0, "answers by class")
    equal(m["weir_connections_open"], 1.0, "open connections")
    equal(m["http_server_request_duration_seconds_count"], first, "the histogram counts the same requests")
    equal(m['http_server_request_duration_seconds_bucket{le="+Inf"}'], first, "up to its last bucket")
    equal(m['weir_accept_queue{listener="127.0.0.1:%d"}' % s.port], 0.0, "the kernel's accept queue")
    ok(m['weir_accept_queue_limit{listener="127.0.0.1:%d"}' % s.port] >= 128, "and its limit")
    e, l = m['weir_stage_entered_total{side="server",stage="handle"}'], m['weir_stage_left_total{side="server",stage="handle",outcome="ok"}']
    equal((e, m['weir_stage_inflight{side="server",stage="handle"}']), (l, 0.0), "stages balance")
    j = s.status()
    c = j["connections"]
    ok(len(c) == 1 and c[0]["state"] == "idle" and c[0]["peer"].startswith("127.0.0.1:") and c[0]["doing"].startswith("GET /x") and "secret" not in c[0]["doing"]
       and 0 < c[0]["due_in_ms"] <= 75000, "the open connection with peer, state, deadline and request", c)
    for path, code in (("/healthz", 200), ("/readyz", 200), ("/", 200), ("/nothing", 404)):
        equal(s.admin(path)[0], code, path)
    ok("<script>" in s.admin("/")[1] and "http://" not in s.admin("/")[1].replace("http-equiv", ""), "the page has nothing from elsewhere")
    equal(s.admin("/status", Origin="http://evil.test")[0], 403, "pages of strangers are refused")
    r = subprocess.run(["promtool", "check", "metrics"], input=s.admin("/metrics")[1], capture_output=True, text=True) if os.path.exists("/usr/bin/promtool") else None
    ok(r is None or r.returncode == 0, "promtool agrees" + ("" if r else " # skipped: not installed"), r and r.stderr)
    kept.close()
    s.stop()


def tcp():
    port = free_port()
    s = Site(main="admin 127.0.0.1:%d;" % port)

    def ask(host):
        c = connect(port)
        c.sendall(b"GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host)
        return int(c.recv(4096).split()[1])
    equal(ask(b"localhost:%d" % port), 200, "admin on loopback")
    equal(ask(b"evil.test"), 403, "a foreign Host is refused")
    s.stop()
    s = Site(main="admin 0.0.0.0:%d;" % port, start=False)
    r = s.run()
    ok(r.returncode == 1 and "loopback" in r.stderr, "elsewhere than on loopback is an error", r)


def nobody_takes():
    """Workers that stand still, and clients who come."""
    for listen, where, n in (("", "socket 1 of 1", 3), ("reuseport", "of 2)", 24)):
        s = Site(listen=listen, main="worker_watchdog 60s;")
        frozen = s.workers()[:1] if listen else s.workers()
        for p in frozen:
            s.kill(signal.SIGSTOP, p)
        crowd = [connect(s.port, 20) for _ in range(n)]
        for c in crowd:  # a deferred accept shows who has said something
            c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ok(s.logged("connections wait on 127.0.0.1:%d" % s.port, 20), "connections that nobody takes are named", s.log())
        line = [x for x in s.log().splitlines() if "connections wait on" in x][0]
        ok(where in line and "its workers take none, or too few" in line, "with the socket", line)
        ok(s.status()["listeners"][0]["waiting_ms"] >= 5000, "and on the status page", s.status()["listeners"])
        for p in frozen:
            s.kill(signal.SIGCONT, p)
        ok(s.logged("are taken again after", 10), "it is said when they are taken", s.log())
        ok(wait_for(lambda: s.status()["listeners"][0]["waiting_ms"] == 0), "and the status page forgets it")
        for c in crowd:
            c.close()
        s.stop()


def all_stopped():
    s = Site(main="worker_watchdog 60s;")
    kept = connect(s.port)
    kept.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    kept.recv(4096)
    time.sleep(0.7)
    workers = s.workers()
    for p in workers:
        os.kill(p, signal.SIGSTOP)
    t = time.time()
    ok(wait_for(lambda: len([w for w in s.status()["workers"] if "stuck" in w]) == 2, 5), "both workers are named")
    ok(time.time() - t < 3, "within three seconds", time.time() - t)
    t = time.time()
    code, body = s.admin("/status")
    ok(time.time() - t < 0.5, "the watch answers at once", time.time() - t)
    w = json.loads(body)["workers"][0]["stuck"]
    ok(w["what"] == "stopped" and w["syscall"] == "epoll_wait" and w["since_ms"] < 20000, "with what they stand in, and since when", w)
    equal(s.admin("/readyz")[0], 503, "the server is not ready")
    equal(s.admin("/healthz")[0], 200, "but the watch is healthy")
    ok(len(json.loads(body)["connections"]) == 1, "connections are listed")
    ok(parse_metrics(s.admin("/metrics")[1]), "metrics too")
    ok("stands still for" in s.log() and "stopped in epoll_wait" in s.log(), "the log has the line", s.log())
    for p in workers:
        os.kill(p, signal.SIGCONT)
    ok(s.logged("moves again"), "and the line that it goes on")
    ok(wait_for(lambda: s.admin("/readyz")[0] == 200), "ready again")
    os.kill(s.pid(), signal.SIGSTOP)
    ok(wait_for(lambda: s.status()["master_stuck"], 6), "a master that stands still is told too")
    os.kill(s.pid(), signal.SIGCONT)
    ok(wait_for(lambda: not s.status()["master_stuck"], 3), "until it goes on")
    s.stop()


def stopped_at_work():
    """Stopped in the middle of a callback: the callback has a name."""
    s = Site(main="worker_watchdog 60s;", server="location = /x { return 200 'hi'; } location /f { alias @DIR@/html/big; }")
    with open(s.path("html", "big"), "wb") as f:
        f.write(b"x" * (64 << 20))
    load = Load(s.port, kept=6, short=2, path="/f", pause=0)
    found = {}
    for _ in range(40):
        time.sleep(0.05)
        for p in s.workers():
            os.kill(p, signal.SIGSTOP)
        wait_for(lambda: any("stuck" in w for w in s.status()["workers"]), 3)
        for w in s.status()["workers"]:
            if w.get("stuck", {}).get("callback"):
                found = w["stuck"]
        for p in s.workers():
            os.kill(p, signal.SIGCONT)
        if found:
            break
    load.stop()
    ok(re.fullmatch(r"[a-z_]\w+", found.get("callback", "")), "the callback in which it was stopped has its name: %s" % found.get("callback"), found)
    s.stop()


def killed():
    s = Site()
    for times in ("once", "twice"):
        for p in [p for p in pids_of_family(s.pid()) if p not in s.workers()]:  # watch and logger
            os.kill(p, signal.SIGKILL)
        ok(wait_for(lambda: answers(s), 10), "killed %s, the watch answers again" % times, s.log()[-600:])
    equal(s.get("/")[0], 403, "the workers serve on")
    s.stop()


def resting():
    s = Site(daemon=True)
    s.kill(signal.SIGWINCH)
    ok(wait_for(lambda: not s.workers()), "WINCH: no worker serves")
    for p in pids_of_family(s.pid()):
        if open("/proc/%d/comm" % p).read().strip() == "weir watch":
            s.kill(signal.SIGKILL, p)
    ok(wait_for(lambda: answers(s), 10), "a watch that dies then has a successor", s.log()[-600:])
    s.stop()


def answers(s):
    try:
        return s.status()["pid"] == s.pid()
    except (OSError, ValueError):
        return False


def watchdog():
    s = Site(main="worker_watchdog 1s;")
    old = s.workers()
    os.kill(old[0], signal.SIGSTOP)
    ok(wait_for(lambda: old[0] not in s.workers() and len(s.workers()) == 2, 8), "a worker that stands still is replaced")
    ok(s.logged("stood still for too long") and "stands still" in s.log(), "and the log says so", s.log())
    r = subprocess.run([os.path.join(os.environ.get("WEIR_BUILD", "build"), "weir"), "postmortem", "--pid", str(old[0]), s.path("logs")], capture_output=True, text=True)
    ok("ended by signal 9" in r.stdout or 'ended by "signal 9' in r.stdout, "weir postmortem knows it", r)
    s.stop()


pages()
tcp()
nobody_takes()
all_stopped()
killed()
resting()
stopped_at_work()
watchdog()
done()
