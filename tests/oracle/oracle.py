#!/usr/bin/env python3
"""Same configuration, same requests, nginx and weir one after the other: are the answers the same?

    tests/oracle/oracle.py                     every case in tests/oracle/cases
    tests/oracle/oracle.py rewrite map -v      those whose name has the word; -v shows equal answers too

A case is a text of sections:

    == conf            the inside of http { }; or, with == main, a whole file
    == files           PATH: CONTENT, one a line; \\n, \\0 and \\xHH are understood; {64k} is so many bytes; PATH -> TARGET a symlink,
                       PATH/ a directory; below the folder that @DIR@ stands for
    == requests        METHOD TARGET [HTTP/1.0] [| Name: value ...] [< body]; braces expand: /{a,b}{,/} are four, {1..40} forty, \\, is a comma
                       the Host is "localhost" unless one is given; "|-" leaves it out; "| close" closes behind it
    == logs            files below @DIR@ that must be equal when both have stopped
    == mask            REGEX => TEXT, applied to heads, bodies and logs of both
    == differs         REGEX on "METHOD TARGET": answers that differ on purpose, and why: REGEX : reason

    == client          how requests are sent: tls, "tls cert" (with a client certificate), "sni NAME", "version 1.2", "say LINE" (first of all)

@CERT@ @KEY@, @CERT2@ @KEY2@, @CA@ are certificates (localhost, other.test, the client's CA). @PORT@ and @PORT2@ are free ports, @DIR@ a folder of the case's own. Both servers get the same. Fields of a head are compared without
regard to their order; Date, Server and Connection's spelling are masked, ETag and Last-Modified are not.
"""
import atexit, gzip, itertools, os, re, shutil, signal, socket, ssl, subprocess, sys, tempfile, time, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "wire"))
from wire import BUILD, free_port, ok

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


def parse_request(line, number):
    line, _, body = line.partition(" < ")
    parts = [p.strip() for p in re.split(r" \|", line)]
    words = parts[0].split(" ")
    method, target = words[0], words[1]
    version = words[2] if len(words) > 2 else "HTTP/1.1"
    fields = [p for p in parts[1:] if p not in ("-", "close")]
    if not any(f.lower().startswith("host:") for f in fields) and "-" not in parts[1:]:
        fields.insert(0, "Host: localhost")
    if "close" in parts[1:]:
        fields.append("Connection: close")
    data = unescape(body)
    if body and not any(f.lower().startswith(("content-length:", "transfer-encoding:")) for f in fields):
        fields.append("Content-Length: %d" % len(data))
    head = "%s %s %s\r\n%s\r\n" % (method, target, version, "".join(f + "\r\n" for f in fields))
    return method, head.encode("latin-1", "replace") + data


_keys = None


def keys():
    """A folder of certificates, made once: two servers, and a client with its CA."""
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
    for name in os.listdir(_keys):
        os.chmod(at(name), 0o644)
    return _keys


class Client:
    """One connection at a time, opened anew when the server has closed it."""

    def __init__(self, port, how):
        self.port, self.how, self.sock, self.buf = port, [h.strip() for h in how if h.strip()], None, b""

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
        if self.option("version"):
            c.minimum_version = c.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[self.option("version")]
        self.sock = c.wrap_socket(self.sock, server_hostname=self.option("sni") or "localhost")

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
            self.sock.close()
        self.sock = None


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


SIGNED = re.compile(rb"<center>(nginx|weir)")
ALWAYS = [(r"nginx/[0-9.]+|weir/[0-9.]+", "SERVER"), (r">nginx<|>weir<", ">SERVER<"), (r"(?m)^Server: .*$", "Server: SERVER"),
          (r"(?m)^Date: .*$", "Date: NOW"), (r"(?mi)^connection: keep-alive$", "Connection: keep-alive")]


def run(binary, conf, folder, port, how, requests, masks):
    process = subprocess.Popen([binary, "-p", folder, "-c", conf], stdin=subprocess.DEVNULL,
                               stdout=open(os.path.join(folder, "stdout"), "a"), stderr=subprocess.STDOUT)
    try:
        end = time.time() + 10
        while True:
            if process.poll() is not None or time.time() > end:
                return None, open(os.path.join(folder, "stdout")).read()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        client, answers = Client(port, how), []
        for line, method, request in requests:
            head, body, closed = client.ask(method, request)
            if "Content-Encoding: gzip" in head and body:
                body = unzipped(body)
            if SIGNED.search(body) or (method == "HEAD" and not head[0].startswith("HTTP/1.1 2")):  # the name's length is not compared
                head = [re.sub(r"^(?i:content-length): \d+$", "Content-Length: SIGNED", h) for h in head]
            text = "\n".join([head[0]] + sorted(head[1:])) + "\n\n" + body.decode("latin-1") + ("\n<closed>" if closed else "")
            answers.append((line, masked(text, masks)))
        client.drop()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return answers, ""


def first_difference(want, got):
    a, b = want.splitlines(), got.splitlines()
    for i in range(max(len(a), len(b))):
        x, y = a[i] if i < len(a) else "<nothing>", b[i] if i < len(b) else "<nothing>"
        if x != y:
            return "nginx: %s\nweir:  %s" % (x[:300], y[:300])
    return ""


def case(path):
    name = os.path.splitext(os.path.basename(path))[0]
    s = sections(path)
    masks = ALWAYS + [tuple(m.split(" => ", 1)) if " => " in m else (m.split(" =>")[0], "") for m in s.get("mask", []) if m.strip()]
    differs = [tuple(x.strip() for x in d.split(" : ", 1)) for d in s.get("differs", []) if d.strip()]
    requests = []
    for line in s.get("requests", []):
        if line.strip() and not line.startswith("#"):
            for one in expand(line):
                method, raw = parse_request(one, len(requests))
                requests.append((one, method, raw))
    port, port2 = free_port(), free_port()
    results, logs = [], []
    for binary in (NGINX, os.path.join(BUILD, "weir")):
        folder = os.path.join(tempfile.gettempdir(), "oracle.%d" % os.getpid())  # the same path for both
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        os.chmod(folder, 0o777)  # workers make logs there
        names = {"PORT": port, "PORT2": port2, "DIR": folder}
        if "@CERT@" in open(path, encoding="utf-8").read():
            names.update({n: os.path.join(keys(), f) for n, f in (("CERT", "one.pem"), ("KEY", "one.key"), ("CERT2", "two.pem"), ("KEY2", "two.key"), ("CA", "ca.pem"))})
        put = lambda t: re.sub(r"@(\w+)@", lambda m: str(names.get(m.group(1), m.group(0))), t)
        lay_files(folder, [put(line) for line in s.get("files", [])])
        text = "\n".join(s["main"]) if "main" in s else MAIN % "\n    ".join(s.get("conf", []))
        conf = os.path.join(folder, "nginx.conf")
        if binary != NGINX:  # folders that nginx makes at its start whether it proxies or not
            text = re.sub(r"(proxy|fastcgi|uwsgi|scgi)_temp_path [^;]*;", "", text)
        with open(conf, "w", encoding="utf-8") as f:
            f.write(put(text))
        answers, why = run(binary, conf, folder, port, s.get("client", []), requests, masks)
        if answers is None:
            ok(False, "%s: %s starts" % (name, os.path.basename(binary)), why)
            return 0
        results.append(answers)
        logs.append({f: masked(open(os.path.join(folder, f), errors="replace").read() if os.path.exists(os.path.join(folder, f)) else "<missing>", masks)
                     for f in s.get("logs", []) if f.strip()})
        shutil.rmtree(folder, ignore_errors=True)
    equal = 0
    for (line, want), (_, got) in zip(*results):
        if want == got:
            equal += 1
            if VERBOSE:
                print("# %s\n#   %s" % (line, got.splitlines()[0]))
        elif any(re.search(p, line) for p, _ in differs):
            equal += 1
        else:
            ok(False, "%s: %s" % (name, line), first_difference(want, got))
    for f in logs[0]:
        if logs[0][f] != logs[1][f]:
            ok(False, "%s: %s" % (name, f), first_difference(logs[0][f], logs[1][f]))
    ok(equal == len(requests), "%s: %d of %d answers are nginx's" % (name, equal, len(requests)))
    return equal


def main():
    if not os.path.exists(NGINX):
        print("1..0 # SKIP nginx is not installed")
        return
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    total = 0
    for f in sorted(os.listdir(os.path.join(HERE, "cases"))):
        if f.endswith(".case") and (not words or any(w in f for w in words)):
            total += case(os.path.join(HERE, "cases", f))
    print("# %d answers compared and equal" % total)
    from wire import done
    done()


main()
