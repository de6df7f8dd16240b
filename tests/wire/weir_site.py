"""weir with a configuration of its own: a folder, a port, a master; for tests of processes.

The folder has html/ and logs/, and is readable for the user that workers become.
"""
import atexit, http.client, json, os, shutil, signal, socket, subprocess, tempfile, threading, time

from wire import BUILD, CRASHES, free_port, moments, ok, why

WEIR = os.path.join(BUILD, "weir")
_sites = []


def at_once(path, flags):
    """For open(): a pipe that nobody writes to is empty, not a wait."""
    return os.open(path, flags | os.O_NONBLOCK)


def pids_of_family(master):
    """Children of a process, by /proc."""
    out = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, errors="replace") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if int(fields[1]) == master:
                    out.append(int(entry))
            except (OSError, IndexError):
                pass
    return out


def is_ours(pid, folder):
    """A pid file may be stale and its number somebody else's by now."""
    try:
        with open("/proc/%d/cmdline" % pid, errors="replace") as f:
            return folder in f.read()
    except OSError:
        return False


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(what, seconds=10, step=0.02):
    for _ in moments(seconds, step):
        got = what()
        if got:
            return got
    return what()


class Site:
    def __init__(self, server="location = /x { return 200 'hi'; }", main="", http="", daemon=False, listen="", start=True, events="worker_connections 2000;"):
        self.dir = tempfile.mkdtemp(prefix="weir-")
        os.chmod(self.dir, 0o755)
        for d in ("html", "logs"):
            os.mkdir(os.path.join(self.dir, d))
        self.port = free_port()
        self.daemon, self.listen, self.events = daemon, listen, events
        self.write(server, main, http)
        self.process, self.args = None, []
        _sites.append(self)
        if start:
            self.start()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, server="location = /x { return 200 'hi'; }", main="", http="", raw=None):
        text = raw if raw is not None else (
            "daemon %s; worker_processes 2; pid logs/weir.pid; error_log logs/error.log notice;\n%s\n"
            "events { %s }\nhttp { access_log off; %s\n"
            " server { listen 127.0.0.1:%d %s; server_name localhost; root html; %s }\n}\n"
            % ("on" if self.daemon else "off", main, self.events, http, self.port, self.listen, server))
        with open(self.path("weir.conf"), "w") as f:
            f.write(text.replace("@DIR@", self.dir).replace("@PORT@", str(self.port)))

    def run(self, *more, seconds=20):
        return subprocess.run([WEIR, "-p", self.dir, "-c", self.path("weir.conf")] + list(more), capture_output=True, text=True, timeout=seconds)

    def start(self):
        self.out = open(self.path("stderr"), "w")
        self.process = subprocess.Popen([WEIR, "-p", self.dir, "-c", self.path("weir.conf")] + self.args, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        if self.daemon:
            if self.process.wait(20) != 0:
                raise SystemExit("Bail out! weir did not start:\n" + self.said())
        if not wait_for(self.serves, 20):
            raise SystemExit("Bail out! weir does not serve (%s):\n%s%s%s" % (self.failure, self.said(), self.log(), self.why()))

    def serves(self):
        """Its master is there and /x is answered; `failure` says what is missing."""
        self.failure = "no pid file"
        return self.pid() and self.answers()

    def answers(self):
        try:
            status, body = self.get("/x")
        except (OSError, http.client.HTTPException) as e:
            self.failure = "/x: %r" % e
            return False
        self.failure = "/x: status %d %r" % (status, body[:80])
        return status == 200

    def why(self):
        master = self.pid() or self.process.pid
        return why(master, self.port, self.path("logs", "weir.sock"))

    def said(self):
        with open(self.path("stderr")) as f:
            return f.read()

    def log(self):
        try:
            with open(self.path("logs", "error.log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def logged(self, text, seconds=5):
        return wait_for(lambda: text in self.log(), seconds)

    def pid(self, name="weir.pid"):
        try:
            with open(self.path("logs", name), opener=at_once) as f:
                return int(f.read() or 0)
        except (OSError, ValueError):
            return 0

    def kill(self, sig, pid=None):
        os.kill(pid or self.pid(), sig)

    def get(self, path="/x", seconds=5, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            c.request("GET", path, headers=dict(headers, Connection="close"))
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def admin(self, path="/status", seconds=3, **headers):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(seconds)
        s.connect(self.path("logs", "weir.sock"))
        lines = "".join("%s: %s\r\n" % h for h in headers.items())
        s.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n" % (path, lines)).encode())
        data = b""
        while True:
            piece = s.recv(1 << 16)
            if not piece:
                break
            data += piece
        s.close()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def admin_answers(self):
        try:
            return self.admin("/healthz")[0] == 200
        except OSError:
            return False

    def status(self):
        code, body = self.admin()
        return json.loads(body)

    def workers(self):
        return [w["pid"] for w in self.status()["workers"] if w["state"] == "ready"]

    def descriptors(self, pid):
        return sorted(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))

    def stop(self, sig=signal.SIGTERM, seconds=10):
        """Ends it; the exit status, or None when it had to be killed. Whatever crashed in it is a failed check."""
        status = self.ended(sig, seconds)
        bad = [line for line in (self.said() + self.log()).splitlines() if any(word in line for word in CRASHES + ("on signal 6", "on signal 11", "on signal 31"))]
        if bad:
            ok(False, "no process crashed", "\n".join(bad))
        return status

    def ended(self, sig, seconds):
        pid = self.pid()
        if pid and alive(pid):
            os.kill(pid, sig)
            if not wait_for(lambda: not alive(pid), seconds):
                os.kill(pid, signal.SIGKILL)
                return None
        if self.process and not self.daemon:
            try:
                return self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                return None
        return 0

    def end(self):
        for name in ("weir.pid", "weir.pid.oldbin"):
            pid = self.pid(name)
            if pid and alive(pid) and is_ours(pid, self.dir):
                children = pids_of_family(pid)
                os.kill(pid, signal.SIGTERM)
                if not wait_for(lambda: not alive(pid), 5):
                    for p in [pid] + children:
                        if alive(p):
                            os.kill(p, signal.SIGKILL)
        if self.process and self.process.poll() is None:
            self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


@atexit.register
def _end():
    for s in _sites:
        s.end()


class Load:
    """Clients that ask all the time, on kept connections and on short ones. A request fails when it gets no whole answer of 200; an idle
    connection that was closed before the request reached it is asked again once, as every client does."""

    def __init__(self, port, kept=2, short=2, path="/x", pause=0.001):
        self.port, self.path, self.pause = port, path, pause
        self.asked = self.again = 0
        self.failed = []
        self.stopping = False
        self.threads = [threading.Thread(target=self.keep, daemon=True) for _ in range(kept)] + [threading.Thread(target=self.shorts, daemon=True) for _ in range(short)]
        for t in self.threads:
            t.start()

    def one(self, c, close):
        c.request("GET", self.path, headers={"Connection": "close"} if close else {})
        r = c.getresponse()
        body = r.read()
        if r.status != 200 or not body:
            raise OSError("status %d" % r.status)
        return r.will_close

    def keep(self):
        c, used = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10), False
        while not self.stopping:
            self.asked += 1
            try:
                gone = self.one(c, False)
                used = not gone
                if gone:
                    c.close()
            except (OSError, http.client.HTTPException) as e:
                c.close()
                if used and isinstance(e, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
                    self.again += 1
                    self.asked -= 1
                else:
                    self.failed.append(repr(e))
                used = False
            time.sleep(self.pause)
        c.close()

    def shorts(self):
        while not self.stopping:
            self.asked += 1
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                self.one(c, True)
            except (OSError, http.client.HTTPException) as e:
                self.failed.append(repr(e))
            c.close()
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(15)
        return self
