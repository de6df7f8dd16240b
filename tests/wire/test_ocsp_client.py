#!/usr/bin/env python3
"""`ssl_ocsp`: clients' certificates are asked about; revoked, unknown and unanswered ones are refused as by nginx, which
runs on the same configuration where it is installed; the cache is shared; nobody else waits."""
import http.client, os, re, shutil, signal, socket, ssl, subprocess, threading, time

from ocsp_kit import Pki, Responder
from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

site = Site(start=False)
pki = Pki(site.dir)
port, ng_port, dead_port = free_port(), free_port(), free_port()
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)

pki.make_ca("ca")
pki.make_ca("stranger")
pki.make_ca("mid", by="ca")
pki.make_cert("server", "01")
for name, serial in (("good", "10"), ("bad", "20"), ("lost", "30"), ("other", "40")):
    pki.make_cert(name, serial)
pki.index["ca"].pop("30")
pki.revoke("20")
pki.make_cert("deep", "50", ca="mid")
with open(pki.path("deepchain.pem"), "w") as out:
    for name in ("deep", "mid"):
        with open(pki.path(name + ".crt")) as f:
            out.write(f.read())
shutil.copy(pki.path("deep.key"), pki.path("deepchain.key"))


def say(kind, request):
    if kind == "silent":
        return None
    if kind == "burst":
        if request not in memo:
            memo[request] = pki.answer(request)
        burst.wait(60)
        return memo[request]
    if kind == "slow":
        time.sleep(1)
    if kind == "garbage":
        return b"garbage" * 10
    if kind == "refused":
        return b"\x30\x03\x0a\x01\x06"
    if kind == "stranger":
        return pki.answer(request, "stranger")
    if kind == "self":  # signed by the client's own certificate
        return pki.answer(request, "other")
    if kind == "stale":
        return pki.expired(pki.answer(request))
    if kind == "another":
        pki.openssl("ocsp", "-issuer", "ca.crt", "-cert", "other.crt", "-no_nonce", "-reqout", "other.req")
        with open(pki.path("other.req"), "rb") as f:
            return pki.answer(f.read())
    if kind.startswith("chain"):  # whose issuer is it? mid has signed deep, ca has signed mid
        pki.openssl("ocsp", "-issuer", "mid.crt", "-cert", "deep.crt", "-no_nonce", "-reqout", "deep.req")
        with open(pki.path("deep.req"), "rb") as f:
            return pki.answer(request, ca="mid" if f.read() == request else "ca")
    return pki.answer(request)


web = Responder(say)
pki.make_cert("aia", "60", "authorityInfoAccess=OCSP;URI:%s\n" % web.url("aia"))
pki.make_cert("noaia", "70", "authorityInfoAccess=OCSP;URI:https://127.0.0.1/\n")
pki.readable()

memo, burst = {}, threading.Event()
KINDS = ("burst", "plain", "slow", "silent", "garbage", "refused", "stranger", "self", "stale", "another", "cached", "kept")


def servers(where, resolve=""):
    def server(name, more, responder):
        return """server { listen 127.0.0.1:%d ssl; server_name %s.test; ssl_certificate @DIR@/server.pem; ssl_certificate_key @DIR@/server.key;
            ssl_client_certificate @DIR@/ca.crt; ssl_verify_client on; ssl_verify_depth 3; %s ssl_ocsp %s;
            location / { return 200 "$ssl_client_verify"; } location = /page { return 403; }
            %s }\n""" % (where, name, "ssl_ocsp_responder %s;" % responder if responder else "", "leaf" if name == "leaf" else "on", more)
    text = server("default", "", web.url("plain"))
    for kind in KINDS:
        text += server(kind, "ssl_ocsp_cache shared:ocsp:1m;" if kind in ("cached", "kept") else "", web.url(kind))
    text += server("page", "error_page 495 = @bad; location @bad { return 200 'page $ssl_client_verify'; }", web.url("page"))
    text += server("optional", "", web.url("plain")).replace("ssl_verify_client on", "ssl_verify_client optional")
    text += server("aia", "", None) + server("dead", "", "http://127.0.0.1:%d/" % dead_port)
    text += server("chain", "", web.url("chain")) + server("leaf", "", web.url("chain-leaf"))
    text += server("named", resolve, "http://localhost:%d/named" % web.server_port)
    return text


site.write(http=servers(port) + "ssl_session_cache shared:s:1m;")


def client(name, cert, to=None, path="/", session=None, keep=1, seconds=30):
    """[(status, body)] of `keep` requests on one connection; the session goes into the list `session`."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(pki.path(cert + (".pem" if cert == "deepchain" else ".crt")), pki.path(cert + ".key"))
    if session is not None:
        c = session.setdefault("context", c)
        c.maximum_version = ssl.TLSVersion.TLSv1_2
    out = []
    with socket.create_connection(("127.0.0.1", to or port), seconds) as s, c.wrap_socket(s, server_hostname=name + ".test", session=(session or {}).get("it")) as t:
        for i in range(keep):
            t.sendall(b"GET %s HTTP/1.1\r\nHost: %s.test\r\nConnection: %s\r\n\r\n" % (path.encode(), name.encode(), b"close" if i == keep - 1 else b"keep-alive"))
            r = http.client.HTTPResponse(t, method="GET")
            try:
                r.begin()
            except (http.client.HTTPException, OSError):
                return out + [None]
            out.append((r.status, r.read().decode(errors="replace")))
        if session is not None:
            session["reused"], session["it"] = t.session_reused, t.session
    return out


def text(answer):
    """Of an error page: what it says."""
    if not answer:
        return answer
    said = re.search(r"<center>([^<]*)</center>\r?\n<hr>", answer[1])
    return answer[0], said.group(1) if said else answer[1]


def one(name, cert, **more):
    return text(client(name, cert, **more)[0])


REFUSED = (400, "The SSL certificate error")
site.start()

equal(one("plain", "good"), (200, "SUCCESS"), "a good certificate")
equal(one("plain", "bad"), REFUSED, "a revoked one")

equal(one("plain", "lost"), REFUSED, "one that the responder does not know")
equal(one("page", "bad"), (200, "page FAILED:certificate revoked"), "error_page 495 knows why")
equal(one("page", "lost"), (200, "page FAILED:certificate status unknown"), "likewise of an unknown one")
equal(one("optional", None), (200, "NONE"), "without a certificate nobody is asked")
equal(one("plain", None), (400, "No required SSL certificate was sent"), "where one is required, that is 496")
n = web.count("plain")
equal(client("plain", "good", keep=4), [(200, "SUCCESS")] * 4, "four requests on one connection")
equal(web.count("plain"), n + 1, "ask once")
equal(one("aia", "aia"), (200, "SUCCESS"), "the responder that the certificate names")
equal(one("aia", "good"), REFUSED, "a certificate that names none")
ok(site.logged("is not in the certificate while requesting certificate status"), "which is said")
equal(one("aia", "noaia"), REFUSED, "one that names no http")
equal(one("named", "good"), (200, "SUCCESS"), "a responder by name")

for kind, why in (("garbage", "d2i_OCSP_RESPONSE() failed"), ("refused", "OCSP response not successful (6: unauthorized)"), ("stranger", "OCSP_basic_verify() failed"),
                  ("stale", "OCSP_check_validity() failed"), ("another", "certificate status not found in the OCSP response")):
    equal(one(kind, "good"), REFUSED, "no credible answer: " + kind)
    ok(wait_for(lambda: any(why in line and web.url(kind) in line for line in site.log().splitlines()), 5), "which is said: " + why, site.log()[-1500:])
equal(one("self", "other"), REFUSED, "a client does not vouch for itself")
equal(one("dead", "good"), REFUSED, "a responder that is down")
ok(site.logged("connect() failed (111: "), "is said")

# ---- time
began = time.time()
equal(one("slow", "good"), (200, "SUCCESS"), "a slow responder is waited for")
ok(time.time() - began >= 1, "by that client")
answers = {}
waiting = threading.Thread(target=lambda: answers.update(silent=one("silent", "good", seconds=60)))
waiting.start()
ok(wait_for(lambda: web.count("silent") == 1, 10), "a silent one is asked")
began = time.time()
equal([one("plain", "good") for _ in range(3)], [(200, "SUCCESS")] * 3, "others are served meanwhile")
ok(time.time() - began < 15, "without waiting")
with socket.create_connection(("127.0.0.1", port), 10) as s:
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.load_cert_chain(pki.path("good.crt"), pki.path("good.key"))
    t = c.wrap_socket(s, server_hostname="silent.test")
    t.sendall(b"GET / HTTP/1.1\r\nHost: silent.test\r\n\r\n")
    ok(wait_for(lambda: web.count("silent") == 2, 10), "a client that waits for it")
    t.close()
equal(one("plain", "good"), (200, "SUCCESS"), "may go away")
waiting.join(60)
equal(answers.get("silent"), REFUSED, "in the end it is refused")
ok(site.logged("OCSP responder timed out"), "which is said")

# ---- a crowd: no more than 64 ask at once in a worker, nobody is refused for that
answers, crowd = [], [threading.Thread(target=lambda: answers.append(one("burst", "good", seconds=60))) for _ in range(200)]
for t in crowd:
    t.start()
ok(wait_for(lambda: web.count("burst") >= 100, 30), "a crowd comes", web.count("burst"))
time.sleep(1)
ok(web.count("burst") <= 128, "two workers ask 64 times each", web.count("burst"))
equal(one("plain", "good"), (200, "SUCCESS"), "others are served meanwhile")
burst.set()
for t in crowd:
    t.join(60)
equal([a for a in answers if a != (200, "SUCCESS")], [], "all have their turn")
equal(len(answers), 200, "all of them")
equal(web.count("burst"), 200, "without a cache each asks")

# ---- the chain
equal(one("chain", "deepchain"), (200, "SUCCESS"), "a chain")
equal(web.count("chain"), 2, "is asked about from the client's up to the trusted one")
equal(one("leaf", "deepchain"), (200, "SUCCESS"), "with leaf")
equal(web.count("chain-leaf"), 1, "about the client's alone")
mid = [s for s in pki.index["ca"] if s.startswith("0CA")][0]
pki.revoke(mid)
equal(one("chain", "deepchain"), REFUSED, "a revoked link of the chain")
equal(one("leaf", "deepchain"), (200, "SUCCESS"), "which leaf does not see")
pki.index["ca"][mid] = "V"


# ---- the cache
def counter(name):
    return sum(float(line.split()[-1]) for line in site.admin("/metrics")[1].splitlines() if line.startswith(name) and not line.startswith("#"))


n, hits = web.count("cached"), counter("weir_ocsp_cache_hits_total")
equal([one("cached", "good") for _ in range(8)], [(200, "SUCCESS")] * 8, "eight connections to two workers")
equal(web.count("cached"), n + 1, "ask once, where there is a cache")
ok(wait_for(lambda: counter("weir_ocsp_cache_hits_total") == hits + 7, 5), "the others are counted as hits", counter("weir_ocsp_cache_hits_total") - hits)
equal(one("kept", "good"), (200, "SUCCESS"), "another server with the same cache")
equal(web.count("kept"), 0, "asks nobody")
equal([one("cached", "bad") for _ in range(3)], [REFUSED] * 3, "what is revoked is kept, too")
equal(web.count("cached"), n + 2, "and asked once")
ok(counter("weir_ocsp_requests_total") > 20 and counter("weir_ocsp_failed_total") >= 9, "questions and failures are counted", site.admin("/metrics")[1][-300:])

n, old = web.count("cached"), site.workers()
site.kill(signal.SIGHUP)
ok(wait_for(lambda: site.workers() and not set(site.workers()) & set(old), 20), "after a reload")
equal((one("cached", "good"), web.count("cached")), ((200, "SUCCESS"), n), "the cache still knows")

# ---- resumed sessions
keep = {}
equal([client("plain", "good", session=keep)[0] for _ in range(2)], [(200, "SUCCESS")] * 2, "a session is resumed")
ok(keep["reused"], "really")
pki.revoke("10")
equal(text(client("plain", "good", session=keep)[0]), REFUSED, "and asked about again")
pki.index["ca"]["10"] = "V"
equal(site.stop(), 0, "it ends")

# ---- nginx on the same configuration
if NGINX:
    folder = site.path("ng")
    os.makedirs(folder + "/logs")
    with open(folder + "/nginx.conf", "w") as f:
        f.write(("daemon off; worker_processes 1; pid %s/logs/pid; error_log %s/logs/error.log info; events {} http { access_log off; %s ssl_session_cache shared:s:1m; %s }" % (
            folder, folder, " ".join("%s_temp_path %s/t;" % (what, folder) for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")), servers(ng_port, "resolver 127.0.0.1;"))).replace("@DIR@", site.dir))
    oracle = subprocess.Popen([NGINX, "-p", folder, "-c", folder + "/nginx.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        up = wait_for(lambda: "%04X 00000000:0000 0A" % ng_port in open("/proc/net/tcp").read(), 10)
        if ok(up, "nginx runs"):
            site.start()
            for name, cert in [("plain", c) for c in ("good", "bad", "lost", None)] + [("page", "bad"), ("page", "lost"), ("page", "good"), ("optional", None), ("optional", "bad"), ("aia", "aia"),
                               ("chain", "deepchain"), ("leaf", "deepchain"), ("cached", "good"), ("cached", "good"), ("cached", "bad"), ("plain", "deepchain"),
                               ("garbage", "good"), ("refused", "good"), ("stranger", "good"), ("stale", "good"), ("another", "good"), ("dead", "good"), ("aia", "good"), ("aia", "noaia")]:
                equal(one(name, cert), one(name, cert, to=ng_port), "as nginx: %s, %s" % (name, cert))
            equal(site.stop(), 0, "it ends")
    finally:
        oracle.terminate()
        oracle.wait(10)

# ---- what is told when the file is read
web.released.set()
base = servers(port)
for old, new, said in (("ssl_verify_client on; ssl_verify_depth 3; ssl_ocsp_responder", "ssl_verify_client optional_no_ca; ssl_verify_depth 3; ssl_ocsp_responder", '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"'),
                       (web.url("page"), "https://x/", 'invalid OCSP responder "https://x/"'), ("ssl_ocsp_cache shared:ocsp:1m", "ssl_ocsp_cache shared:ocsp", 'invalid OCSP cache "shared:ocsp"'),
                       ("ssl_ocsp_cache shared:ocsp:1m", "ssl_ocsp_cache shared:ocsp:8k", 'OCSP cache "shared:ocsp:8k" is too small')):
    site.write(http=base.replace(old, new))
    r = site.run("-t")
    ok(r.returncode == 1 and said in r.stderr, "refused: " + said, r.stderr)
done()
