#!/usr/bin/env python3
"""`ssl_certificate` with $ssl_server_name: read by workers, kept as ssl_certificate_cache says, and no name leads out of the directory."""
import os, re, shutil, socket, ssl, subprocess, time

from weir_site import Site, wait_for
from wire import BUILD, TOP, done, equal, free_port, ok

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
make("broken.test")
chain = site.path("keys", "broken.test.crt")
with open(chain) as f:
    good = f.read()
with open(chain, "a") as f:
    f.write(good.replace("\n", "\n!!", 3))
equal(serial("broken.test"), None, "a chain that is broken behind its first certificate is none")
conf = site.path("broken.conf")
with open(conf, "w") as f:
    f.write("events { } http { access_log off; server { listen 127.0.0.1:1 ssl; ssl_certificate %s; ssl_certificate_key %s; } }" % (chain, chain[:-3] + "key"))
told = subprocess.run([os.path.join(BUILD, "weir"), "-t", "-c", conf], capture_output=True, text=True).stderr
with open(conf, "w") as f:
    f.write("events { } http { access_log off; server { listen 127.0.0.1:1 ssl; ssl_certificate keys/one.test.crt; ssl_certificate_key keys/one.test.key;"
            "ssl_conf_command VerifyCAFile keys/one.test.crt; } }")
beside = subprocess.run([os.path.join(BUILD, "weir"), "-t", "-c", conf], capture_output=True, text=True, cwd="/").stderr
ok("test is successful" in beside, "a file of ssl_conf_command lies beside the configuration: " + beside.strip()[:200])
ok("PEM_read_bio_X509() failed" in told and "test failed" in told, "nor is it where the master reads it: " + told.strip()[:200])
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

serve("ssl_certificate_cache max=2 valid=1s inactive=1h;")
site.start()
first = serial("one.test")
make("one.test")
ok(wait_for(lambda: serial("one.test") not in (None, first), 10), "behind valid= it is read anew, however often it is used")
equal(site.stop(), 0, "it ends")
serve("ssl_certificate_cache max=2 valid=1h inactive=1s;")
site.start()
first = serial("one.test")
make("one.test")
time.sleep(2)
ok(serial("one.test") not in (None, first), "unused for the time of inactive= it has gone")
equal(site.stop(), 0, "it ends")

for bad, said in (("ssl_certificate_cache inactive=1s;", 'must have the "max" parameter'), ("ssl_certificate_cache max=0;", 'invalid parameter "max=0"')):
    serve(bad)
    r = site.run("-t")
    ok(r.returncode == 1 and said in r.stderr, "refused: " + bad, r.stderr)

# ---- other variables: maps, the connection's own, data:, several types of key; and nginx, where it is installed, on the same configuration
def pem(name):
    with open(os.path.join(keys, name)) as f:
        return f.read()


subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-out", "rsa.crt", "-days", "2", "-subj", "/CN=rsa"], cwd=keys, check=True, stderr=subprocess.DEVNULL)
os.chmod(os.path.join(keys, "rsa.key"), 0o644)
rows = set()
for folder, _, files in os.walk(os.path.join(TOP, "weir")):
    for name in files:
        if name.endswith(".c"):
            with open(os.path.join(folder, name)) as f:
                rows.update(re.findall(r'\{"([a-z0-9_]+)",\s+(?:get_|web_var_|[a-z]+_get)', f.read()))
kinds = {
    "map": ("$by_name.crt", "$by_name.key"), "relative": ("keys/$short.crt", "keys/$short.key"), "port": ("@DIR@/keys/port$is_right.crt", "@DIR@/keys/port$is_right.key"),
    "data": ("data:$cert_text", "data:$key_text"), "addr": ("@DIR@/keys/$remote_addr.crt", "@DIR@/keys/$server_addr.key"), "mixed": ("@DIR@/keys/one.test.crt", "@DIR@/keys/$short.key"),
    "request": ("@DIR@/keys/one$http_host$arg_x$http_cookie$uri.test.crt", "@DIR@/keys/one$request_uri.test.key"), "empty": ("$nothing", "$nothing"), "up": ("@DIR@/keys/$up/one.test.crt", "@DIR@/keys/one.test.key"),
    "written": ("@DIR@/keys/../keys/$short.crt", "@DIR@/keys/$short.key"),
}
make("127.0.0.1")
shutil.copy(os.path.join(keys, "one.test.crt"), os.path.join(keys, "port1.crt"))
shutil.copy(os.path.join(keys, "one.test.key"), os.path.join(keys, "port1.key"))


def config(where):
    text = "map $ssl_server_name $by_name { default %s/two.test; map.test %s/one.test; } map $ssl_server_name $short { default one.test; }" % (keys, keys)
    text += 'map $server_port $is_right { default 0; %d 1; } map $ssl_server_name $nothing { default ""; } map $ssl_server_name $up { default "../keys"; }' % where
    text += 'map $ssl_server_name $cert_text { default "%s"; } map $ssl_server_name $key_text { default "%s"; }' % (pem("one.test.crt"), pem("one.test.key"))
    server = "server { listen 127.0.0.1:%d ssl; server_name %%s.test; ssl_certificate %%s; ssl_certificate_key %%s; %%s }\n" % where
    for name, (cert, key) in kinds.items():
        text += server % (name, cert, key, "")
    two = "ssl_certificate @DIR@/keys/%srsa.crt; ssl_certificate_key @DIR@/keys/%srsa.key;"
    text += server % ("both", "@DIR@/keys/$short.crt", "@DIR@/keys/$short.key", two % ("${nothing}", "${nothing}"))
    text += server % ("half", "@DIR@/keys/$short.crt", "@DIR@/keys/$short.key", two % ("", ""))
    return text


rows -= {"limit_rate", "binary_remote_addr"}  # the latter has NULs: no path, no PEM
unknown = [""]
while unknown:  # a few rows are of other tables
    rows.discard(unknown[0])
    everything = "".join("${%s}" % (name + ("x" if name.endswith("_") else "")) for name in sorted(rows))
    site.write(main="sandbox_read %s;" % keys, http=config(port) +
               'server { listen 127.0.0.1:%d ssl; server_name all.test; ssl_certificate "data:%s$nothing%s"; ssl_certificate_key @DIR@/keys/one.test.key; }' % (port, pem("one.test.crt"), everything))
    unknown = re.findall(r'unknown "(\w+)" variable', site.run("-t").stderr)
ok(len(rows) > 90, "all variables have been found", len(rows))
ng_port = free_port()
site.start()


def name_of(name, to, *more):
    r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % to, "-servername", name + ".test"] + list(more), stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    found = re.search(rb"subject=CN ?= ?(\S+)", r.stdout)
    return found.group(1).decode() if found else None


want = {"map": "one.test", "relative": "one.test", "port": "one.test", "data": "one.test", "addr": "127.0.0.1", "mixed": "one.test", "request": "one.test", "empty": None, "up": None, "written": "one.test"}
for name in kinds:
    equal(name_of(name, port), want[name], "named by variables: " + name)
equal(name_of("all", port), "one.test", "every variable there is can be asked for")
for name in ("both", "half"):
    equal([name_of(name, port, "-tls1_2", "-cipher", c) for c in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")], ["one.test", "rsa"], "two types of key: " + name)
ok("PRIVATE" not in site.log(), "no key is logged")
equal(site.stop(), 0, "it ends")

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
if NGINX:
    folder = site.path("ng")
    os.makedirs(folder + "/logs")
    with open(site.path("nginx.conf"), "w") as f:
        f.write(("daemon off; worker_processes 1; pid %s/logs/pid; error_log %s/logs/error.log; events {} http { access_log off; %s %s }" % (
            folder, folder, " ".join("%s_temp_path %s/t;" % (what, folder) for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")), config(ng_port))).replace("@DIR@", site.dir))
    oracle = subprocess.Popen([NGINX, "-p", folder, "-c", site.path("nginx.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if ok(wait_for(lambda: "%04X 00000000:0000 0A" % ng_port in open("/proc/net/tcp").read(), 10), "nginx runs"):
            for name in kinds:
                equal(name_of(name, ng_port), "one.test" if name == "up" else want[name], "nginx shows the same: " + name)
    finally:
        oracle.terminate()
        oracle.wait(10)
done()
