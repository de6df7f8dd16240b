#!/usr/bin/env python3
"""auth_basic, auth_request, auth_delay, satisfy: as nginx answers, without ever stopping the loop."""
import base64, hashlib, os, socket, subprocess, threading, time

from sites import HAVE_NGINX, NGINX, Site, folder
from wire import done, equal, ok

ROOT = folder()
for name in ("index.html", "a.txt"):
    with open(os.path.join(ROOT, name), "w") as f:
        f.write("in\n")
os.mkdir(ROOT + "/conf.d")


def openssl(*args):
    return subprocess.run(["openssl", "passwd", *args, "geheim"], capture_output=True, text=True).stdout.strip()


SALTED = base64.b64encode(hashlib.sha1(b"geheimsalz").digest() + b"salz").decode()
USERS = {"plain": "{PLAIN}geheim", "sha": "{SHA}" + base64.b64encode(hashlib.sha1(b"geheim").digest()).decode(), "ssha": "{SSHA}" + SALTED,
         "apr": openssl("-apr1"), "md5": openssl("-1"), "five": openssl("-5"), "six": openssl("-6"), "slow": openssl("-6", "-salt", "rounds=20000$abc")}
HTPASSWD = subprocess.run(["htpasswd", "-nbB", "-C", "11", "blow", "geheim"], capture_output=True, text=True).stdout.strip() if os.path.exists("/usr/bin/htpasswd") else ""
if HTPASSWD:
    USERS["blow"] = HTPASSWD.split(":")[1]
USERS = {k: v for k, v in USERS.items() if v and v != "<NULL>"}
FILE = ROOT + "/conf.d/users"
with open(FILE, "w") as f:
    f.write("# users\n" + "".join("%s:%s:a remark\n" % item for item in USERS.items()) + "broken:$9$x\nempty:\n")

CONF = """
  map $arg_off $realm { default "closed to $host"; 1 off; }
  map $arg_file $file { default {root}/conf.d/users; gone {root}/conf.d/none; }
  server { listen 127.0.0.1:{port}; root {root};
    location /basic { auth_basic "a realm"; auth_basic_user_file {root}/conf.d/users; try_files /index.html =404; }
    location /variable { auth_basic $realm; auth_basic_user_file $file; try_files /index.html =404; }
    location /outer { auth_basic x; auth_basic_user_file {root}/conf.d/users;
       location /outer/off { auth_basic off; try_files /index.html =404; } location /outer/on { try_files /index.html =404; } }
    location /nofile { auth_basic x; try_files /index.html =404; }
    location /any1 { satisfy any; deny all; auth_basic x; auth_basic_user_file {root}/conf.d/users; try_files /index.html =404; }
    location /any2 { satisfy any; allow all; auth_basic x; auth_basic_user_file {root}/conf.d/users; try_files /index.html =404; }
    location /all { deny all; auth_basic x; auth_basic_user_file {root}/conf.d/users; try_files /index.html =404; }
    location /late { auth_delay 300ms; auth_basic x; auth_basic_user_file {root}/conf.d/users; try_files /index.html =404; }
    location /ask { auth_request /sub; auth_request_set $who "by-$arg_as"; add_header X-Who $who always; try_files /index.html =404; }
    location = /sub { internal; if ($arg_s = 401) { add_header WWW-Authenticate 'Basic realm="sub"' always; return 401; } if ($arg_s) { return 403; } return 204; }
    location /ask401 { auth_request /s401; try_files /index.html =404; }
    location = /s401 { internal; add_header WWW-Authenticate 'Bearer x="1"' always; return 401; }
    location /ask403 { auth_request /s403; try_files /index.html =404; }
    location = /s403 { internal; return 403; }
    location /ask500 { auth_request /s302; try_files /index.html =404; }
    location = /s302 { internal; return 302 /x; }
    location /asknone { auth_request /nothing-there; try_files /index.html =404; }
    location /askoff { auth_request /s403; location /askoff/in { auth_request off; try_files /index.html =404; } }
    location /anyask { satisfy any; deny all; auth_request /sub; try_files /index.html =404; }
    location /chain { auth_request /guarded; try_files /index.html =404; }
    location = /guarded { auth_basic g; auth_basic_user_file {root}/conf.d/users; return 204; }
  }
"""
servers = ([Site(CONF, ROOT, binary=NGINX)] if HAVE_NGINX else []) + [Site(CONF, ROOT)]
mine = servers[-1]


def basic(user, password="geheim"):
    return "Authorization: Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def field(answer, name):
    return [line.split(": ", 1)[1] for line in answer[1].split("\r\n") if line.lower().startswith(name.lower() + ":")]


def short(answer):
    return answer[0], field(answer, "WWW-Authenticate"), field(answer, "X-Who"), answer[2][:20] if answer[0] == 200 else ""


def same(target, *fields, name=None):
    got = [short(s.ask(target, *fields)) for s in servers]
    ok(len(set(map(str, got))) == 1, "%s %s: %s as nginx" % (target, name or " ".join(fields)[:30], got[-1][:2]), got)
    return got[-1]


for user in USERS:
    equal(mine.ask("/basic", basic(user))[0], 200, "%s: the right password" % user)
    equal(mine.ask("/basic", basic(user))[0], 200, "%s: and again, remembered" % user)
    equal(mine.ask("/basic", basic(user, "geheimx"))[0], 401, "%s: a wrong one" % user)
    if user != "blow":
        same("/basic", basic(user), name=user)
equal(same("/basic")[:2], (401, ['Basic realm="a realm"']), "no credentials: a challenge")
for words in ("Authorization: Basic", "Authorization: Basic ====", "Authorization: Bearer abc", "Authorization: Basic !!!", "Authorization: basic " + basic("plain").split()[-1],
              "Authorization: Basic  " + basic("plain").split()[-1], basic("nobody"), basic("empty", ""), basic("plain", ""), basic("", "geheim"), basic("PLAIN"),
              "Authorization: Basic " + base64.b64encode(b"plain").decode(), basic("# users", "x")):
    same("/basic", words)
equal(mine.ask("/basic", basic("broken"))[0], 500, "a stored password that cannot be used is our mistake")
for target in ("/variable", "/variable?off=1", "/variable?file=gone", "/outer/off", "/outer/on", "/nofile", "/any1", "/any2", "/all", "/ask", "/ask401", "/ask403", "/ask500",
               "/asknone", "/askoff", "/askoff/in", "/anyask", "/chain"):
    same(target)
    same(target, basic("plain"))
    same(target, basic("plain", "wrong"), name="wrong password")
equal(mine.ask("/variable")[1].count('Basic realm="closed to localhost"'), 1, "a realm with variables")
equal(mine.ask("/ask")[0], 200, "auth_request lets in")
body = b"x" * 3000
with mine.connect() as s:
    s.sendall(b"POST /ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n" + body)
    ok(s.recv(100).startswith(b"HTTP/1.1 405"), "a request with a body is asked about without it")

# What is remembered is forgotten when the file changes.
equal(mine.ask("/basic", basic("apr"))[0], 200, "remembered")
with open(FILE, "w") as f:
    f.write("plain:{PLAIN}neu\n")
time.sleep(1.2)
equal(mine.ask("/basic", basic("apr"))[0], 401, "the user was taken out of the file")
equal(mine.ask("/basic", basic("plain"))[0], 401, "the old password does not work any more")
equal(mine.ask("/basic", basic("plain", "neu"))[0], 200, "the new one does")
with open(FILE, "w") as f:
    f.write("".join("%s:%s\n" % item for item in USERS.items()))
time.sleep(1.2)

# A delay delays refusals only.
t = time.time()
equal(mine.ask("/late", basic("plain"))[0], 200, "auth_delay: who may come in does")
ok(time.time() - t < 0.25, "at once")
t = time.time()
equal(mine.ask("/late", basic("plain", "x"))[0], 401, "who may not is told so")
ok(0.29 < time.time() - t < 1.5, "late", time.time() - t)
with mine.connect() as s:
    s.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.05)
equal(mine.ask("/late", basic("plain"))[0], 200, "a client that goes away while it waits leaves nothing behind")

# Slow formats on threads: meanwhile the loop answers others.
slow = "blow" if "blow" in USERS else "slow"
stop = time.time() + 1.5
counts = {"slow": 0, "statuses": set()}


def guess(n):
    i = 0
    while time.time() < stop:
        i += 1
        counts["statuses"].add(mine.ask("/basic", basic(slow, "wrong-%d-%d" % (n, i)), seconds=20)[0])
        counts["slow"] += 1


threads = [threading.Thread(target=guess, args=(n,)) for n in range(4)]
for t in threads:
    t.start()
worst, quick = 0, 0
time.sleep(0.1)
while time.time() < stop - 0.1:
    t = time.time()
    mine.ask("/a.txt")
    worst, quick = max(worst, time.time() - t), quick + 1
for t in threads:
    t.join()
ok(counts["statuses"] <= {401} and counts["slow"] > 0, "%d slow checks: all refused" % counts["slow"], counts)
ok(quick > 20 and worst < 0.5, "meanwhile %d others were answered, the slowest after %.0f ms" % (quick, worst * 1000))

# Checks that nobody waits for any more.
gone = []
for i in range(40):
    s = socket.create_connection(("127.0.0.1", mine.port))
    s.sendall(("GET /basic HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % basic(slow, "gone-%d" % i)).encode())
    gone.append(s)
for s in gone:
    s.close()
equal(mine.ask("/basic", basic("plain"), seconds=30)[0], 200, "clients that went away during a check")
log = mine.log()
if mine.binary != NGINX and "password mismatch" in log:
    ok('user "nobody" was not found in "%s"' % FILE in log, "the log knows who was not found")
    ok("geheim" not in log.replace("geheimx", ""), "and never says a password")
equal(mine.stop(), 0, "ends well")
done()
