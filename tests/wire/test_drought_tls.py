#!/usr/bin/env python3
"""The n-th allocation of a worker is refused while it shakes hands: certificates named by variables, clients' certificates that are asked about,
staples. Nothing crashes, nothing leaks, the connections behind it are served."""
import http.client, socket, ssl

import drought_kit
from ocsp_kit import Pki, Responder
from weir_site import Site
from wire import free_port

seconds = drought_kit.arm(40)
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


WANT = {"asked": 200, "bad": 400, "kept": 200, "staple": 200}


def ask_all():
    hung, lost = [], 0
    for name in WANT:
        got = ask(name)
        hung += [name] if got < 0 else []
        lost += got != WANT[name]
    return hung, lost


def ask_again():
    return [ask(name) == WANT[name] for name in WANT]


drought_kit.run(site, seconds, ask_all, ask_again, "connection")
