"""A crowd of HTTP clients in one thread: connects, asks, reads to the end, and says what became of each connection."""
import errno, fcntl, os, selectors, socket, struct, termios, time

REQUEST = b"GET / HTTP/1.1\r\nHost: crowd\r\nConnection: close\r\n\r\n"


SCALE = int(os.environ.get("WEIR_SCALE", "1"))  # counts are divided by it: for builds that are slow on purpose


def unacknowledged(s):
    return struct.unpack("i", fcntl.ioctl(s.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


class Client:
    __slots__ = ("sock", "state", "got", "began")


class Crowd:
    """Runs `total` short connections, `width` at a time; `between` is called every few milliseconds."""

    def __init__(self, port, total, width, seconds, between=None, request=REQUEST):
        self.port, self.total, self.width, self.request = port, total, width, request
        self.deadline, self.between = time.time() + seconds, between
        self.answered = self.cut = self.refused = self.hung = self.outside = 0
        self.bodies, self.latencies = {}, []
        self.sel, self.live, self.started = selectors.DefaultSelector(), set(), 0

    def run(self):
        while (self.started < self.total or self.live) and time.time() < self.deadline:
            while self.started < self.total and len(self.live) < self.width:
                self.open()
            for key, events in self.sel.select(0.02):
                self.step(key.data, events)
            if self.between:
                self.between()
        # Whose bytes nobody acknowledged stands outside: the kernel has not let him in (queue full), whatever his
        # own end believes. He knocks again, ever more rarely.
        self.outside = sum(1 for c in self.live if c.state == "connecting" or unacknowledged(c.sock) > 0)
        self.hung = len(self.live) - self.outside
        for c in list(self.live):
            self.close(c)
        return self

    def open(self):
        c = Client()
        c.sock, c.state, c.got, c.began = socket.socket(), "connecting", b"", time.time()
        c.sock.setblocking(False)
        self.started += 1
        err = c.sock.connect_ex(("127.0.0.1", self.port))
        if err not in (0, errno.EINPROGRESS):
            self.refused += 1
            c.sock.close()
            return
        self.live.add(c)
        self.sel.register(c.sock, selectors.EVENT_WRITE, c)

    def close(self, c):
        self.sel.unregister(c.sock)
        c.sock.close()
        self.live.discard(c)

    def step(self, c, events):
        try:
            if c.state == "connecting":
                err = c.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if err:
                    self.refused += 1
                    self.close(c)
                    return
                c.sock.send(self.request)
                c.state = "asked"
                self.sel.modify(c.sock, selectors.EVENT_READ, c)
                return
            piece = c.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.end(c)
            return
        if piece:
            c.got += piece
        else:
            self.end(c)

    def end(self, c):
        head, sep, body = c.got.partition(b"\r\n\r\n")
        if sep and head.startswith(b"HTTP/1.1 200") and (b"Content-Length: %d\r\n" % len(body)) in head + b"\r\n":
            self.answered += 1
            self.bodies[body] = self.bodies.get(body, 0) + 1
            self.latencies.append(time.time() - c.began)
        else:
            self.cut += 1
        self.close(c)

    def words(self):
        return "answered %d cut %d refused %d hung %d outside %d" % (self.answered, self.cut, self.refused, self.hung, self.outside)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(w) for w in f.read().split()]


def logger_of(pid):
    """The logger among a service's children; a child takes its name a moment after its birth."""
    for _ in range(100):
        for p in children(pid):
            with open("/proc/%d/comm" % p) as f:
                if f.read().strip() == "logger":
                    return p
        time.sleep(0.02)
    return None
