#!/usr/bin/env python3
"""Too many clients for the descriptors, or for the memory: nobody spins, nobody dies, and it is over when the crowd goes."""
import os, resource, selectors, socket, sys, time

from weir_site import Site, pids_of_family, wait_for
from wire import BUILD, done, equal, ok

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid):
    """Private and anonymous memory, in MiB."""
    with open("/proc/%d/status" % pid) as f:
        return int([line for line in f if line.startswith("RssAnon")][0].split()[1]) / 1024


def crowd(port, n, data):
    out = []
    for i in range(n):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(("127.0.0.1", port))
        out.append(c)
        if i % 100 == 99:
            time.sleep(0.01)
    time.sleep(0.3)
    for c in out:
        try:
            c.send(data)
        except OSError:
            pass
    return out


def descriptors():
    s = Site(main="worker_rlimit_nofile 256; worker_shutdown_timeout 2s;", listen="backlog=1024 deferred=off")
    time.sleep(0.3)
    clients = crowd(s.port, 2000, b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    workers = s.workers()
    t, used = time.time(), [cpu(w) for w in workers]
    time.sleep(2)
    share = [(cpu(w) - u) / (time.time() - t) for w, u in zip(workers, used)]
    equal(s.workers(), workers, "256 descriptors, 2,000 clients: both workers live")
    ok(max(share) < 0.1, "and do not spin", "cpu shares %s" % share)
    ok(max(len(os.listdir("/proc/%d/fd" % w)) for w in workers) <= 256, "within their limit")
    for c in clients:
        c.close()
    t = time.time()
    ok(wait_for(s.answers, 5), "the crowd goes: it serves again")
    ok(time.time() - t < 1.5, "within a second", time.time() - t)
    ok("accept4() failed (24: EMFILE) on 127.0.0.1:%d" % s.port in s.log(), "the log names the limit", s.log())
    ok(wait_for(lambda: s.status()["counters"]["weir_connections_shed_total"] > 0), "what was shed is counted")
    s.stop()


def memory():
    s = Site(main="worker_memory 16m; worker_rlimit_nofile 8000;", events="worker_connections 8000;", server="location = /x { return 200 'hi'; } location = /up { return 204; } client_max_body_size 100m; client_body_buffer_size 1m;",
             listen="backlog=4096 deferred=off")
    time.sleep(0.3)
    workers = s.workers()
    before = max(rss(w) for w in workers)
    clients = crowd(s.port, 5000, b"GET /x HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 700) for i in range(1)))
    peak = 0
    for i in range(8):
        data = b"X-More-%d: %s\r\n" % (i, b"b" * 700)
        for c in clients:
            try:
                c.send(data)
            except OSError:
                pass
        peak = max([peak] + [rss(w) for w in s.workers()])
    time.sleep(0.5)
    peak = max([peak] + [rss(w) for w in s.workers()])
    equal(s.workers(), workers, "16 MiB, 5,000 clients with half a head each: both workers live")
    roomy = 3 if "asan" in BUILD else 1  # a sanitizer's heap keeps what was freed
    ok(peak < before + roomy * (16 * 1.1 + 2), "within their budget", "%.1f MiB before, %.1f MiB at most" % (before, peak))
    print("# rss: %.1f MiB before, %.1f MiB at most" % (before, peak))
    for c in clients:
        c.close()
    ok(wait_for(s.answers, 5), "the crowd goes: it serves")
    s.stop()


descriptors()
memory()
done()
