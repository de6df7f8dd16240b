#!/usr/bin/env python3
"""worker_memory at its two marks, one by one: what is refused, who is let go, who is closed, what the log and the counters say; and that it passes."""
import resource, select, time

from weir_site import Site, wait_for
from wire import connect, done, equal, ok, read_all, read_response

limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20000), most))

HARD = 16 << 20
SOFT = HARD // 5 * 4
PIECE = b"X-Hold: " + b"h" * 3000 + b"\r\n"  # a head that does not end: what it needs is kept

CONF = """daemon off; worker_processes 1; worker_memory 16m; worker_rlimit_nofile 9000; pid logs/weir.pid; error_log logs/error.log notice;
events { worker_connections 8000; }
http { access_log logs/access.log combined if=$bad; map $status $bad { 200 0; default 1; } large_client_header_buffers 64 64k; client_header_timeout 300s; keepalive_timeout 300s;
 server { listen 127.0.0.1:@PORT@ backlog=4096 deferred=off; server_name localhost; location = /x { return 200 'hi'; } } }
"""


class Crowd:
    """Clients with half a head each."""

    def __init__(self, port):
        self.port, self.clients = port, []

    def come(self, n):
        for _ in range(n):
            c = connect(self.port)
            c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n" + PIECE)
            self.clients.append(c)

    def more(self, n):
        """Each of the first n asks for more; how many of them were closed."""
        for c in self.clients[:n]:
            try:
                c.send(PIECE)
            except OSError:
                pass
        return len(gone(self.clients[:n]))

    def go(self):
        for c in self.clients:
            c.close()


def gone(clients):
    """Those at their end, by poll: there are more than select takes."""
    p = select.poll()
    for c in clients:
        p.register(c, select.POLLIN | select.POLLRDHUP)
    return [fd for fd, what in p.poll(0) if what & (select.POLLRDHUP | select.POLLHUP | select.POLLERR)]


def used(s):
    return s.status()["gauges"]["weir_buffer_bytes"]


def counter(s, name):
    return s.status()["counters"][name]


def fill(s, crowd, mark):
    """Until the worker itself says that it is above; its account is half a second old at most."""
    while len(crowd.clients) < 6000:
        before = used(s)
        if before > mark:
            return True
        each = max(2000, before / max(1, len(crowd.clients)))
        crowd.come(max(10, min(500, int((mark - before) / each / 2))))
        time.sleep(0.7)
    return False


def ask(port, method="GET"):
    c = connect(port)
    c.sendall(("%s /x HTTP/1.1\r\nHost: localhost\r\n\r\n" % method).encode())
    head, body = read_whole(c)
    c.close()
    return head, body


def read_whole(c):
    head, _, body = read_all(c).partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def refused(s):
    with open(s.path("logs", "access.log")) as f:
        return [x.strip() for x in f if '" 503 ' in x]


def soft_mark(s, crowd, idle):
    ok(fill(s, crowd, SOFT), "half heads bring it above the soft mark", used(s))
    ok(used(s) <= HARD, "and not above the hard one")
    head, body = ask(s.port)
    ok(head.startswith("HTTP/1.1 503 "), "above the soft mark: a new request gets 503", head)
    ok("\r\nRetry-After: 1" in head, "with Retry-After", head)
    ok("\r\nConnection: close" in head, "and the connection ends", head)
    ok(body.startswith(b"503"), "with a body", body)
    head, body = ask(s.port, "HEAD")
    ok(head.startswith("HTTP/1.1 503 ") and body == b"", "HEAD: the same without a body", (head, body))
    c = connect(s.port)
    c.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    ok(read_whole(c)[0].startswith("HTTP/1.1 503 "), "POST: the same")
    c.close()
    lines = [x.split('"', 1)[1] for x in wait_for(lambda: refused(s) if len(refused(s)) >= 3 else None, 5) or refused(s)]
    equal(lines, ['GET /x HTTP/1.1" 503 41 "-" "-"', 'HEAD /x HTTP/1.1" 503 0 "-" "-"', 'POST /x HTTP/1.1" 503 41 "-" "-"'], "the access log has each of them")
    ok(wait_for(lambda: len(gone(idle)) > 0, 10), "idle connections are let go")
    equal(len(gone(crowd.clients)), 0, "those in the middle of a head are not")
    ok(wait_for(lambda: counter(s, "weir_requests_shed_total") >= 3, 5), "the counters have the requests", counter(s, "weir_requests_shed_total"))
    ok(wait_for(lambda: counter(s, "weir_connections_shed_total") > 0, 5), "and the idle connections")
    equal(counter(s, "weir_connections_no_memory_total"), 0, "nobody was closed for want of memory yet")
    ok("worker_memory short: used=" in s.log(), "the log says so", s.log()[-600:])


def hard_mark(s, crowd):
    lost = 0
    for _ in range(40):
        lost = crowd.more(len(crowd.clients)) if lost == 0 else lost
        time.sleep(0.3)
        lost = max(lost, len(gone(crowd.clients)))
        if lost:
            break
    ok(lost > 0, "above the hard mark: who asks for more is closed", lost)
    ok(lost < len(crowd.clients), "and only those: %d of %d" % (lost, len(crowd.clients)))
    ok(wait_for(lambda: counter(s, "weir_connections_no_memory_total") >= lost, 5), "the counters have them", counter(s, "weir_connections_no_memory_total"))
    ok(s.logged("closed: it needs more memory than worker_memory leaves, peer=127.0.0.1:"), "the log says who and why", s.log()[-600:])
    ok(used(s) <= HARD, "never more than worker_memory", used(s))


def below_again(s, crowd):
    crowd.go()
    ok(wait_for(lambda: used(s) < SOFT, 20, 0.2), "the crowd goes: memory comes back", used(s))
    equal([ask_200(s.port) for _ in range(50)].count(True), 50, "everything is served")
    c = connect(s.port)
    for _ in range(3):
        c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        equal(read_response(c)[0].status, 200, "and a connection may stay")
    c.close()
    ok(s.logged("worker_memory enough: requests_refused="), "the log says that it is over", s.log()[-600:])


def ask_200(port):
    c = connect(port)
    c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, body = read_whole(c)
    c.close()
    return head.startswith("HTTP/1.1 200 ") and body == b"hi"


def balance(s):
    """Who came has gone: the counters of connections agree with each other."""
    def even():
        st = s.status()
        return st["counters"]["weir_connections_accepted_total"] == st["counters"]["weir_connections_closed_total"] + st["gauges"]["weir_connections_open"]
    ok(wait_for(even, 10, 0.2), "accepted = closed + open", s.status()["counters"])
    ok(counter(s, "weir_received_bytes_total") > 0 and counter(s, "weir_sent_bytes_total") > 0, "bytes are counted")


s = Site(start=False)
s.write(raw=CONF)
s.start()
ok(wait_for(s.admin_answers, 10), "watch answers")
worker = s.workers()
idle = []
for i in range(20):
    c = connect(s.port)
    c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    read_response(c)
    idle.append(c)
crowd = Crowd(s.port)
soft_mark(s, crowd, idle)
hard_mark(s, crowd)
below_again(s, crowd)
for c in idle:
    c.close()
balance(s)
equal(s.workers(), worker, "the worker is the same")
s.stop()
done()
