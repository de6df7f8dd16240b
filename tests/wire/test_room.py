#!/usr/bin/env python3
"""Room in a worker: worker_connections over all its listeners, and descriptors that end."""
import os, re, resource, socket, time

from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

ASK = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 5)


def ask(s, seconds):
    """The status that came within so many seconds, or 0."""
    s.settimeout(seconds)
    try:
        s.sendall(ASK)
        return int((s.recv(4096) or b"x 0").split()[1])
    except (socket.timeout, TimeoutError, OSError):
        return 0


# ---- worker_connections: four for both listeners together
other = free_port()
site = Site(main="worker_processes 1;", listen="; listen 127.0.0.1:%d" % other, events="worker_connections 4;", start=False,
            server="location = /x { return 200 'hi'; } location = /s { stub_status; }")
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "", 1)
site.write(raw=text)
site.start()
crowd = [connect(site.port), connect(other), connect(site.port)]
equal([ask(s, 5) for s in crowd], [200] * 3, "three of two listeners are served")
crowd.append(connect(other))
equal(ask(crowd[3], 5), 200, "and a fourth")
s = crowd[0]
s.sendall(b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
s.settimeout(5)
ok(b"Active connections: 4" in s.recv(4096), "stub_status counts those of both")
late = connect(site.port)
equal(ask(late, 0.3), 0, "the fifth waits, on whichever listener")
ok(site.logged("4 worker_connections are not enough"), "and it is said")
crowd[1].close()
late.settimeout(5)
ok(late.recv(4096).startswith(b"HTTP/1.1 200"), "it is served when one of the other listener has left")
time.sleep(1.1)
last = connect(other)
equal(ask(last, 5), 200, "an idle connection makes room for who comes")
ok(site.logged("reusing connections"), "which is said too")
equal(len(re.findall("not enough: accepting pauses", site.log())), 1, "the pause was said once")
for s in crowd + [late, last]:
    s.close()
equal(site.stop(), 0, "it ends")

# ---- thread_pool: as many threads as it says, in the worker that opens files by it
site = Site(main="worker_processes 1; thread_pool few threads=3; thread_pool idle threads=9;", start=False, http="hot_file_cache off;",
            server="location = /x { return 200 'hi'; } location / { aio threads=few; }")
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "", 1)
site.write(raw=text)
for i in range(20):
    with open(site.path("html", str(i)), "w") as f:
        f.write("file %d" % i)
site.start()
crowd = [connect(site.port) for i in range(20)]
for i, s in enumerate(crowd):
    s.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
for s in crowd:
    s.settimeout(5)
got = [s.recv(4096).rpartition(b"\n")[2].decode() for s in crowd]
equal(got, ["file %d" % i for i in range(20)], "twenty files, opened by threads")
worker = site.workers()[0]
threads = len(os.listdir("/proc/%d/task" % worker)) - 1
ok(1 <= threads <= 3, "at most three threads of that pool: %d" % threads)
for s in crowd:
    s.close()
equal(site.stop(), 0, "it ends")

# ---- descriptors: those that one listener's clients give back are for the other too
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
site = Site(main="worker_rlimit_nofile 256;", listen="; listen 127.0.0.1:%d" % other)
crowd = []
for port in (site.port, other):
    for i in range(500):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        crowd.append(s)
time.sleep(0.5)
for s in crowd:
    try:
        s.send(ASK)
    except OSError:
        pass
ok(site.logged("new connections are shed"), "out of descriptors, and said")
time.sleep(1.5)
for s in crowd:
    s.close()
for port in (other, site.port):
    began = time.time()
    while True:
        s = connect(port)
        if ask(s, 5) == 200 or time.time() - began > 20:
            break
    took = time.time() - began
    ok(took < 1, "served again after %.0f ms" % (took * 1000))
ok(wait_for(lambda: "works again" in site.log(), 10), "and the end of it is said")
equal(site.stop(), 0, "it ends")
done()
