#!/usr/bin/env python3
"""`ssl_certificate` with $ssl_server_name: read by workers, kept as ssl_certificate_cache says, and no name leads out of the directory."""
import os, re, socket, ssl, subprocess, time

from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

port = free_port()
site = Site(start=False, main="worker_processes 1;")
keys = site.path("keys")
os.mkdir(keys)
os.mkdir(site.path("html", "sub"))


def make(name, where=keys, password=None):
    cert, key = os.path.join(where, name + ".crt"), os.path.join(where, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key + ".new", "-out", cert + ".new",
                    "-days", "2", "-subj", "/CN=" + name], check=True, stderr=subprocess.DEVNULL)
    os.chmod(key + ".new", 0o644)
    os.rename(key + ".new", key)
    os.rename(cert + ".new", cert)


make("one.test")
make("two.test")
make("outside.test", site.path("html"))


def serve(cache):
    site.write(http="""server { listen 127.0.0.1:%d ssl; server_name _; %s
        ssl_certificate @DIR@/keys/$ssl_server_name.crt; ssl_certificate_key @DIR@/keys/${ssl_server_name}.key;
        location / { return 200 "$ssl_server_name"; } }""" % (port, cache))
    with open(site.path("weir.conf")) as f:
        text = f.read().replace("worker_processes 2;", "", 1)
    if "worker_processes" not in text:
        text = "worker_processes 1; " + text
    site.write(raw=text)


def serial(name):
    """Of the certificate that is shown, and its common name; None when the handshake fails."""
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s, c.wrap_socket(s, server_hostname=name) as t:
            text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-serial"], input=t.getpeercert(True), capture_output=True).stdout.decode()
            return re.search(r"CN ?= ?(\S+)", text).group(1), re.search(r"serial=(\w+)", text).group(1)
    except (ssl.SSLError, ConnectionError):
        return None


serve("")
site.start()
first = serial("one.test")
equal(first and first[0], "one.test", "a certificate of the client's name")
equal((serial("two.test") or "-")[0], "two.test", "and of another")
equal((serial("ONE.test") or "-")[0], "one.test", "whatever its case")
equal(serial("none.test"), None, "a name without a file ends the handshake")
ok(site.logged("cannot load certificate"), "and is said")


def shown(name):
    """For names that Python would not send."""
    r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-servername", name], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    return b"BEGIN CERTIFICATE" in r.stdout


ok(shown("two.test"), "another client is shown one")
for name in ("../html/outside.test", ".one.test", "one.test/", "one..test", "sub/../one.test"):
    ok(not shown(name), "no certificate for " + name)
make("one.test")
ok(serial("one.test") not in (None, first), "without a cache a new file is seen at once")

serve("ssl_certificate_cache max=2 valid=1h inactive=1h;")
equal(site.stop(), 0, "it ends")
site.start()
first = serial("one.test")
make("one.test")
equal(serial("one.test"), first, "with a cache it is kept")
for name in ("three.test", "four.test"):
    make(name)
    equal((serial(name) or "-")[0], name, "more names than the cache holds")
ok(serial("one.test") not in (None, first), "the least used has gone, and is read anew")
equal(site.stop(), 0, "it ends")

for bad, said in (("ssl_certificate_cache inactive=1s;", 'must have the "max" parameter'), ("ssl_certificate_cache max=0;", 'invalid parameter "max=0"')):
    serve(bad)
    r = site.run("-t")
    ok(r.returncode == 1 and said in r.stderr, "refused: " + bad, r.stderr)
with open(site.path("weir.conf")) as f:
    text = f.read().replace("$ssl_server_name.crt", "$host.crt").replace("ssl_certificate_cache max=0;", "")
site.write(raw=text)
ok("$ssl_server_name only" in site.run("-t").stderr, "other variables are refused")
done()
