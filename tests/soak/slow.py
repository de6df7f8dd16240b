#!/usr/bin/env python3
"""Slow clients in numbers: heads a byte a second, bodies a byte a second, answers nobody reads; and a probe that must not notice.

    tests/soak/slow.py [--sockets 5000] [--seconds 20] [--server weir|nginx]

Says the probe's p50, p99 and maximum alone and under each attack, and how many of the slow sockets the server had closed at the end. Fails (exit 1) when
a p99 under attack is 50 ms or more, or a probe fails.
"""
import argparse, os, resource, signal, socket, subprocess, sys, tempfile, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
sys.path.insert(0, os.path.join(TOP, "tests", "wire"))
from wire import free_port  # noqa: E402

CONF = """daemon off; worker_processes 1; pid %(dir)s/pid; error_log %(dir)s/error.log error;
worker_rlimit_nofile 20000;
events { worker_connections 18000; }
http {
    access_log off;
    client_body_temp_path %(dir)s/b; %(nginx)s
    client_max_body_size 10m;
    server {
        listen 127.0.0.1:%(port)d backlog=4096;
        root %(dir)s;
        location = /probe { return 200 "ok"; }
        location = /sink { internal; return 204; }
        location /up { mirror /sink; try_files /none =204; }
    }
}
"""
KINDS = {
    "slow heads": b"GET /probe HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "slow bodies": b"POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    "slow readers": b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def probe(port):
    """Seconds for one request on a connection of its own."""
    t = time.perf_counter()
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.settimeout(10)
    s.sendall(b"GET /probe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    got = b""
    while True:
        d = s.recv(4096)
        if not d:
            break
        got += d
    s.close()
    if not got.startswith(b"HTTP/1.1 200"):
        raise OSError("probe was answered %r" % got[:40])
    return time.perf_counter() - t


def attack(port, n, first, slow_read, seconds):
    """Opens n sockets, keeps each barely alive, probes all the while: (latencies, failures, closed by the server)."""
    sockets, times, failed, closed = [], [], 0, 0
    for i in range(n):
        s = socket.socket()
        if slow_read:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setsockopt(socket.IPPROTO_IP, 24, 1)
        s.bind(("127.0.0.%d" % (2 + i // 10000), 0))
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", port))
            s.sendall(first)
        except OSError:
            closed += 1
            continue
        s.setblocking(False)
        sockets.append(s)
    end = time.time() + seconds
    at = 0
    while time.time() < end:
        try:
            times.append(probe(port))
        except OSError:
            failed += 1
        for _ in range(max(1, len(sockets) // 50)):  # each gets its byte about once a second
            if not sockets:
                break
            at = (at + 1) % len(sockets)
            s = sockets[at]
            try:
                if slow_read:
                    if s.recv(1) == b"":
                        raise OSError("closed")
                else:
                    s.send(b"x")
            except BlockingIOError:
                pass
            except OSError:
                closed += 1
                s.close()
                sockets[at] = sockets[-1]
                sockets.pop()
                at = 0
        time.sleep(0.02)
    for s in sockets:
        s.close()
    return times, failed, closed


def p(times, q):
    return sorted(times)[min(len(times) - 1, int(len(times) * q))] * 1e3 if times else float("nan")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--sockets", type=int, default=5000)
    ap.add_argument("--seconds", type=int, default=20)
    ap.add_argument("--server", default="weir")
    a = ap.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder, port = tempfile.mkdtemp(prefix="slow-"), free_port()
    os.chmod(folder, 0o755)
    with open(os.path.join(folder, "big.bin"), "wb") as f:
        f.write(b"x" * (8 << 20))
    conf = os.path.join(folder, "conf")
    with open(conf, "w", encoding="utf-8") as f:
        folders = "" if a.server == "weir" else "".join("%s_temp_path %s/%s; " % (w, folder, w) for w in ("proxy", "fastcgi", "uwsgi", "scgi"))
        f.write(CONF % {"dir": folder, "port": port, "nginx": folders})
    binary = os.path.join(BUILD, "weir") if a.server == "weir" else a.server
    server = subprocess.Popen(["taskset", "-c", "0", binary, "-p", folder, "-c", conf], stdin=subprocess.DEVNULL)
    os.sched_setaffinity(0, {1})
    bad = False
    try:
        for _ in range(200):
            try:
                probe(port)
                break
            except OSError:
                time.sleep(0.05)
        alone = [probe(port) for _ in range(200)]
        print("%-14s p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms" % ("alone", p(alone, .5), p(alone, .99), max(alone) * 1e3))
        for kind, first in KINDS.items():
            times, failed, closed = attack(port, a.sockets, first, kind == "slow readers", a.seconds)
            print("%-14s p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms  %d probes, %d failed; %d of %d slow ones closed by the server" % (
                kind, p(times, .5), p(times, .99), max(times or [0]) * 1e3, len(times), failed, closed, a.sockets), flush=True)
            bad = bad or failed or p(times, .99) >= 50
            time.sleep(1)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
    sys.exit(1 if bad else 0)


main()
