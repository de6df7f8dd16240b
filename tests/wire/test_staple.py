#!/usr/bin/env python3
"""`ssl_stapling on` without a file: workers ask the responder, staple good and revoked, never garbage, what has expired or a stranger signed; no handshake waits."""
import base64, http.server, os, re, subprocess, threading, time, urllib.parse

from ocsp_kit import Pki
from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

site = Site(start=False)
pki = Pki(site.dir)
port, aia_port, dead_port = free_port(), free_port(), free_port()
pki.make_ca("ca")
pki.make_ca("stranger")
pki.make_cert("plain", "10")
pki.make_cert("bad", "20")
pki.make_cert("aia", "30", "authorityInfoAccess=OCSP;URI:http://127.0.0.1:%d\n" % aia_port)
pki.revoke("20")
pki.file("index", b"V\t401231000000Z\t\t30\tunknown\t/CN=aia\n")


# ---- a responder that can be told to misbehave
asked = {}
released = threading.Event()
broken = threading.Event()


class Responder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, kind, text = self.path.split("/", 2)
        asked[kind] = asked.get(kind, 0) + 1
        request = base64.b64decode(urllib.parse.unquote(text))
        type_, head, status = "application/ocsp-response", "", 200
        if kind == "slow":
            released.wait(60)
            return
        if kind == "drip":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Ty")
            released.wait(60)
            return
        body = pki.answer(request, "stranger" if kind == "stranger" else "ca")
        if kind == "expired":
            body = pki.expired(body)
        elif kind == "garbage":
            body = b"garbage" * 10
        elif kind == "cut":
            body = body[:-20]
        elif kind == "huge":
            body = b"\0" * 200000
        elif kind == "other":  # about another certificate
            pki.openssl("ocsp", "-issuer", "ca.crt", "-cert", "bad.crt", "-no_nonce", "-reqout", "other.req")
            with open(site.path("other.req"), "rb") as f:
                body = pki.answer(f.read())
        elif kind == "refused":
            body = b"\x30\x03\x0a\x01\x06"
        elif kind == "type":
            type_ = "text/html"
        elif kind == "missing":
            status = 404
        if kind == "chunked":
            half = len(body) // 2
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (body[:half], body[half:], b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            return
        self.wfile.write(("HTTP/1.0 %d x\r\nContent-Type: %s\r\n%s\r\n" % (status, type_, "Content-Length: %d\r\n" % (len(body) + (50 if kind == "short" else 0)))).encode())
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client):
        broken.set()


web = Server(("127.0.0.1", 0), Responder)
threading.Thread(target=web.serve_forever, daemon=True).start()

# ---- weir: one name per misbehaviour
names = {}


def server(name, cert="plain", more="", url=None):
    names[name] = True
    return """server { listen 127.0.0.1:%d ssl; server_name %s.test; ssl_certificate @DIR@/%s.pem; ssl_certificate_key @DIR@/%s.key; ssl_stapling on;
        %s %s }\n""" % (port, name, cert, cert, "ssl_stapling_responder %s;" % url if url else "", more)


def at(kind):
    return "http://127.0.0.1:%d/%s" % (web.server_port, kind)


VERIFY = "ssl_stapling_verify on; ssl_trusted_certificate @DIR@/ca.crt;"
never = {"expired": "OCSP_check_validity() failed", "garbage": "d2i_OCSP_RESPONSE() failed", "cut": "d2i_OCSP_RESPONSE() failed", "huge": "sent more than 65536 bytes",
         "other": "certificate status not found in the OCSP response", "stranger": "OCSP_basic_verify() failed", "refused": "OCSP response not successful (6: unauthorized)",
         "type": 'sent invalid "Content-Type" header: "text/html"', "missing": "OCSP responder answered 404", "short": "OCSP responder prematurely closed connection"}
http_text = server("aia", "aia", VERIFY) + server("plain", more=VERIFY, url=at("plain")) + server("revoked", "bad", VERIFY, at("revoked")) + server("chunked", url=at("chunked"))
for kind in never:
    http_text += server(kind, more=VERIFY, url=at(kind))
for kind in ("slow", "drip"):
    http_text += server(kind, url=at(kind))
http_text += server("down", url="http://127.0.0.1:%d/" % dead_port) + server("named", url="http://localhost:%d/named" % web.server_port)
site.write(http=http_text)
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "worker_processes 1;", 1)
site.write(raw=text)
pki.readable()


def status(name):
    """none, good or revoked: what is stapled for a name; None when the handshake failed."""
    r = subprocess.run(["openssl", "s_client", "-status", "-connect", "127.0.0.1:%d" % port, "-servername", name + ".test"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    said = r.stdout.decode(errors="replace")
    if "BEGIN CERTIFICATE" not in said:
        return None
    found = re.search(r"Cert Status: (\w+)", said)
    return found.group(1) if found else "none" if "no response sent" in said else "?"


def stapled(name, what):
    return wait_for(lambda: status(name) == what, 20)


def complaints(text, responder):
    return [line for line in site.log().splitlines() if text in line and responder in line]


responder = subprocess.Popen(["openssl", "ocsp", "-port", str(aia_port), "-index", "index", "-CA", "ca.crt", "-rsigner", "ca.crt", "-rkey", "ca.key", "-ndays", "1", "-timeout", "10"],
                             cwd=site.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    wait_for(lambda: "%04X" % aia_port in open("/proc/net/tcp").read() + open("/proc/net/tcp6").read(), 20)
    site.start()
    equal(status("plain"), "none", "the first handshake gets no status")
    ok(stapled("plain", "good"), "later ones do", site.log())
    ok(stapled("aia", "good"), "the responder that the certificate names is asked", site.log())
    ok(stapled("revoked", "revoked"), "revoked is stapled as it is", site.log())
    ok(site.logged('certificate status "revoked" in the OCSP response'), "and said")
    ok(stapled("chunked", "good"), "an answer in chunks")
    ok(stapled("named", "good"), "a responder by name", site.log())
    n = asked["plain"]
    for _ in range(5):
        status("plain")
    equal(asked["plain"], n, "an answer is kept")

    for kind, why in never.items():
        equal(status(kind), "none", "no status from: " + kind)
        ok(wait_for(lambda: complaints(why, at(kind)), 20), "which is said: " + why, site.log()[-2000:])
        equal((status(kind), status(kind)), ("none", "none"), "nor later from: " + kind)
        equal((asked[kind], len(complaints("requesting certificate status", at(kind)))), (1, 1), "asked and said once: " + kind)

    equal(status("down"), "none", "a responder that is down")
    ok(wait_for(lambda: complaints("connect() failed (111: ", ":%d/" % dead_port), 20), "is said", site.log()[-2000:])
    equal(status("down"), "none", "and handshakes go on")

    for kind in ("slow", "drip"):
        began = time.time()
        equal([status(kind) for _ in range(3)], ["none"] * 3, "handshakes do not wait: " + kind)
        ok(time.time() - began < 15, "nor for a while")
        ok(wait_for(lambda: asked.get(kind) == 1, 10), "it is asked once")
    equal(status("plain"), "good", "others are served meanwhile")
    ok(wait_for(lambda: complaints("OCSP responder timed out", at("slow")), 60), "after its time that is said")
    ok(wait_for(lambda: complaints("OCSP responder timed out", at("drip")), 60), "also of one that drips")
    equal(status("slow"), "none", "and no harm was done")
    equal(asked["slow"], 1, "it is left alone for a while")
finally:
    released.set()
    responder.terminate()
    responder.wait(10)
equal(site.stop(), 0, "it ends")

# ---- what is told when the file is read
for bad, said in (("ssl_stapling_responder https://x/;", "invalid OCSP responder"), ("ssl_stapling_responder http://;", "invalid OCSP responder"), ("", "no OCSP responder URL in the certificate")):
    site.write(http=server("plain", more=bad))
    r = site.run("-t")
    ok(r.returncode == 0 and said in r.stderr, "ignored with a warning: " + (bad or "no responder"), r.stderr)
site.write(http=server("plain", more="", url=at("plain")).replace("plain.pem", "plain.crt"))
r = site.run("-t")
ok(r.returncode == 0 and "issuer certificate not found" in r.stderr, "ignored without an issuer", r.stderr)
done()
