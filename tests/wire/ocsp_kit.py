"""Certificates, and OCSP answers made of them by `openssl ocsp`: also wrong ones, stale ones, and ones that end soon."""
import base64, http.server, os, re, subprocess, threading, time, urllib.parse


class Pki:
    """Files in a folder: NAME.key, NAME.crt, NAME.pem (with the chain)."""

    def __init__(self, folder):
        self.dir, self.index, self.count, self.lock = folder, {}, 0, threading.Lock()

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *args, **more):
        return subprocess.run(["openssl"] + list(args), cwd=self.dir, check=True, capture_output=True, timeout=60, **more).stdout

    def file(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def make_ca(self, name, by=None):
        more = ("-CA", by + ".crt", "-CAkey", by + ".key") if by else ()
        if not by:
            self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".crt", "-days", "9", "-subj", "/CN=" + name)
        else:
            self.make_cert(name, "0%X" % (0xca0 + len(self.index)), "basicConstraints=critical,CA:true\nkeyUsage=keyCertSign,cRLSign,digitalSignature\n", by, key="rsa:2048")

    def make_cert(self, name, serial, more="", ca="ca", key="ec"):
        self.file(name + ".ext", ("subjectAltName=DNS:%s\n%s" % (name, more)).encode())
        self.openssl("req", "-newkey", key, *(("-pkeyopt", "ec_paramgen_curve:P-256") if key == "ec" else ()), "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-set_serial", "0x" + serial, "-days", "8", "-extfile", name + ".ext", "-out", name + ".crt")
        chain = self.path(ca + ".pem")
        with open(self.path(name + ".crt")) as a, open(chain if os.path.exists(chain) else self.path(ca + ".crt")) as b, open(self.path(name + ".pem"), "w") as out:
            out.write(a.read() + b.read())
        self.index.setdefault(ca, {})[serial] = "V"

    def revoke(self, serial, ca="ca"):
        self.index[ca][serial] = "R"

    def answer(self, request, signer=None, ca="ca"):
        """What a responder says to a request (DER), one day valid."""
        with self.lock:
            self.count += 1
            name = "q%d" % self.count
        self.file(name, request)
        text = "".join("%s\t401231000000Z\t%s\t%s\tunknown\t/CN=%s\n" % (how, "250101000000Z" if how == "R" else "", serial, serial) for serial, how in self.index.get(ca, {}).items())
        self.file(name + ".index", text.encode())
        self.openssl("ocsp", "-index", name + ".index", "-CA", ca + ".crt", "-rsigner", (signer or ca) + ".crt", "-rkey", (signer or ca) + ".key", "-reqin", name, "-respout", name + ".out", "-ndays", "1")
        with open(self.path(name + ".out"), "rb") as f:
            return f.read()

    def retimed(self, data, began, ends, ca="ca"):
        """The same answer with other times (seconds), signed anew: an RSA signature keeps its length."""
        data = bytearray(data)
        at = _inside(data, 0)[0]              # the response: status, then [0]
        at = _inside(data, _inside(data, at)[1])[0]
        at = _inside(data, at)[0]             # OID, then the octets
        at = _inside(data, _inside(data, at)[1])[0]
        tbs = _inside(data, at)[0]
        end = _inside(data, tbs)[1]
        times = list(re.finditer(rb"\x18\x0f20\d{12}Z", bytes(data[tbs:end])))  # produced, this, next
        for i, m in enumerate(times):
            when = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(ends if i == len(times) - 1 else began)).encode()
            data[tbs + m.start() + 2:tbs + m.start() + 17] = when
        sig = _inside(data, _inside(data, end)[1])
        with self.lock:
            self.count += 1
            name = "tbs%d" % self.count
        self.file(name, bytes(data[tbs:end]))
        data[sig[0] + 1:sig[1]] = self.openssl("dgst", "-sha256", "-sign", ca + ".key", name)
        return bytes(data)

    def expired(self, data, ca="ca"):
        return self.retimed(data, 1580000000, 1590000000, ca)

    def readable(self):
        for name in os.listdir(self.dir):
            if name.endswith((".key", ".pem", ".crt")):
                os.chmod(self.path(name), 0o644)


def _inside(data, at):
    """Where the content of the DER element at `at` begins and where it ends."""
    n, head = data[at + 1], 2
    if n & 0x80:
        head = 2 + (n & 0x7f)
        n = int.from_bytes(data[at + 2:at + head], "big")
    return at + head, at + head + n


class Responder(http.server.ThreadingHTTPServer):
    """say(kind, request) for GET /KIND/BASE64: the answer's bytes, or None to be silent until `released`."""
    daemon_threads, request_queue_size = True, 512

    def __init__(self, say):
        self.say, self.asked, self.released, self.lock = say, {}, threading.Event(), threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client):
        pass

    def url(self, kind):
        return "http://127.0.0.1:%d/%s" % (self.server_port, kind)

    def count(self, kind):
        return self.asked.get(kind, 0)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, kind, text = self.path.split("/", 2)
        s = self.server
        with s.lock:
            s.asked[kind] = s.asked.get(kind, 0) + 1
        body = s.say(kind, base64.b64decode(urllib.parse.unquote(text)))
        if body is None:
            s.released.wait(60)
            return
        self.wfile.write(("HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: %d\r\n\r\n" % len(body)).encode() + body)

    def log_message(self, *args):
        pass
