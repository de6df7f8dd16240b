#!/usr/bin/env python3
"""The disk of the logs is full: requests do not wait for it, and what was lost is counted and said."""
import os, re, socket, subprocess, sys, time

from wire import done, equal, ok

if "inside" not in sys.argv:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        print("1..0 # SKIP no namespaces here")
        sys.exit(0)
    os.execvp("unshare", ["unshare", "-m", sys.executable, os.path.abspath(__file__), "inside"])

from weir_site import Site, wait_for

site = Site(main="worker_processes 1;", start=False, http="log_format long '$request $status %s';" % ("x" * 200),
            server="keepalive_requests 100000; access_log disk/access.log long; location = /x { return 200 'hi'; } location = /calm { access_log logs/calm.log long; return 200 'hi'; }")
os.mkdir(site.path("disk"))
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "", 1)
site.write(raw=text)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "none", site.path("disk")], check=True)
site.start()


def p99(path, n=3000):
    """Of single requests on one connection, in ms."""
    s = socket.create_connection(("127.0.0.1", site.port), 5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took = []
    for i in range(n):
        began = time.perf_counter()
        s.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        if not s.recv(4096).startswith(b"HTTP/1.1 200"):
            return 1e9
        took.append(time.perf_counter() - began)
    s.close()
    return sorted(took)[n * 99 // 100] * 1000


# The disk is full from now on.
with open(site.path("disk", "ballast"), "wb", 0) as f:
    try:
        while True:
            f.write(b"x" * 4096)
    except OSError:
        pass

# By turns, so that a busy machine counts on both sides.
calm, full = [], []
for i in range(6):
    calm.append(p99(b"calm"))
    full.append(p99(b"x"))
print("# p99 in ms: calm %s, full %s" % tuple(" ".join("%.3f" % t for t in l) for l in (calm, full)))
ok(min(full) <= 1.2 * min(calm) + 0.1, "p99 with a full disk %.3f ms, without %.3f ms" % (min(full), min(calm)))
ok(site.logged("sink_failed", 10), "that lines cannot be written is said")
os.unlink(site.path("disk", "ballast"))
subprocess.run(["mount", "-o", "remount,size=64m", site.path("disk")], check=True)


def told():
    site.get("/x")
    return sum(int(n) for n in re.findall(r"log_dropped count=(\d+)", site.log()))


lost = wait_for(told, 20)
with open(site.path("disk", "access.log")) as f:
    written = f.read().count("\n")
ok(lost > 10000, "when there is room again it is said how many were lost: %d" % lost)
ok(18000 <= written + lost <= 18400, "every line is written or counted: %d and %d" % (written, lost))
equal(site.get("/x")[0], 200, "it serves")
equal(site.stop(), 0, "it ends")
done()
