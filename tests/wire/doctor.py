"""What the doctor's wire tests share: a network namespace of their own, small servers with and without a disease,
and the real `weir doctor` beside them. Times are generous; what has happened is waited for, never slept for.
"""
import atexit, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time, unicodedata

from wire import BUILD, ok

WEIR = os.path.join(BUILD, "weir")
HERE = os.path.dirname(os.path.abspath(__file__))


def enter(script):
    """Starts the script again in a network namespace of its own; skips where that is forbidden."""
    if os.environ.get("DOCTOR_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    unshare = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode:
        print("1..0 # SKIP no network namespaces here")
        sys.exit(0)
    env = dict(os.environ, DOCTOR_INSIDE="1", LC_ALL="C.UTF-8")
    env.pop("NO_COLOR", None)
    sys.exit(subprocess.run(unshare + [sys.executable, script], env=env).returncode)


SERVERS = {
    # Edge-triggered, one accept for each event: the rest of a burst waits for ever.
    "edge": """
import select
e = select.epoll(); e.register(s.fileno(), select.EPOLLIN | select.EPOLLET)
ready()
kept = []
while True:
    for fd, ev in e.poll():
        kept.append(s.accept()[0])
""",
    # Never accepts.
    "deaf": """
ready()
signal.pause()
""",
    # Accepts all and never closes what its clients have closed.
    "leak": """
import select
e = select.epoll(); e.register(s.fileno(), select.EPOLLIN)
ready()
kept = []
while True:
    for fd, ev in e.poll():
        kept.append(s.accept()[0])
""",
    # Answers and closes.
    "well": """
ready()
while True:
    c = s.accept()[0]
    try:
        c.settimeout(5)
        c.recv(4096); c.send(b"HTTP/1.0 200 OK\\r\\n\\r\\nhi")
    except OSError:
        pass
    c.close()
""",
}

PROLOGUE = """
import os, socket, sys
import signal; signal.alarm(280)
name = %r
if name:
    open("/proc/self/comm", "wb").write(name)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", %d)); s.listen(%d)
def ready():
    print("READY", flush=True)
"""

_children = []



class Patient:
    def __init__(self, kind, port, backlog=128, name=b"", before=()):
        self.port = port
        code = PROLOGUE % (name, port, backlog) + SERVERS[kind]
        self.process = subprocess.Popen(list(before) + [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        _children.append(self.process)
        if self.process.stdout.readline() != b"READY\n":
            raise SystemExit("Bail out! %s did not start" % kind)
        self.pid = self.process.pid

    def stop(self):
        self.process.kill()
        self.process.wait()


def end_children():
    for p in _children:
        if p.poll() is None:
            p.kill()
            p.wait()


atexit.register(end_children)


def connect(port, n, block=False):
    out = []
    for _ in range(n):
        c = socket.socket()
        c.setblocking(block)
        try:
            c.connect(("127.0.0.1", port))
        except BlockingIOError:
            pass
        out.append(c)
    return out


class Answer:
    def __init__(self, done):
        self.exit = done.returncode
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")

    def __str__(self):
        return "exit %d\n%s\n%s" % (self.exit, self.out, self.err)

    def json(self):
        return json.loads(self.out)

    def ids(self):
        return [f["id"] for f in self.json()["findings"] if f["severity"] != "info"]


def doctor(*args, env=None, before=(), weir=WEIR, seconds=60, **more):
    full = dict(os.environ)
    full.update(env or {})
    return Answer(subprocess.run(list(before) + [weir, "doctor"] + list(args), capture_output=True, timeout=seconds, env=full, **more))


def columns(text):
    """The widest line, as a terminal counts."""
    return max([sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in text.split("\n")] + [0])


def burst(patient, n):
    """Clients that come all at once, while the server looks away: an edge-triggered one accepts the first of them."""
    os.kill(patient.pid, signal.SIGSTOP)
    clients = connect(patient.port, n)
    os.kill(patient.pid, signal.SIGCONT)
    deadline = time.time() + 20
    while time.time() < deadline:
        got = doctor("--json", "-t", "100ms", ":%d" % patient.port)
        if "et-listener-not-drained" in got.out:
            break
    return clients
