"""What the wire tests share: start a real binary on a free loopback port, talk raw bytes to it, report TAP.

Every exchange has a deadline; every process started here is ended here, by its pid.
"""
import atexit, os, random, shutil, signal, socket, subprocess, sys, tempfile, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
_count = _failed = 0
_started = []


def ok(good, name, detail=""):
    global _count, _failed
    _count += 1
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good:
        _failed += 1
        for line in str(detail).splitlines()[:20]:
            print("#   " + line)
    sys.stdout.flush()
    return good


def equal(got, want, name):
    return ok(got == want, name, "got  %r\nwant %r" % (got, want))


def for_everybody(program):
    """A copy that other users can run: the checkout may lie in a home that is closed to them."""
    folder = tempfile.mkdtemp(prefix="weir-copy-")
    atexit.register(shutil.rmtree, folder, True)
    os.chmod(folder, 0o755)
    copy = shutil.copy(program, folder)
    os.chmod(copy, 0o755)
    return copy


CRASHES = ("Sanitizer", "runtime error:", "panic", "how=\"signal 6", "how=\"signal 11", "how=\"signal 7")


def done():
    for s in _started:
        bad = [line for line in s.text().splitlines() if any(word in line for word in CRASHES)]
        if bad:
            ok(False, "%s %s: no process of it crashed" % (os.path.basename(s.argv[0]), " ".join(s.argv[1:])), "\n".join(bad))
    print("1..%d" % _count)
    sys.exit(1 if _failed else 0)


_kept_ports = []


def free_port():
    """Below the ports that the kernel gives to outgoing connections: those of another test cannot take it in the meantime. Nor can another test
    choose it while this one lives: a name in the abstract space of unix sockets, which ends with the process, is held for it."""
    while True:
        port = random.randrange(10000, 32000)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind("\0weir-test-port-%d" % port)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
            _kept_ports.append(mark)
            return port
        except OSError:
            mark.close()


def moments(seconds, step=0.02):
    """Turns of a loop that waits so long. A machine that stood still meanwhile, or a clock that was set, costs one turn's patience only: whoever
    is waited for stood still too."""
    left, before = seconds, time.monotonic()
    while left > 0:
        yield
        time.sleep(step)
        now = time.monotonic()
        left, before = left - min(now - before, 6), now


def _run(argv, seconds=30):
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds)
        return r.stdout + r.stderr
    except (OSError, subprocess.TimeoutExpired) as e:
        return repr(e) + "\n"


def _of_proc(pid):
    out = "== process %d\n" % pid
    for name in ("cmdline", "wchan", "syscall", "stack", "status"):
        try:
            with open("/proc/%d/%s" % (pid, name), errors="replace") as f:
                text = f.read().replace("\0", " ")
        except OSError as e:
            text = repr(e)
        if name == "status":
            text = "\n".join(line for line in text.splitlines() if line.split(":")[0] in ("State", "PPid", "Threads", "SigBlk", "SigPnd", "ShdPnd"))
        out += "-- %s: %s\n" % (name, text.strip())
    return out + _run(["gdb", "-p", str(pid), "-batch", "-ex", "set pagination off", "-ex", "thread apply all bt 24"])


def why(master, port=None, admin=None):
    """All that can be seen from outside about a server that does not answer: for whoever reads a failed test that nobody can repeat."""
    family = _run(["ps", "-o", "pid=", "--ppid", str(master)]).split()
    out = "== why does it not answer?\n" + _run(["uptime"]) + _run(["ps", "-o", "pid,ppid,stat,wchan:24,etimes,time,args", "--pid", str(master), "--ppid", str(master)])
    if port:
        out += _run(["ss", "-tanpe", "sport = :%d or dport = :%d" % (port, port)])
    if admin:
        out += _run(["curl", "-s", "-m", "3", "--unix-socket", admin, "http://localhost/status"]) + "\n"
    out += _run([os.path.join(BUILD, "weir"), "doctor", str(master)], 60)
    return out + "".join(_of_proc(int(pid)) for pid in [str(master)] + family if pid.isdigit())


class Server:
    """An example or the program itself, listening on a port of its own."""

    def __init__(self, name, *args, port=None, wait=True, env=None):
        self.port = port or free_port()
        self.argv = [os.path.join(BUILD, name)] + [a.format(port=self.port) for a in args or ("tcp://127.0.0.1:{port}",)]
        self.log = open(os.path.join(BUILD, "wire-%s-%d.log" % (os.path.basename(name), self.port)), "w+")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=dict(os.environ, **(env or {})))
        _started.append(self)
        if wait:
            self.wait_listening()

    def wait_listening(self, seconds=10):
        for _ in moments(seconds):
            if self.process.poll() is not None:
                raise SystemExit("Bail out! %s ended with %s:\n%s" % (self.argv, self.process.returncode, self.text()))
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                pass
        raise SystemExit("Bail out! %s does not listen\n%s%s" % (self.argv, self.text(), why(self.process.pid, self.port)))

    def text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return None
        self.log.close()
        return self.process.returncode


@atexit.register
def _end():
    for s in _started:
        if s.process.poll() is None:
            s.process.kill()
            s.process.wait()


def connect(port, seconds=5):
    s = socket.create_connection(("127.0.0.1", port), seconds)
    s.settimeout(seconds)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_all(s):
    """Until the peer closes. A reset counts as a close: what came before it is what came."""
    out = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return out
            out += piece
    except ConnectionResetError:
        return out


def exchange(port, data, whole=True, seconds=5, half_close=True):
    """Sends data (in one piece or byte by byte) and returns all that comes until the server closes."""
    with connect(port, seconds) as s:
        try:
            if whole:
                s.sendall(data)
            else:
                for i in range(len(data)):
                    s.sendall(data[i : i + 1])
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(s)


def listen_queue(port):
    """Recv-Q of the listener on that port: connections completed by the kernel and not accepted."""
    out = subprocess.check_output(["ss", "-Hltn", "sport = :%d" % port], text=True)
    return sum(int(line.split()[1]) for line in out.splitlines())


def in_state(port, state):
    out = subprocess.check_output(["ss", "-Htn", "state", state, "sport = :%d" % port], text=True)
    return len(out.splitlines())


def settled(port, seconds=5):
    """Waits until the listener's queue is empty and no connection is left in CLOSE_WAIT; returns both numbers."""
    end = time.time() + seconds
    while True:
        numbers = listen_queue(port), in_state(port, "close-wait")
        if numbers == (0, 0) or time.time() > end:
            return numbers
        time.sleep(0.1)


class Response:
    def __init__(self, status, head, body):
        self.status, self.head, self.body = status, head, body


def read_response(s, head_only=False, buffered=b""):
    """One response with Content-Length, and what was read behind it."""
    data = buffered
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            raise EOFError("closed inside a head: %r" % data)
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = {k.strip().lower().decode(): v.strip().decode() for k, _, v in (line.partition(b":") for line in lines[1:])}
    status = int(lines[0].split()[1])
    if head_only or status in (204, 304) or status < 200:
        return Response(status, fields, b""), rest
    n = int(fields.get("content-length", "0"))
    while len(rest) < n:
        piece = s.recv(65536)
        if not piece:
            raise EOFError("closed inside a body")
        rest += piece
    return Response(status, fields, rest[:n]), rest[n:]
