#!/usr/bin/env python3
"""The n-th allocation of a worker is refused while it shakes hands: certificates named by variables, clients' certificates that are asked about,
staples. Nothing crashes, nothing leaks, the connections behind it are served. Builds with debug_asserts only: the others have no such switch."""
import http.client, os, re, signal, socket, ssl, sys, time

FIRST, STEP, SECONDS = [int(n) for n in os.environ.get("DROUGHT", "1,3,40").split(",")]
os.environ["WEIR_REFUSE"] = "%d,%d" % (FIRST, STEP)

from ocsp_kit import Pki, Responder
from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

site = Site(start=False)
pki = Pki(site.dir)
port = free_port()
pki.make_ca("ca")
pki.make_cert("x", "10")
pki.make_cert("client", "11")
pki.readable()
said = {}


def say(kind, request):
    if request not in said:
        said[request] = pki.answer(request)
    return b"garbage" if kind == "bad" else said[request]


web = Responder(say)
server = """server { listen 127.0.0.1:%d ssl; server_name %%s.test; ssl_certificate @DIR@/$short.pem; ssl_certificate_key @DIR@/$short.key; ssl_client_certificate @DIR@/ca.crt; ssl_verify_client on;
    ssl_ocsp on; ssl_ocsp_responder %%s; %%s location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_ciphers"; } }\n""" % port
site.write(http="map $ssl_server_name $short { default x; }" + server % ("asked", web.url("good"), "ssl_certificate_cache max=2;") + server % ("bad", web.url("bad"), "") + server % ("kept", web.url("good"), "ssl_ocsp_cache shared:o:1m; ssl_session_cache shared:s:1m;")
           + "server { listen 127.0.0.1:%d ssl; server_name staple.test; ssl_certificate @DIR@/x.pem; ssl_certificate_key @DIR@/x.key; ssl_stapling on; ssl_stapling_responder %s; return 200 ok; }" % (port, web.url("good")))
with open(site.path("weir.conf")) as f:
    site.write(raw=f.read().replace("worker_processes 2;", "worker_processes 1;", 1))
site.start()


def ask(name):
    """The status; 0 when the connection ends or nothing comes."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.load_cert_chain(pki.path("client.crt"), pki.path("client.key"))
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as s, c.wrap_socket(s, server_hostname=name + ".test") as t:
            t.sendall(b"GET / HTTP/1.1\r\nHost: %s.test\r\nConnection: close\r\n\r\n" % name.encode())
            r = http.client.HTTPResponse(t)
            r.begin()
            r.read()
            return r.status
    except (socket.timeout, TimeoutError):
        return -1
    except (OSError, http.client.HTTPException):
        return 0


def droughts():
    return [tuple(map(int, m)) for m in re.findall(r"drought: nth=(\d+) refused=(\d+) objects=(\d+) bytes=(\d+)", site.log())]


def reload(n):
    before = len(droughts())
    site.kill(signal.SIGHUP)
    return wait_for(lambda: len(droughts()) > before, n)


if not reload(5 if "asan" not in os.environ.get("WEIR_BUILD", "") else 20):
    print("1..0 # SKIP not a build with debug_asserts")
    sys.exit(0)
want = {"asked": 200, "bad": 400, "kept": 200, "staple": 200}
hung, silent, lost, rounds, end = [], [], 0, 0, time.time() + SECONDS
while time.time() < end and not hung and not silent:
    rounds += 1
    for name in want:
        got = ask(name)
        hung += [name] if got < 0 else []
        lost += got != want[name]
    after = [ask(name) == want[name] for name in want]
    if after.count(False) > 1:  # one may be the one that was refused
        silent.append((rounds, after))
    if not reload(20):
        ok(False, "a worker leaves", site.log()[-400:])
        break
seen = droughts()
equal(hung, [], "nobody waits for ever")
equal(silent, [], "the connections behind the refused allocation are served")
fired = [d for d in seen if d[1] == 1]
ok(len(fired) >= min(rounds, 5), "%d workers, %d were refused something, %d connections suffered" % (len(seen), len(fired), lost))
equal([d for d in seen if d[2]], [], "no worker leaks")
equal(site.stop(), 0, "it ends")
done()
