#!/usr/bin/env python3
"""TLS as nginx does it: the same configuration, the same clients, equal outcomes of handshakes, sessions, variables and errors. Without nginx
the outcomes are still asked for, and those that are written down here have to hold."""
import http.client, os, re, shutil, signal, socket, ssl, subprocess, time

from ocsp_kit import Pki
from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

site = Site(start=False)
pki = Pki(site.dir)
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
openssl = pki.openssl

pki.make_ca("ca")
pki.make_ca("mid", by="ca")
pki.make_ca("otherca")
pki.make_cert("ec", "01")
pki.make_cert("rsa", "02", key="rsa:2048")
pki.make_cert("client", "10")
pki.make_cert("gone", "11")
pki.make_cert("deep", "12", ca="mid")
pki.make_cert("foreign", "13", ca="otherca")
with open(pki.path("deep.both"), "w") as out:
    for name in ("deep", "mid"):
        with open(pki.path(name + ".crt")) as f:
            out.write(f.read())
openssl("rsa", "-aes256", "-passout", "pass:third", "-in", "rsa.key", "-out", "locked.key")
pki.file("passwords", b"first\nsecond\nthird\n")
openssl("dhparam", "-dsaparam", "-out", "dh.pem", "2048")
for name in ("t1", "t2", "t3"):
    pki.file(name, os.urandom(48 if name == "t2" else 80))
pki.file("ca.cnf", b"[ca]\ndefault_ca=d\n[d]\ndatabase=db\ncrlnumber=num\ndefault_md=sha256\ndefault_crl_days=5\n")
pki.file("db", b"")
pki.file("num", b"01\n")
openssl("ca", "-config", "ca.cnf", "-revoke", "gone.crt", "-keyfile", "ca.key", "-cert", "ca.crt")
openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.crt", "-out", "crl.pem")
pki.file("html/big", b"x" * 200000)
pki.readable()
for name in ("html", "t1", "t2", "t3"):
    os.chmod(pki.path(name), 0o755)

VARS = ("protocol", "cipher", "ciphers", "curve", "curves", "server_name", "session_reused", "early_data", "alpn_protocol", "client_verify", "client_serial", "client_s_dn", "client_i_dn",
        "client_s_dn_legacy", "client_i_dn_legacy", "client_fingerprint", "client_v_start", "client_v_end", "client_v_remain", "client_cert", "client_raw_cert", "client_escaped_cert")
EC, RSA = "ssl_certificate @DIR@/ec.pem; ssl_certificate_key @DIR@/ec.key;", "ssl_certificate @DIR@/rsa.pem; ssl_certificate_key @DIR@/rsa.key;"
CA = "ssl_client_certificate @DIR@/ca.crt;"
SERVERS = {  # the first one is the default
    "plain": EC,
    "both": EC + RSA, "twice": RSA + EC,
    "locked": "ssl_certificate @DIR@/rsa.pem; ssl_certificate_key @DIR@/locked.key; ssl_password_file @DIR@/passwords;",
    "reject": "ssl_reject_handshake on;",
    "old": RSA + "ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;", "two": EC + "ssl_protocols TLSv1.2;", "three": EC + "ssl_protocols TLSv1.3;",
    "prefer": RSA + "ssl_prefer_server_ciphers on; ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256;", "noprefer": RSA + "ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256;",
    "dhe": RSA + "ssl_dhparam @DIR@/dh.pem;", "nodhe": RSA, "curve": EC + "ssl_ecdh_curve secp384r1:prime256v1;",
    "command": EC + "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; ssl_conf_command MinProtocol TLSv1.3;",
    "optioncmd": EC + "ssl_conf_command Options -SessionTicket;",
    "small": EC + "ssl_buffer_size 4k;",
    "need": EC + CA + "ssl_verify_client on;", "may": EC + CA + "ssl_verify_client optional;", "anyca": EC + CA + "ssl_verify_client optional_no_ca;", "nocaatall": EC + "ssl_verify_client optional_no_ca;",
    "trusted": EC + "ssl_trusted_certificate @DIR@/ca.crt; ssl_client_certificate @DIR@/otherca.crt; ssl_verify_client on;",
    "depth": EC + CA + "ssl_verify_client on; ssl_verify_depth 2;", "crl": EC + CA + "ssl_verify_client on; ssl_crl @DIR@/crl.pem;",
    "pages": EC + CA + "ssl_verify_client on; error_page 495 = @bad; error_page 496 = @none; location @bad { return 200 'bad $ssl_client_verify'; } location @none { return 200 'none $ssl_client_verify'; }",
    "nocache": EC + "ssl_session_cache off; ssl_session_tickets off;", "none": EC + "ssl_session_cache none; ssl_session_tickets off;", "builtin": EC + "ssl_session_cache builtin:100; ssl_session_tickets off;",
    "shared": EC + "ssl_session_cache shared:two:1m; ssl_session_tickets off;", "offtickets": EC + "ssl_session_cache off;",
    "tickets": EC + "ssl_session_ticket_key @DIR@/t1; ssl_session_ticket_key @DIR@/t2;",
}


SOLO = ("plain", "nocache", "none", "builtin", "shared", "offtickets", "tickets", "optioncmd")


SAME = {  # servers of one name, each on an address of its own, that share a cache and the keys of tickets
    "same_ca": CA + "ssl_verify_client on;", "same_other": "ssl_client_certificate @DIR@/otherca.crt; ssl_verify_client on;", "same_crl": CA + "ssl_verify_client on; ssl_crl @DIR@/crl.pem;",
    "same_none": "ssl_verify_client off;",
}


def config(where, http_port, early_port, solo_ports, same_ports, first_port, key_port, more=""):
    text = "%s ssl_protocols TLSv1.2 TLSv1.3; add_header X-Reused $ssl_session_reused; add_header X-Early '[$ssl_early_data]'; log_format v '%s';\n" % (more, "\\n".join("%s=$ssl_%s" % (v, v) for v in VARS))
    for name, inside in SERVERS.items():
        text += """server { listen 127.0.0.1:%d ssl%s; server_name %s.test; %s root @DIR@/html;
            location /vars { return 200 "%s"; } location / { return 200 "$server_name $ssl_protocol $ssl_client_verify"; } location = /big { } }\n""" % (
            where, " default_server" if name == "plain" else "", name, inside, "\\n".join("%s=$ssl_%s" % (v, v) for v in VARS))
    text += "server { listen 127.0.0.1:%d ssl; ssl_reject_handshake on; } server { listen 127.0.0.1:%d ssl; server_name known.test; %s location / { return 200 known; } }\n" % (http_port, http_port, EC)
    for name, at in zip(SOLO, solo_ports):  # sessions and tickets are the matter of an address's default server
        text += "server { listen 127.0.0.1:%d ssl; server_name %s.test; %s location / { return 200 $server_name; } }\n" % (at, name, SERVERS[name].replace("shared:two", "shared:solo"))
    for (name, inside), at in zip(SAME.items(), same_ports):
        text += "server { listen 127.0.0.1:%d ssl; server_name same.test; %s %s ssl_session_cache shared:same:1m; ssl_session_ticket_key @DIR@/t1; location / { return 200 '%s $ssl_client_verify'; } }\n" % (at, EC, inside, name)
    for name in ("first", "second"):  # whose cache a session lies in is a matter of the address's default server
        text += "server { listen 127.0.0.1:%d ssl; server_name %s.test; %s ssl_session_tickets off; ssl_session_cache shared:%s:1m; location / { return 200 $server_name; } }\n" % (first_port, name, EC, name)
    for name, inside in (("key", "ssl_session_ticket_key @DIR@/t1;"), ("nokey", "")):
        text += "server { listen 127.0.0.1:%d ssl; server_name %s.test; %s %s location / { return 200 $server_name; } }\n" % (key_port, name, EC, inside)
    text += "server { listen 127.0.0.1:%d ssl; server_name early.test; %s ssl_early_data on; location / { return 200 early; } location = /late { if ($ssl_early_data) { return 425; } return 200 late; } }\n" % (early_port, EC)
    return text


class Peer:
    """One of the two, on ports of its own."""

    def __init__(self, name):
        self.name, self.port, self.other, self.early = name, free_port(), free_port(), free_port()
        self.solo = {n: free_port() for n in SOLO}
        self.same, self.first, self.key = {n: free_port() for n in SAME}, free_port(), free_port()
        self.config = config(self.port, self.other, self.early, list(self.solo.values()), list(self.same.values()), self.first, self.key)


def connect(peer, name, cert=None, version=None, ciphers=None, session=None, alpn=None, to=None, host=None, path="/", sni=True, context=None):
    """(status, headers, body) of a request, or what broke; and the session."""
    c = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(pki.path("deep.both" if cert == "deep" else cert + ".crt"), pki.path(cert + ".key"))
    if version:
        c.minimum_version = c.maximum_version = version
    if ciphers:
        c.set_ciphers(ciphers)
    if alpn:
        c.set_alpn_protocols(alpn)
    try:
        with socket.create_connection(("127.0.0.1", to or peer.port), 10) as s, c.wrap_socket(s, server_hostname=name + ".test" if sni else None, session=session) as t:
            t.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host or name + ".test")).encode())
            r = http.client.HTTPResponse(t, method="GET")
            r.begin()
            body = r.read().decode(errors="replace")
            said = re.search(r"<center>([^<]*)</center>\r?\n<hr>", body)
            return (r.status, r.getheader("X-Reused"), said.group(1) if said else re.sub("nginx/[0-9.]+|weir/[0-9.]+", "SERVER", body)), t.session
    except ssl.SSLError as e:
        return (e.reason,), None
    except (OSError, http.client.HTTPException) as e:
        return (type(e).__name__,), None


def one(*args, **more):
    return connect(*args, **more)[0]


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def s_client(peer, name, *more, text=b""):
    r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % peer.port, "-servername", name + ".test"] + list(more), input=text, capture_output=True, timeout=20, cwd=site.dir)
    return r.stdout.decode(errors="replace") + r.stderr.decode(errors="replace")


def shown(peer, name, *more):
    said = s_client(peer, name, *more)
    found = lambda what: (re.search(what, said) or [None, None])[1]
    return found(r"subject=CN ?= ?(\w+)"), found(r"Server Temp Key: (.*)"), found(r"Cipher is (\S+)"), found(r"alert ([a-z ]+)")


def variables(peer, name, **more):
    answer = one(peer, name, path="/vars", **more)
    return tuple(answer[:2]) + tuple(re.sub(r"^session_id=.*$", "", answer[-1], flags=re.M).split("\n"))


def resumed(peer, name, version, host=None, times=2, to=None):
    """How each of two more connections with the session of the first is answered; and has it an id?"""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    first, session = connect(peer, name, version=version, context=c, to=to)
    out = [first, bool(session and session.id), bool(session and session.has_ticket)]
    for _ in range(times):
        answer, _ = connect(peer, host or name, version=version, session=session, context=c, to=to) if session else (None, None)
        out.append(answer)
    return out


def carried(peer, version, cert, by, to):
    """How a session of one address is answered at another one whose server has the same name."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_cert_chain(pki.path(cert + ".crt"), pki.path(cert + ".key"))
    first, session = connect(peer, "same", version=version, context=c, to=peer.same[by])
    return first, connect(peer, "same", version=version, session=session, context=c, to=peer.same[to])[0] if session else None


def record_sizes(peer, name):
    """Of application data that the client gets for a large file."""
    said = s_client(peer, name, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-msg", "-quiet", text=b"GET /big HTTP/1.0\r\nHost: %s.test\r\n\r\n" % name.encode())
    sizes = [int(n, 16) for n in re.findall(r"<<< TLS 1\.2, RecordHeader \[length 0005\]\s+17 03 03 ((?:[0-9a-f]{2} ?){2})".replace("((?:[0-9a-f]{2} ?){2})", r"([0-9a-f]{2} [0-9a-f]{2})"), said) for n in [n.replace(" ", "")]]
    return max(sizes or [0])


def early(peer, path="/", to=None):
    """A request in early data, by openssl: is it taken, how is it answered, and what does $ssl_early_data say?"""
    session = site.path("session-" + peer.name)
    request = b"GET %s HTTP/1.1\r\nHost: early.test\r\nConnection: close\r\n\r\n" % path.encode()
    pki.file("early-data", request)
    args = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % (to or peer.early), "-servername", "early.test", "-tls1_3", "-ign_eof"]
    subprocess.run(args + ["-sess_out", session], input=request, capture_output=True, timeout=20)
    try:
        r = subprocess.run(args + ["-sess_in", session, "-early_data", site.path("early-data")], stdin=subprocess.DEVNULL, capture_output=True, timeout=3)
        said = r.stdout
    except subprocess.TimeoutExpired as e:  # rejected: it waits for a request
        said = e.stdout
    said = said.decode(errors="replace")
    return re.findall(r"Early data was (\w+)", said), re.findall(r"HTTP/1.1 (\d+)", said), re.findall(r"X-Early: (\S+)", said)


def plain_to_tls(peer, name):
    with socket.create_connection(("127.0.0.1", peer.port), 5) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: %s.test\r\n\r\n" % name.encode())
        r = http.client.HTTPResponse(s)
        r.begin()
        return r.status, re.findall(r"<center>([^<]*)</center>", r.read().decode())[0]


PROBES = {}


def probe(name, fn):
    PROBES[name] = fn


for name in SERVERS:
    probe("a request to " + name, lambda p, n=name: one(p, n))
for name in ("need", "may", "anyca", "nocaatall", "trusted", "depth", "crl", "pages"):
    for cert in (None, "client", "gone", "deep", "foreign"):
        probe("client %s to %s" % (cert, name), lambda p, n=name, c=cert: one(p, n, cert=c))
for version in (V12, V13):
    for cert in (None, "client"):
        probe("variables %s %s" % (version.name, cert), lambda p, v=version, c=cert: variables(p, "may", version=v, cert=c, alpn=["http/1.1"]))
probe("variables without alpn", lambda p: variables(p, "plain"))
probe("an alpn that nobody speaks", lambda p: one(p, "plain", alpn=["nonsense"]))
probe("alpn h2 and http/1.1", lambda p: variables(p, "plain", alpn=["h2", "http/1.1"]))
probe("ciphers that OpenSSL does not know", lambda p: s_client(p, "may", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA:NULL-SHA:@SECLEVEL=0", "-quiet", text=b"GET /vars HTTP/1.0\r\nHost: may.test\r\n\r\n").split("ciphers=")[-1].split("\n")[0])
for name in ("both", "twice", "locked", "plain", "nodhe"):
    for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"):
        probe("%s with %s" % (name, cipher), lambda p, n=name, c=cipher: shown(p, n, "-tls1_2", "-cipher", c))
probe("dhe", lambda p: shown(p, "dhe", "-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"))
for sigalgs in ("RSA-PSS+SHA256", "ECDSA+SHA256"):
    probe("both in TLS 1.3 with " + sigalgs, lambda p, s=sigalgs: shown(p, "both", "-tls1_3", "-sigalgs", s))
for groups in ("X25519", "P-384", "P-256:P-384", "P-521"):
    for name in ("curve", "plain"):
        probe("%s with group %s" % (name, groups), lambda p, n=name, g=groups: shown(p, n, "-groups", g))
for flag in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
    for name in ("plain", "old", "two", "three", "command"):
        probe("%s with %s" % (name, flag), lambda p, n=name, f=flag: shown(p, n, f, "-cipher", "ALL:@SECLEVEL=0"))
for name in ("prefer", "noprefer"):
    probe(name, lambda p, n=name: shown(p, n, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"))
for name in SOLO:
    for version in (V12, V13):
        probe("sessions of %s, %s" % (name, version.name), lambda p, n=name, v=version: resumed(p, n, v))
        probe("sessions of %s as the default, %s" % (name, version.name), lambda p, n=name, v=version: resumed(p, n, v, to=p.solo[n]))
probe("a session for another name", lambda p: resumed(p, "shared", V12, host="builtin"))
probe("a session for a name that verifies", lambda p: resumed(p, "plain", V12, host="may"))
probe("a session of the default taken to another", lambda p: resumed(p, "plain", V13, host="need"))
for version in (V12, V13):
    for cert, by, to in (("client", "same_ca", "same_ca"), ("client", "same_ca", "same_other"), ("foreign", "same_other", "same_ca"), ("client", "same_none", "same_ca"), ("client", "same_none", "same_none")):
        probe("a session of %s taken to %s, %s" % (by, to, version.name), lambda p, v=version, c=cert, b=by, t=to: carried(p, v, c, b, t))
    for name in ("first", "second"):
        probe("sessions of %s, whose default has a cache of its own, %s" % (name, version.name), lambda p, n=name, v=version: resumed(p, n, v, to=p.first))
probe("the size of records", lambda p: record_sizes(p, "small"))
probe("the size of records by default", lambda p: record_sizes(p, "plain"))
probe("early data", lambda p: early(p)[:2])  # nginx's $ssl_early_data depends on when the client's last message came
probe("no early data", lambda p: early(p, to=p.port))
probe("plain HTTP", lambda p: plain_to_tls(p, "plain"))
probe("an unknown name where the default rejects", lambda p: one(p, "unknown", to=p.other))
probe("a known one there", lambda p: one(p, "known", to=p.other))
probe("no name there", lambda p: one(p, "known", to=p.other, sni=False))
probe("a Host other than the name", lambda p: one(p, "plain", host="two.test"))
probe("a Host that verifies, other than the name", lambda p: one(p, "plain", host="need.test"))
probe("a Host that verifies, other than a name that does, too", lambda p: one(p, "may", cert="client", host="need.test"))
probe("a Host that verifies, without a name", lambda p: one(p, "plain", host="need.test", sni=False))
probe("the same with a name of capitals", lambda p: one(p, "NEED", cert="client", host="need.test"))
probe("a Host that is unknown, with a name that verifies", lambda p: one(p, "need", cert="client", host="what.test"))
probe("a Host with a port", lambda p: one(p, "need", cert="client", host="need.test:443"))
probe("an unknown name", lambda p: one(p, "unknown"))
probe("an unknown name, a Host that verifies", lambda p: one(p, "unknown", host="need.test"))
probe("an unknown name, a Host that verifies, with a certificate", lambda p: one(p, "unknown", cert="client", host="need.test"))

weir = Peer("weir")
site.write(http=weir.config)
with open(site.path("weir.conf")) as f:
    text = f.read().replace("worker_processes 2;", "worker_processes 1;", 1)
site.write(raw=text)
site.start()
ours = {name: fn(weir) for name, fn in PROBES.items()}

# Fixed outcomes, with and without nginx
equal(ours["a request to locked"][0], 200, "a key with a password")
equal(ours["a request to reject"], ("TLSV1_UNRECOGNIZED_NAME",), "ssl_reject_handshake for a name")
equal(ours["client gone to crl"][0], 400, "ssl_crl")
equal(early(weir), (["accepted"], ["200"], ["[1]"]), "early data")
equal(early(weir, "/late")[1], ["425"], "may be answered 425")
equal([a and a[1] for a in ours["sessions of shared as the default, TLSv1_2"][3:]], ["r", "r"], "a shared cache")
equal([a and a[1] for a in ours["sessions of tickets as the default, TLSv1_3"][3:]], ["r", "r"], "tickets by keys")

for version in (V12, V13):
    equal([a and a[:2] for a in resumed(weir, "nokey", version, to=weir.key)[3:]], [(200, "r"), (200, "r")], "tickets of a server without keys, whose default has some, " + version.name)
for version in (V12, V13):
    equal(ours["a session of same_other taken to same_ca, " + version.name][1][0], 400, "a certificate of another CA is not let in by a session, " + version.name)
    revoked = carried(weir, version, "gone", "same_ca", "same_crl")
    equal((revoked[0][0], revoked[1][0]), (200, 400), "nor a revoked one, " + version.name)

# Tickets over a reload: the second key becomes the first, a third comes; then the old one goes.
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_, session = connect(weir, "tickets", to=weir.solo["tickets"], version=V12, context=c)


def rotate(first, second):
    global text
    pid, text = site.workers(), re.sub(r"ssl_session_ticket_key \S+/t\d; ssl_session_ticket_key \S+/t\d;", "ssl_session_ticket_key @DIR@/%s; ssl_session_ticket_key @DIR@/%s;" % (first, second), text)
    site.write(raw=text)
    site.kill(signal.SIGHUP)
    ok(wait_for(lambda: site.workers() and not set(site.workers()) & set(pid), 20), "reloaded with " + first)


rotate("t3", "t1")
answer, renewed = connect(weir, "tickets", to=weir.solo["tickets"], version=V12, session=session, context=c)
equal(answer[1], "r", "a ticket of the key that is the second now")
rotate("t2", "t3")
equal(connect(weir, "tickets", to=weir.solo["tickets"], version=V12, session=session, context=c)[0][1], ".", "of one that has gone")
equal(connect(weir, "tickets", to=weir.solo["tickets"], version=V12, session=renewed, context=c)[0][1], "r", "of the one that was given for it")
equal(site.stop(), 0, "it ends")

site.write(http="server { listen 127.0.0.1:%d ssl http2; %s }" % (weir.port, EC))
r = site.run("-t")
ok(r.returncode == 1 and "HTTP/2" in r.stderr + r.stdout or "http2" in r.stderr, "listen ... http2 is answered clearly", r.stderr)

site.write(http="server { listen 127.0.0.1:%d ssl; ssl_certificate @DIR@/ec.pem; ssl_certificate_key engine:pkcs11:x; }" % weir.port)
r = site.run("-t")
ok(r.returncode == 1 and "name a file" in r.stderr, "so is a key of an engine", r.stderr)

if NGINX:
    folder = site.path("ng")
    os.makedirs(folder + "/logs")
    nginx = Peer("nginx")
    temps = " ".join("%s_temp_path %s/t;" % (what, folder) for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(site.path("nginx.conf"), "w") as f:
        f.write(("user root; daemon off; worker_processes 1; pid %s/logs/pid; error_log %s/logs/error.log; events {} http { access_log off; %s %s }" % (folder, folder, temps, nginx.config)).replace("@DIR@", site.dir))
    oracle = subprocess.Popen([NGINX, "-p", folder, "-c", site.path("nginx.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if ok(wait_for(lambda: "%04X 00000000:0000 0A" % nginx.port in open("/proc/net/tcp").read(), 10), "nginx runs"):
            for name, fn in PROBES.items():
                theirs = fn(nginx)
                if isinstance(theirs, tuple) and len(theirs) > 9:  # long ones line by line
                    ok(ours[name] == theirs, "as nginx: " + name, [pair for pair in zip(ours[name], theirs) if pair[0] != pair[1]])
                else:
                    equal(ours[name], theirs, "as nginx: " + name)
    finally:
        oracle.terminate()
        oracle.wait(10)
done()
