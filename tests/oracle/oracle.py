#!/usr/bin/env python3
"""Same configuration, same requests, nginx and weir one after the other: are the answers the same?

    tests/oracle/oracle.py                     every case in tests/oracle/cases
    tests/oracle/oracle.py rewrite map -v      those whose name has the word; -v shows equal answers too
    tests/oracle/oracle.py --coverage          what weir knows and no case has (coverage.py)
    tests/oracle/oracle.py --effects [WORD]    takes each directive and variable out of its case: does an answer of weir's change?

A case is a text of sections:

    == conf            the inside of http { }; or, with == main, a whole file
    == files           PATH: CONTENT, one a line; \\n, \\0 and \\xHH are understood; {64k} is so many bytes; PATH -> TARGET a symlink,
                       PATH/ a directory; PATH = USER gives it to another; below the folder that @DIR@ stands for
    == requests        METHOD TARGET [HTTP/1.0] [| Name: value ...] [< body]; braces expand: /{a,b}{,/} are four, {1..40} forty, \\, is a comma
                       the Host is "localhost" unless one is given; "|-" leaves it out; "| close" closes behind it
    == logs            files below @DIR@ that must be equal when both have stopped
    == mask            REGEX => TEXT, applied to heads, bodies and logs of both
    == differs         REGEX on "METHOD TARGET": answers that differ on purpose, and why: REGEX : reason, or REGEX : reason => REGEX of weir's
    == process         what is compared of the running workers: workers, nice, nofile, core, cpus, ids, cwd, titles, env NAME, pidfile
    == refused         a line of http { }, or "main: ...": both must refuse it with these words
    == needs           root
    == weir            REGEX => TEXT, applied to weir's configuration only, where nginx is too old for the directive

A request may also be "RAW SECONDS BYTES": these bytes on a connection of their own, "<sleep S>" or "<read S>" between them, then what comes
within so many seconds and whether the connection ended; "<repeat N TEXT>" is TEXT so often. "| @slow S" behind a request says
whether its answer took that long; "| @pause S" waits first; "| @fresh" is a new connection; "| @held TARGET" is asked while another
connection has the answer to TARGET half read.

    "OPENSSL ARGUMENTS | REGEX" is openssl s_client with GET /vars: its lines that match.

    == client          how requests are sent: tls, "tls cert" (with a client certificate), "tls far" (with one behind another CA), "sni NAME", "version 1.2", "say LINE" (first of all),
                       "resume", "together" (all at once: for RAW)

@CERT@ @KEY@, @CERT2@ @KEY2@, @CA@ are certificates (localhost, other.test, the client's CA). @PORT@ and @PORT2@ are free ports, @DIR@ a folder of the case's own. Both servers get the same. Fields of a head are compared without
regard to their order; Date, Server and Connection's spelling are masked, ETag and Last-Modified are not.
"""
import atexit, difflib, gzip, itertools, os, pwd, re, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time, zlib
from email.utils import parsedate_to_datetime
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "wire"))
from wire import BUILD, done, free_port, ok
import coverage

WEIR = os.path.join(BUILD, "weir")
TOGETHER = 5  # cases at once: most of their time is waiting
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
MTIME = 1700000000
VERBOSE = "-v" in sys.argv

MAIN = """daemon off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/error.log info;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @DIR@/tmp-b; proxy_temp_path @DIR@/tmp-p; fastcgi_temp_path @DIR@/tmp-f; uwsgi_temp_path @DIR@/tmp-u; scgi_temp_path @DIR@/tmp-s;
    types { text/html html htm; text/plain txt; text/css css; application/javascript js; image/gif gif; application/json json; }
    default_type application/octet-stream;
    %s
}
"""


def sections(path):
    out, name = {}, None
    for line in open(path, encoding="utf-8"):
        m = re.match(r"== (\w+)\s*$", line)
        if m:
            name = m.group(1)
            out.setdefault(name, [])
        elif name:
            out[name].append(line.rstrip("\n"))
    return out


def expand(text):
    m = re.search(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}", text)
    if not m:
        return [text]
    r = re.match(r"(\d+)\.\.(\d+)$", m.group(1))
    choices = [str(i) for i in range(int(r.group(1)), int(r.group(2)) + 1)] if r else [c.replace("\\,", ",") for c in re.split(r"(?<!\\),", m.group(1))]
    return list(itertools.chain.from_iterable(expand(text[:m.start()] + c + text[m.end():]) for c in choices))


def unescape(text):
    def big(m):
        n = int(m.group(1)) * 1024
        line = b"".join(b"%07d line of a file\n" % i for i in range(n // 22 + 1))
        return line[:n].decode()
    text = re.sub(r"\{(\d+)k\}", big, text)
    raw = re.sub(rb"\\(n|0|r|t|x[0-9a-fA-F]{2})",
                 lambda m: {b"n": b"\n", b"0": b"\0", b"r": b"\r", b"t": b"\t"}.get(m.group(1)) or bytes([int(m.group(1)[1:] or b"0", 16)]) if m.group(1)[:1] != b"0"
                 else b"\0", text.encode())
    return raw


def lay_files(folder, lines):
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if " -> " in line:
            path, target = line.split(" -> ")
            os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
            os.symlink(target.replace("@DIR@", folder), os.path.join(folder, path))
            continue
        if " = " in line:
            path, owner = line.split(" = ")
            os.lchown(os.path.join(folder, path), pwd.getpwnam(owner).pw_uid, -1)
            continue
        path, _, content = line.partition(":")
        full = os.path.join(folder, path.strip())
        if path.strip().endswith("/"):
            os.makedirs(full, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(unescape(content.strip()))
        os.utime(full, (MTIME, MTIME))
    for base, dirs, _ in os.walk(folder):
        for d in dirs:
            os.utime(os.path.join(base, d), (MTIME, MTIME))


class Request:
    def __init__(self, line):
        self.line, self.raw, self.openssl, self.slow, self.pause, self.fresh, self.held = line, None, None, 0, 0, False, None
        if line.startswith("OPENSSL "):
            self.method, (self.openssl, self.wanted) = "OPENSSL", line[8:].split(" | ", 1)
            return
        if line.startswith("RAW "):
            _, seconds, text = line.split(" ", 2)
            self.seconds, self.method = float(seconds), "RAW"
            text = re.sub(r"<repeat (\d+) ([^>]*)>", lambda m: m.group(2) * int(m.group(1)), text)
            self.raw = [(p[1:].split() if i % 2 else unescape(p)) for i, p in enumerate(re.split(r"(<(?:sleep|read) [\d.]+)>", text))]
            return
        line, _, body = line.partition(" < ")
        parts = [p.strip() for p in re.split(r" \|", line)]
        words = parts[0].split(" ")
        self.method, target = words[0], words[1]
        version = words[2] if len(words) > 2 else "HTTP/1.1"
        for p in parts[1:]:
            if p.startswith("@"):
                name, _, value = p[1:].partition(" ")
                setattr(self, name, value if name == "held" else float(value) if value else True)
        fields = [p for p in parts[1:] if p not in ("-", "close") and not p.startswith("@")]
        if not any(f.lower().startswith("host:") for f in fields) and "-" not in parts[1:]:
            fields.insert(0, "Host: localhost")
        if "close" in parts[1:]:
            fields.append("Connection: close")
        data = unescape(body)
        if body and not any(f.lower().startswith(("content-length:", "transfer-encoding:")) for f in fields):
            fields.append("Content-Length: %d" % len(data))
        head = "%s %s %s\r\n%s\r\n" % (self.method, target, version, "".join(f + "\r\n" for f in fields))
        self.bytes = head.encode("latin-1", "replace") + data


_keys = None
_keys_lock = threading.Lock()


def keys():
    """A folder of certificates, made once: two servers, and a client with its CA."""
    with _keys_lock:
        return make_keys()


def make_keys():
    global _keys
    if _keys:
        return _keys
    _keys = tempfile.mkdtemp(prefix="oracle-keys-")
    atexit.register(shutil.rmtree, _keys, True)
    os.chmod(_keys, 0o755)
    at = lambda name: os.path.join(_keys, name)
    for name, cn in (("one", "localhost"), ("two", "other.test"), ("ca", "oracle ca")):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=" + cn,
                        "-keyout", at(name + ".key"), "-out", at(name + ".pem")], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=oracle/CN=a client",
                    "-keyout", at("client.key"), "-out", at("client.csr")], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", at("client.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-set_serial", "77", "-days", "3650",
                    "-out", at("client.pem")], check=True, capture_output=True)
    with open(at("ext"), "w") as f:
        f.write("basicConstraints=CA:TRUE\n")
    for name, cn, signer, extra in (("mid", "oracle between", "ca", ["-extfile", at("ext")]), ("far", "a far client", "mid", [])):
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + cn, "-keyout", at(name + ".key"),
                        "-out", at(name + ".csr")], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", at(name + ".csr"), "-CA", at(signer + ".pem"), "-CAkey", at(signer + ".key"), "-set_serial", "78",
                        "-days", "3650", "-out", at(name + ".pem")] + extra, check=True, capture_output=True)
    with open(at("far.pem"), "a") as f:
        f.write(open(at("mid.pem")).read())
    with open(at("ca.cnf"), "w") as f:
        f.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=3650\n" % at("index.txt"))
    with open(at("index.txt"), "w") as f:
        f.write("R\t350101000000Z\t250101000000Z\t4D\tunknown\t/O=oracle/CN=a client\n")
    subprocess.run(["openssl", "ca", "-config", at("ca.cnf"), "-gencrl", "-keyfile", at("ca.key"), "-cert", at("ca.pem"), "-out", at("crl.pem")],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "ec", "-in", at("one.key"), "-aes256", "-passout", "pass:oracle", "-out", at("locked.key")], check=True, capture_output=True)
    with open(at("passwords"), "w") as f:
        f.write("wrong\noracle\n")
    with open(at("ticket.key"), "wb") as f:
        f.write(bytes(range(80)))
    subprocess.run(["openssl", "dhparam", "-dsaparam", "-out", at("dh.pem"), "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost", "-keyout", at("rsa.key"),
                    "-out", at("rsa.pem")], check=True, capture_output=True)
    ocsp = ["openssl", "ocsp", "-index", at("index.txt"), "-CA", at("ca.pem"), "-rsigner", at("ca.pem"), "-rkey", at("ca.key"), "-issuer", at("ca.pem"),
            "-cert", at("client.pem"), "-noverify", "-ndays", "3000", "-respout", at("ocsp.der")]
    subprocess.run(ocsp, capture_output=True)
    for name in os.listdir(_keys):
        os.chmod(at(name), 0o644)
    return _keys


KEY_FILES = {"CERT": "one.pem", "KEY": "one.key", "CERT2": "two.pem", "KEY2": "two.key", "CA": "ca.pem", "CRL": "crl.pem", "LOCKED": "locked.key",
             "PASSWORDS": "passwords", "TICKET": "ticket.key", "DH": "dh.pem", "RSACERT": "rsa.pem", "RSAKEY": "rsa.key", "CLIENT": "client.pem",
             "CLIENTKEY": "client.key", "OCSP": "ocsp.der"}


class Client:
    """One connection at a time, opened anew when the server has closed it."""

    def __init__(self, port, how):
        self.port, self.how, self.sock, self.buf = port, [h.strip() for h in how if h.strip()], None, b""
        self.context = self.session = None

    def option(self, name):
        return next((h[len(name) + 1:] for h in self.how if h.startswith(name + " ")), None)

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), 5)
        self.buf = b""
        if self.option("say"):
            self.sock.sendall(self.option("say").encode() + b"\r\n")
        if not any(h.split()[0] == "tls" for h in self.how):
            return
        c = ssl.create_default_context()
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        if "tls cert" in self.how:
            c.load_cert_chain(os.path.join(keys(), "client.pem"), os.path.join(keys(), "client.key"))
        if "tls far" in self.how:
            c.load_cert_chain(os.path.join(keys(), "far.pem"), os.path.join(keys(), "far.key"))
        if self.option("version"):
            c.minimum_version = c.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[self.option("version")]
        if self.option("ciphers"):
            c.set_ciphers(self.option("ciphers"))
        if self.option("alpn"):
            c.set_alpn_protocols(self.option("alpn").split(","))
        if self.option("ticket") == "no":
            c.options |= ssl.OP_NO_TICKET
        c = self.context = self.context or c
        resume = self.session if "resume" in self.how else None
        self.sock = c.wrap_socket(self.sock, server_hostname=self.option("sni") or "localhost", session=resume)

    def more(self):
        self.sock.settimeout(5)
        try:
            d = self.sock.recv(65536)
        except ConnectionError:
            return False
        self.buf += d
        return bool(d)

    def ask(self, method, request):
        """(head lines, body, closed) or what happened instead."""
        for attempt in (1, 2):
            fresh = self.sock is None
            try:
                if fresh:
                    self.connect()
            except OSError as e:
                self.drop()
                return ["NO CONNECTION " + type(e).__name__], b"", True
            try:
                self.sock.sendall(request)
            except OSError:
                pass
            try:
                while b"\r\n\r\n" not in self.buf:
                    if not self.more():
                        break
            except (socket.timeout, TimeoutError):
                self.drop()
                return ["TIMEOUT"], self.buf, True
            if self.buf or fresh:
                break
            self.drop()
        if b"\r\n\r\n" not in self.buf:
            raw = self.buf
            self.drop()
            return ["CLOSED"], raw, True
        while True:
            head, self.buf = self.buf.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            if not lines[0].startswith("HTTP/1.1 1"):
                break
            while b"\r\n\r\n" not in self.buf and self.more():
                pass
        if not re.match(r"HTTP/1\.[01] \d\d\d", lines[0]):
            self.drop()
            return ["NOT HTTP"] + lines, b"", True
        body, closed = self.body(method, lines)
        if closed:
            self.drop()
        return lines, body, closed

    def body(self, method, lines):
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split()[1])
        closed = fields.get("connection", "").lower() == "close"
        try:
            if method == "HEAD" or status in (204, 304):
                out = b""
            elif fields.get("transfer-encoding") == "chunked":
                out = self.chunked()
            elif "content-length" in fields:
                n = int(fields["content-length"])
                while len(self.buf) < n:
                    if not self.more():
                        return self.buf + b"<cut short>", True
                out, self.buf = self.buf[:n], self.buf[n:]
            else:
                while self.more():
                    pass
                return self.buf, True
            if closed:
                while self.more():
                    pass
                out += self.buf
            return out, closed
        except (socket.timeout, TimeoutError):
            return self.buf + b"<timeout>", True

    def chunked(self):
        out = b""
        while True:
            while b"\r\n" not in self.buf:
                if not self.more():
                    return out + b"<cut short>"
            size, rest = self.buf.split(b"\r\n", 1)
            n = int(size, 16)
            while len(rest) < n + 2:
                self.buf = rest
                if not self.more():
                    return out + b"<cut short>"
                rest = self.buf
            out, self.buf = out + rest[:n], rest[n + 2:]
            if n == 0:
                return out

    def drop(self):
        if self.sock:
            self.session = getattr(self.sock, "session", None) or self.session
            self.sock.close()
        self.sock = None


def read_for(s, seconds):
    """What comes within that time, and whether it was open, closed or reset then."""
    got, until = b"", time.time() + seconds
    while time.time() < until:
        s.settimeout(max(until - time.time(), 0.01))
        try:
            d = s.recv(65536)
        except (socket.timeout, TimeoutError):
            break
        except OSError:
            return got, "reset"
        if not d:
            return got, "closed"
        got += d
    return got, "open"


def ask_raw(port, q):
    """What came, and how it ended."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    s.settimeout(5)
    s.connect(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got, end = b"", "open"
    try:
        for step in q.raw:
            if isinstance(step, bytes):
                s.sendall(step)
            elif step[0] == "sleep":
                time.sleep(float(step[1]))
            else:
                until = time.time() + float(step[1])
                more, end = read_for(s, float(step[1]))
                got += more
                time.sleep(max(until - time.time(), 0))
    except OSError:
        end = "reset"
    if end != "reset":
        more, end = read_for(s, q.seconds)
        got += more
    s.close()
    return got, end


def raw_text(got, end):
    head, sep, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    m = re.search(rb"(?i)content-length: (\d+)", head)
    if SIGNED.search(body) and m:
        lines = [re.sub(r"(?i)^content-length: \d+", "Content-Length: SIGNED", line) for line in lines]
    if m and int(m.group(1)) > 4096:
        body = b"<whole>" if len(body) >= int(m.group(1)) else b"<cut short>"
    return "\n".join(lines[:1] + sorted(lines[1:])) + ("\n\n" if sep else "") + body.decode("latin-1") + "\n<%s>" % end


def unzipped(body):
    """What is promised is the content, not how hard it was squeezed."""
    try:
        return b"<gzip>" + gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as e:
        return b"<damaged gzip: %s>" % str(e).encode() + body


def masked(text, masks):
    for pattern, to in masks:
        text = re.sub(pattern, to, text)
    return text


CRASHED = re.compile(r"exited on signal|Sanitizer|runtime error:|panic at")
SIGNED = re.compile(rb"<center>(nginx|weir)")
ALWAYS = [(r"nginx/[0-9.]+|weir/[0-9.]+", "SERVER/VERSION"), (r">nginx<|>weir<", ">SERVER<"), (r"(?m)^Server: (nginx|weir)$", "Server: SERVER"),
          (r"(?m)^Date: .*$", "Date: NOW"), (r"(?mi)^connection: keep-alive$", "Connection: keep-alive")]


def relative(head):
    """Expires in seconds from Date, unless it is a fixed point in time."""
    date = next((parsedate_to_datetime(h[6:]) for h in head if h.startswith("Date: ")), None)
    out = []
    for h in head:
        if date and re.match(r"Expires: \w+, \d\d .* GMT$", h):
            seconds = (parsedate_to_datetime(h[9:]) - date).total_seconds()
            h = "Expires: %+d s" % seconds if abs(seconds) < 2 * 366 * 86400 else h
        out.append(h)
    return out


def hold(port, target):
    """A connection whose answer has begun and is not read."""
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target).encode())
    s.recv(1)
    return s


def answer(client, q, masks):
    if q.pause:
        time.sleep(q.pause)
    if q.fresh:
        client.drop()
    if q.openssl is not None:
        words = ["openssl", "s_client", "-ign_eof", "-connect", "127.0.0.1:%d" % client.port] + q.openssl.split()
        p = subprocess.run(words, input=b"GET /vars HTTP/1.0\r\nHost: localhost\r\n\r\n", capture_output=True, timeout=20)
        return masked("\n".join(sorted(line for line in (p.stdout + p.stderr).decode("latin-1").splitlines() if re.search(q.wanted, line))), masks)
    if q.raw is not None:
        return masked(raw_text(*ask_raw(client.port, q)), masks)
    held = hold(client.port, q.held) if q.held else None
    began = time.time()
    head, body, closed = client.ask(q.method, q.bytes)
    if held:
        held.close()
    if "Content-Encoding: gzip" in head and body:
        body = unzipped(body)
    if SIGNED.search(body) or (q.method == "HEAD" and not head[0].startswith("HTTP/1.1 2")):  # the name's length is not compared
        head = [re.sub(r"^(?i:content-length): \d+$", "Content-Length: SIGNED", h) for h in head]
    head = relative(head)
    text = "\n".join([head[0]] + sorted(head[1:])) + "\n\n" + body.decode("latin-1") + ("\n<closed>" if closed else "")
    if q.slow:
        text += "\n<took %s than %.1f s>" % ("more" if time.time() - began > q.slow else "less", q.slow)
    return masked(text, masks)


def proc(pid, name):
    with open("/proc/%d/%s" % (pid, name), "rb") as f:
        return f.read().decode("latin-1")


def workers_of(pid):
    """Of both servers: children that say so, in the order of their making."""
    out = []
    for child in proc(pid, "task/%d/children" % pid).split():
        if "worker" in proc(int(child), "comm") or "worker process" in proc(int(child), "cmdline"):
            out.append(int(child))
    return out or [pid]


def fact(pid, name, folder):
    """One line of section process, as the system sees it."""
    workers = workers_of(pid)
    one = workers[-1]
    limits = lambda what: re.search(what + r"\s+(\S+)\s+(\S+)", proc(one, "limits")).groups()
    word, _, rest = name.partition(" ")
    if word == "workers":
        return str(len(workers))
    if word == "nice":
        return str(os.getpriority(os.PRIO_PROCESS, one))
    if word in ("nofile", "core"):
        return " ".join(limits({"nofile": "Max open files", "core": "Max core file size"}[word]))
    if word == "cpus":
        return " ".join(sorted(re.search(r"Cpus_allowed_list:\s*(\S+)", proc(w, "status")).group(1) for w in workers))
    if word == "ids":
        return " ".join(" ".join(re.search(k + r":[ \t]*(.*)", proc(one, "status")).group(1).split()) for k in ("Uid", "Gid", "Groups"))
    if word == "cwd":
        return os.readlink("/proc/%d/cwd" % one)
    if word == "env":
        return str([e for e in proc(one, "environ").split("\0") if e.startswith(rest + "=")])
    if word == "pidfile":
        path = os.path.join(folder, rest)
        return "right" if os.path.exists(path) and open(path).read().strip() == str(pid) else "wrong"
    raise SystemExit("Bail out! no fact is called " + name)


def run(binary, conf, folder, port, how, requests, masks, facts=()):
    """Answers in their order, and the facts; None and why it did not start."""
    with open(os.path.join(folder, "stdout"), "a") as out:
        process = subprocess.Popen([binary, "-p", folder, "-c", conf], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env=dict(os.environ, TZ="ORA-05:30"))
    try:
        end = time.time() + 20
        while True:
            if process.poll() is not None or time.time() > end:
                return None, open(os.path.join(folder, "stdout")).read()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        client = Client(port, how)
        if "together" in how:
            with ThreadPoolExecutor(32) as pool:
                answers = list(pool.map(lambda q: (q.line, answer(client, q, masks)), requests))
        else:
            answers = [(q.line, answer(client, q, masks)) for q in requests]
        client.drop()
        answers += [("process " + f, masked(fact(process.pid, f, folder), masks)) for f in facts]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return answers, ""


def refusal(binary, conf, folder):
    p = subprocess.run([binary, "-t", "-p", folder, "-c", conf], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    m = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)", p.stderr)
    return "%d %s" % (p.returncode, m.group(1) if m else re.sub(r"(?m)^(nginx|weir): ", "", p.stderr.strip()))


def difference(want, got):
    lines = difflib.unified_diff(want.splitlines(), got.splitlines(), "nginx", "weir", n=0, lineterm="")
    return "\n".join(line[:400] for line in list(lines)[2:14] if not line.startswith("@@"))


class Case:
    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.text = open(path, encoding="utf-8").read()
        s = self.sections = sections(path)
        self.masks = ALWAYS + [tuple(m.split(" => ", 1)) if " => " in m else (m.split(" =>")[0], "") for m in s.get("mask", []) if m.strip()]
        self.differs = [(d.split(" : ")[0].strip(), d.partition(" => ")[2]) for d in s.get("differs", []) if d.strip()]
        self.weir = [tuple(m.split(" => ", 1)) for m in s.get("weir", []) if m.strip()]
        self.conf = "\n".join(s["main"]) if "main" in s else MAIN % "\n    ".join(s.get("conf", []))
        self.facts = [f for f in s.get("process", []) if f.strip()]
        self.names = {"PORT": free_port(), "PORT2": free_port(), "DIR": os.path.join(tempfile.gettempdir(), "oracle.%d.%s" % (os.getpid(), self.name))}
        if re.search("@(%s)@" % "|".join(KEY_FILES), self.text):
            self.names.update({n: os.path.join(keys(), f) for n, f in KEY_FILES.items()})
        lines = [self.put(line) for line in s.get("requests", []) if line.strip() and not line.startswith("#")]
        self.requests = [Request(one) for line in lines for one in ([line] if line.startswith(("RAW ", "OPENSSL ")) else expand(line))]

    def put(self, text):
        return re.sub(r"@(\w+)@", lambda m: str(self.names.get(m.group(1), m.group(0))), text)

    def lay(self):
        folder = self.names["DIR"]  # the same path for both
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        os.chmod(folder, 0o777)  # workers make logs there
        lay_files(folder, [self.put(line) for line in self.sections.get("files", [])])
        return folder

    def write(self, folder, binary, text):
        if binary != NGINX:
            text = re.sub(r"(proxy|fastcgi|uwsgi|scgi)_temp_path [^;]*;", "", text)  # folders that nginx makes at its start whether it proxies or not
            for pattern, to in self.weir:
                text = re.sub(pattern, to, text)
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(self.put(text))
        return conf

    def serve(self, binary, text):
        """(answers, logs), or None and why."""
        folder = self.lay()
        conf = self.write(folder, binary, text)
        answers, why = run(binary, conf, folder, self.names["PORT"], self.sections.get("client", []), self.requests, self.masks, self.facts)
        read = lambda f: open(os.path.join(folder, f), errors="replace").read() if os.path.exists(os.path.join(folder, f)) else "<missing>"
        logs = {f: masked(read(f), self.masks) for f in self.sections.get("logs", []) if f.strip()}
        logs["crashes"] = "\n".join(line for f in ("stdout", "error.log") for line in read(f).splitlines() if CRASHED.search(line))
        shutil.rmtree(folder, ignore_errors=True)
        return (answers, logs) if answers is not None else (None, why)

    def refusals(self):
        """What is refused, and must be by both in the same words."""
        folder, out = self.lay(), []
        for line in self.sections.get("refused", []):
            if not line.strip() or line.startswith("#"):
                continue
            text = line[5:] + ("" if "events" in line else "\nevents {}") if line.startswith("main:") else MAIN % line
            said = [masked(refusal(b, self.write(folder, b, text), folder), self.masks) for b in (NGINX, WEIR)]
            out.append((line, *said))
        shutil.rmtree(folder, ignore_errors=True)
        return out


def compare(path):
    """Lines for ok(): (good, name, detail); and how many answers were equal."""
    c, said, equal = Case(path), [], 0
    if "root" in c.sections.get("needs", []) and os.geteuid():
        return [(True, c.name + " # SKIP needs root", "")], 0, []
    results = []
    for binary in (NGINX, WEIR):
        answers, logs = c.serve(binary, c.conf)
        if answers is None:
            return [(False, "%s: %s starts" % (c.name, os.path.basename(binary)), logs)], 0, []
        results.append((answers, logs))
    (want, want_logs), (got, got_logs) = results
    pairs = [(line, a, b) for (line, a), (_, b) in zip(want, got)]
    pairs += [(f, want_logs[f], got_logs[f]) for f in want_logs]
    pairs += [("refused " + line, a, b) for line, a, b in c.refusals()]
    for line, a, b in pairs:
        if a == b or any(re.search(p, line) and re.search(weirs, b) for p, weirs in c.differs):
            equal += 1
        else:
            said.append((False, "%s: %s" % (c.name, line), difference(a, b)))
    said.append((equal == len(pairs), "%s: %d of %d answers are nginx's" % (c.name, equal, len(pairs)), ""))
    return said, equal, [(line, b) for line, _, b in pairs]


def case_paths(words):
    folder = os.path.join(HERE, "cases")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".case") and (not words or any(w in f for w in words))]


def effects(words):
    """Takes each statement out of weir's configuration, and each variable: what changes nothing anywhere is printed."""
    paths = case_paths([])
    cases = [Case(p) for p in paths]
    whole, lock = {}, threading.Lock()

    def baseline(c):
        with lock:
            entry = whole.setdefault(c.name, [threading.Lock(), None])
        with entry[0]:
            entry[1] = entry[1] or c.serve(WEIR, c.conf)
            return entry[1]

    def one(what):
        for i, c in enumerate(cases):
            for changed in coverage.without(c.conf, what):
                base = baseline(c)
                mine = Case(paths[i])
                mine.names = dict(mine.names, DIR=mine.names["DIR"] + "." + what.strip("$"))
                for pattern, to in ((mine.names["DIR"], c.names["DIR"]), (str(mine.names["PORT"]), str(c.names["PORT"])), (str(mine.names["PORT2"]), str(c.names["PORT2"]))):
                    mine.masks = mine.masks + [(pattern, to)]
                if mine.serve(WEIR, changed) != base:
                    return what, c.name
        return what, None

    known, noted = coverage.known(WEIR), coverage.noted(WEIR)
    wanted = [w for w in known if w not in coverage.WITHOUT and w not in coverage.NO_EFFECT and w not in noted and (not words or any(x in w for x in words))]
    with ThreadPoolExecutor(TOGETHER) as pool:
        for what, where in pool.map(one, wanted):
            ok(where is not None, "%s: taking it out shows%s" % (what, " in " + where if where else ""))


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--coverage" in sys.argv:
        print("\n".join(coverage.missing(WEIR, [Case(p).conf for p in case_paths([])])))
        return
    if "--effects" in sys.argv:
        effects(words)
        done()
    if not os.path.exists(NGINX):
        print("1..0 # SKIP nginx is not installed")
        return
    total, paths = 0, case_paths(words)
    with ThreadPoolExecutor(TOGETHER) as pool:
        for said, equal, answers in pool.map(compare, paths):
            for line in said:
                ok(*line)
            if VERBOSE:
                print("\n".join("# %s\n#   %s" % (line, text.splitlines()[0] if text else "") for line, text in answers))
            total += equal
    if not words:
        lost = coverage.missing(WEIR, [Case(p).conf for p in paths])
        ok(not lost, "every directive and variable of weir is in a case, or coverage.py says why not", "\n".join(lost))
        ok(len(paths) >= 60, "%d configurations" % len(paths))
    print("# %d answers compared and equal" % total)
    done()


main()
