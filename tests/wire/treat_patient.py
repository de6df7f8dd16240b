"""Servers that misbehave in one way, for test_treat.py: treat_patient.py NAME sick|healthy; prints "READY pid port".

Each is one process (or a parent with a child) in plain Python. What is sick differs from what is healthy in one line.
"""
import os, resource, select, signal, socket, sys, threading, time

SICK = sys.argv[2] == "sick" if len(sys.argv) > 2 else True
ANSWER = b"HTTP/1.0 200 OK\r\n\r\nhello"


def ready(port=0, pid=None):
    print("READY %d %d" % (pid or os.getpid(), port), flush=True)


def listener(backlog):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 0))
    s.listen(backlog)
    return s, s.getsockname()[1]


def serve(c):
    c.settimeout(2)
    try:
        if c.recv(1000):
            c.sendall(ANSWER)
    except OSError:
        pass
    c.close()


def edge():
    """Edge-triggered listener, one accept for each event."""
    s, port = listener(5)
    s.setblocking(False)
    ep = select.epoll()
    ep.register(s, select.EPOLLIN | select.EPOLLET)
    ready(port)
    while True:
        ep.poll()
        while True:
            try:
                serve(s.accept()[0])
            except BlockingIOError:
                break
            if SICK:  # the bug is this line
                break


def short():
    """A backlog of 5 under ten new connections a second, two of which are accepted."""
    s, port = listener(5 if SICK else 100)
    ready(port)
    while True:
        time.sleep(0.5)
        serve(s.accept()[0])


def limit():
    """Keeps every connection, with room for few; retries on EMFILE."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20 if SICK else 64, 64))
    s, port = listener(100)
    kept = []
    ready(port)
    while True:
        select.select([s], [], [])
        try:
            kept.append(s.accept()[0])
            kept[-1].sendall(ANSWER)
        except OSError:
            time.sleep(0.05)


def leak():
    """Reads the request and keeps the socket when the client goes."""
    s, port = listener(200)
    kept = []
    ready(port)
    while True:
        c = s.accept()[0]
        c.recv(1000)
        kept.append(c) if SICK else c.close()


def plain():
    """Nothing is wrong with it."""
    s, port = listener(100)
    ready(port)
    while True:
        serve(s.accept()[0])


def channel():
    """The parent tells a child of each connection through a socket pair; the child does something else."""
    mine, its = socket.socketpair()
    s, port = listener(100)
    pid = os.fork()
    if pid == 0:
        mine.close()
        while True:
            time.sleep(1) if SICK else its.recv(1000)
    ready(port)
    while True:
        for _ in range(400):
            try:
                mine.send(b"a")
            except BlockingIOError:
                pass
        select.select([s], [], [])
        serve(s.accept()[0])


def log():
    """Writes its log into a pipe; who reads it is stopped, or was never there for it (argv[3] lazy)."""
    r, w = os.pipe()
    pid = os.fork()
    lazy = len(sys.argv) > 3
    if pid == 0:
        os.close(w)
        while not lazy:
            os.read(r, 65536)
        time.sleep(1000)
    s, port = listener(100)
    if SICK and not lazy:
        os.kill(pid, signal.SIGSTOP)
    ready(port)
    os.dup2(w, 1)
    while True:
        for _ in range(80 if SICK else 1):
            os.write(1, b"x" * 1000)
        serve(s.accept()[0])


def blocked():
    """A loop that asks another server and waits for the answer in the loop."""
    other, their = listener(5)
    s, port = listener(100)
    s.setblocking(False)
    ep = select.epoll()
    ep.register(s, select.EPOLLIN)
    asked = socket.create_connection(("127.0.0.1", their))
    held = other.accept()[0]
    ready(port)
    first = True
    while True:
        ep.poll()
        if first and SICK:
            first = False
            asked.recv(100)  # the bug is this line
        try:
            serve(s.accept()[0])
        except BlockingIOError:
            pass


def oneshot():
    """Connections with EPOLLONESHOT that nobody arms again after the first request."""
    s, port = listener(100)
    ep = select.epoll()
    ep.register(s, select.EPOLLIN)
    conns = {}
    ready(port)
    while True:
        for fd, _ in ep.poll():
            if fd == s.fileno():
                c = s.accept()[0]
                conns[c.fileno()] = c
                ep.register(c, select.EPOLLIN | select.EPOLLONESHOT)
            elif conns[fd].recv(1000):
                conns[fd].sendall(ANSWER)
                if not SICK:
                    ep.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
            else:
                conns.pop(fd).close()


def writer():
    """Answers in two small writes; without TCP_NODELAY the second waits for the acknowledgement of the first."""
    s, port = listener(100)
    ready(port)
    c = s.accept()[0]
    if not SICK:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while c.recv(1):
        c.send(b"o")
        c.send(b"k")


def forgotten():
    """The accept loop has ended; the listener is still open."""
    s, port = listener(100)
    ready(port)
    if SICK:
        time.sleep(1000)
    while True:
        serve(s.accept()[0])


def pool():
    """A pool of connections to a server (a thread of another process) that closes them after a while."""
    s, port = listener(100)
    pid = os.fork()
    if pid == 0:
        kept = [s.accept()[0] for _ in range(6)]
        [c.recv(100) for c in kept]  # what is unread at the end would be a reset
        time.sleep(0.5)
        if SICK:
            [c.close() for c in kept]
        time.sleep(1000)
    s.close()
    conns = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    for c in conns:
        c.sendall(b"hello")
    time.sleep(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    ready(port)
    signal.sigwait({signal.SIGUSR1})
    said = []
    for c in conns:
        try:
            c.sendall(b"next")
            said.append("sent")
        except OSError as e:
            said.append(e.__class__.__name__)
    print("USED " + " ".join(said), flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
