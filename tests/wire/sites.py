"""Static sites for the wire tests: weir, or nginx as the oracle, on a folder and a configuration of the test's own."""
import atexit, os, re, shutil, signal, socket, subprocess, tempfile, time

from wire import BUILD, TOP, free_port, moments, why

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HAVE_NGINX = os.path.exists(NGINX)
_sites = []

MAIN = """daemon off; master_process %(master)s; worker_processes 1; pid %(dir)s/pid; error_log %(dir)s/error.log info;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(dir)s/tmp-b; %(more)s
    types { text/html html; text/plain txt; image/gif gif; application/json json; }
    default_type application/octet-stream;
    %(conf)s
}
"""
MORE = "proxy_temp_path %(dir)s/tmp-p; fastcgi_temp_path %(dir)s/tmp-f; uwsgi_temp_path %(dir)s/tmp-u; scgi_temp_path %(dir)s/tmp-s;"


def folder():
    """A new folder that everybody may read, removed at the end."""
    d = tempfile.mkdtemp(prefix="weir-site-")
    os.chmod(d, 0o755)
    atexit.register(shutil.rmtree, d, True)
    return d


class Site:
    """conf: the inside of http { }, with {port} and {root}. One process, whose files and memory can be looked at."""

    def __init__(self, conf, root, binary=None, master="off", env=None):
        self.binary, self.root, self.port, self.dir = binary or os.path.join(BUILD, "weir"), root, free_port(), folder()
        names = {"dir": self.dir, "master": master, "conf": conf.replace("{port}", str(self.port)).replace("{root}", root)}
        names["more"] = MORE % names if self.binary == NGINX else ""
        self.conf = os.path.join(self.dir, "nginx.conf")
        with open(self.conf, "w") as f:
            f.write(MAIN % names)
        self.out = open(os.path.join(self.dir, "out"), "w+")
        self.process = subprocess.Popen([self.binary, "-p", self.dir, "-c", self.conf], stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out,
                                        env=dict(os.environ, **(env or {})))
        _sites.append(self)
        for _ in moments(10):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("Bail out! %s has ended:\n%s%s" % (self.binary, self.text(), self.log()))
        raise SystemExit("Bail out! %s does not listen:\n%s%s%s" % (self.binary, self.text(), self.log(), why(self.process.pid, self.port)))

    def text(self):
        return open(self.out.name, errors="replace").read()

    def log(self):
        path = os.path.join(self.dir, "error.log")
        return open(path, errors="replace").read() if os.path.exists(path) else ""

    def pid(self):
        return self.process.pid

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid()))

    def connect(self, seconds=5):
        s = socket.create_connection(("127.0.0.1", self.port), seconds)
        s.settimeout(seconds)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, target, *fields, method="GET", seconds=5):
        """(status, head text, body); the connection is closed behind it. target may be bytes."""
        target = target.encode("latin-1") if isinstance(target, str) else target
        head = "".join(f + "\r\n" for f in ("Host: localhost", "Connection: close") + fields)
        with self.connect(seconds) as s:
            s.sendall(method.encode() + b" " + target + b" HTTP/1.1\r\n" + head.encode("latin-1") + b"\r\n")
            data = b""
            try:
                while True:
                    piece = s.recv(1 << 20)
                    if not piece:
                        break
                    data += piece
            except ConnectionResetError:
                pass
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        status = int(text.split(" ", 2)[1]) if text.startswith("HTTP/1.1 ") else 0
        if re.search(r"(?im)^transfer-encoding: chunked", text):
            body = unchunk(body)
        return status, text, body

    def stop(self, seconds=10):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.out.close()
        return self.process.returncode


@atexit.register
def _end():
    for s in _sites:
        s.stop()  # by a signal that a master hands on: killed, nginx's leaves its workers behind


def unchunk(body):
    out = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        try:
            n = int(size, 16)
        except ValueError:
            return out + b"<damaged>" + body
        if n == 0:
            return out
        out, body = out + rest[:n], rest[n + 2:]


def masked(answer):
    """The same from both servers when they mean the same: names, dates and boundaries differ."""
    status, head, body = answer
    head = re.sub(r"(?m)^(Location: http://[a-z]+):\d+", r"\1:PORT", head)
    lines = sorted(line for line in head.split("\r\n") if not re.match(r"(?i)(date|server):", line))
    text = body.decode("latin-1")
    text, n = re.subn(r"(nginx|weir)(/[0-9.]+)?(?= *</center>)", "SERVER", text)
    if n or (status >= 300 and not text):
        lines = [line for line in lines if not line.startswith("Content-Length:")]  # the names are not of one length
    m = re.search(r"boundary=(\d+)", head)
    if m:
        text = text.replace(m.group(1), "BOUNDARY")
    return status, re.sub(r"boundary=\d+", "boundary=BOUNDARY", "\n".join(lines)), text


def difference(want, got):
    a, b = masked(want), masked(got)
    if a == b:
        return ""
    for x, y in zip(a, b):
        if x != y:
            x, y = str(x), str(y)
            at = next((i for i in range(min(len(x), len(y))) if x[i] != y[i]), min(len(x), len(y)))
            return "nginx %r\nweir  %r" % (x[max(0, at - 80):at + 120], y[max(0, at - 80):at + 120])
    return "?"


def same(nginx, weir, requests):
    """(equal, [what differs]) over (target, *fields) or (method:..., ...) tuples."""
    equal, wrong = 0, []
    for method, target, *fields in requests:
        try:
            why = difference(nginx.ask(target, *fields, method=method), weir.ask(target, *fields, method=method))
        except OSError as e:
            why = "%s: %s" % (type(e).__name__, e)
        if why:
            wrong.append("%s %s %s\n%s" % (method, target, fields, why))
        else:
            equal += 1
    return equal, wrong
