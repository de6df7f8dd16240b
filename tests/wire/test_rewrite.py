#!/usr/bin/env python3
"""Rewriting: what is written to the log, what differs from nginx on purpose, what is refused at load; and the same few hundred
requests to both where they must agree."""
import itertools, os, socket, subprocess, time

from sites import HAVE_NGINX, NGINX, Site, folder
from wire import BUILD, done, equal, ok

ROOT = folder()
os.mkdir(os.path.join(ROOT, "in"))
for name in ("a.txt", "in/b.txt"):
    with open(os.path.join(ROOT, name), "w") as f:
        f.write(name + "\n")
with open(os.path.join(os.path.dirname(ROOT), "outside-%d" % os.getpid()), "w") as f:
    f.write("secret\n")
OUTSIDE = f.name

CONF = r"""
map $arg_m $map { default "";  ~^(?<m1>\w)(\w) $m1; }
server {
    listen 127.0.0.1:{port}; root {root}; default_type text/plain;
    rewrite_log on;
    set $from server;
    if ($arg_s ~ ^(\w+)-(\w+)$) { set $from $2-$1; }
    rewrite ^/pre/(.*)$ /show/$1;
    location /show/ { return 200 "$uri|$args|$from|$map|$1\n"; }
    location /last/ { rewrite ^/last/([^/]+)/(.*)$ /show/$2?one=$1 last; }
    location /twice/ { rewrite ^/twice(.*)$ /last/x$1 last; }
    location /drop/ { rewrite ^/drop/(.*)$ /show/$1? last; }
    location /redirect/ { rewrite ^/redirect/(.*)$ /there/$1?q=$1 redirect; }
    location /permanent/ { rewrite (?s)^/permanent/(.*)$ http://x.test/$1 permanent; }
    location /if/ { if ($request_method = POST) { return 405; } if ($http_x_a) { set $from "$from,$http_x_a"; } rewrite ^/if/(.*)$ /show/$1; }
    location /break/ { rewrite ^/break/(.*)$ /$1 break; }
    location /loop { rewrite ^ /loop last; }
    location /444 { return 444; }
    location /up { rewrite ^ $arg_f break; }
    location /alias/ { alias {root}/; rewrite ^/alias/up(.*)$ /alias/$1 break; }
    location /split { return 302 $uri; }
    location /splitargs { return 302 http://x.test/$arg_u; }
    location /unset { if ($arg_never) { set $never 1; } return 200 "[$never]\n"; }
    location /text { return 200 "$uri\n"; }
    location /code { return 410; }
    location /bytes { types { } default_type application/x-own; return 201 "created\n"; }
}"""
servers = ([Site(CONF, ROOT, binary=NGINX)] if HAVE_NGINX else []) + [Site(CONF, ROOT)]
mine = servers[-1]


def answer(site, target, *fields, method="GET"):
    status, head, body = site.ask(target, *fields, method=method)
    lines = sorted(l.split(": ", 1)[1].replace(str(site.port), "PORT") for l in head.split("\r\n") if l.lower().startswith(("location:", "content-type:")))
    return status, lines, body if status < 300 else b""


places = ["show", "pre", "last/x", "twice/y", "drop", "redirect", "permanent", "if", "alias", "none"]
tails = ["a", "a/b", "a%20b", "a+b", "a%2Fb", "a%25b", "%D1%8E", "a;b", "a=b", "~a", "a%26b", "", "a//b", "a/./b", "a/../b", "%41"]
queries = ["", "?x=1", "?s=l-r", "?m=ab&x=%20"]
wrong = total = 0
for place, tail, query in itertools.product(places, tails, queries):
    target = "/%s/%s%s" % (place, tail, query)
    got = [answer(s, target) for s in servers]
    total += 1
    if len(got) == 2 and got[0] != got[1]:
        wrong += 1
        ok(False, "GET " + target, "nginx %r\nweir  %r" % tuple(got))
equal(wrong, 0, "%d answers are nginx's" % total)
for target, fields, method in (("/if/x", (), "POST"), ("/if/x", ("X-A: 1",), "GET"), ("/code", (), "GET"), ("/bytes", (), "GET"), ("/text", (), "HEAD"), ("/loop", (), "GET"),
                               ("/break/a.txt", (), "GET"), ("/break/in/b.txt", (), "GET"), ("/break/none", (), "GET"), ("/unset", (), "GET")):
    got = [answer(s, target, *fields, method=method) for s in servers]
    ok(len(got) == 1 or got[0] == got[1], "%s %s" % (method, target), got)

# What weir does by itself.
equal(answer(mine, "/show/x?s=one-two")[2], b"/show/x|s=one-two|two-one||\n", "captures of the server's if")
status, head, body = mine.ask("/up?f=/../" + os.path.basename(OUTSIDE))
ok(status == 400 and b"secret" not in body, "a rewritten path does not leave the root", (status, body))
status, head, body = mine.ask("/alias/up../" + os.path.basename(OUTSIDE))
ok(b"secret" not in body, "nor one made of halves", (status, body))
status, head, body = mine.ask("/split%0d%0aSet-Cookie:%20a=b")
ok("Set-Cookie" not in [l.split(":")[0] for l in head.split("\r\n")], "a redirect is one field", head)
ok("/split%0D%0ASet-Cookie" in head, "with its control bytes encoded", head)
status, head, body = mine.ask("/permanent/%0d%0aX-B:%201")
ok("\r\nX-B" not in head and status == 301, "the same by rewrite", head)
with mine.connect() as s:
    s.sendall(b"GET /444 HTTP/1.1\r\nHost: a\r\n\r\n")
    equal(s.recv(100), b"", "444 closes and says nothing")
fresh = Site(CONF, ROOT)  # lines of one kind that come too fast are counted, not written
for target in ("/pre/a", "/unset", "/loop", "/up?f=/../x", "/redirect/x"):
    fresh.ask(target)
end = time.time() + 8
while "rewritten redirect" not in fresh.log() and time.time() < end:
    time.sleep(0.05)
log = fresh.log()
for words in ('using uninitialized "never" variable', 'rewritten data: "/show/a", args: ""', '"^/pre/(.*)$" matches "/pre/a"', '"^/pre/(.*)$" does not match "/unset"',
              "rewrite or internal redirection cycle", 'leaves the root', 'rewritten redirect: "'):
    ok(words in log, "the log has: %s" % words, log[-500:])


def refused(inside):
    d = folder()
    with open(os.path.join(d, "c"), "w") as f:
        f.write("events {} http { server { listen 127.0.0.1:1; location / {\n%s\n} } }" % inside)
    r = subprocess.run([mine.binary, "-t", "-p", d, "-c", d + "/c"], capture_output=True, text=True)
    return r.returncode, r.stderr + r.stdout


for inside, words in (("return;", "number of arguments"), ("return 99999;", 'invalid return code "99999"'), ("return abc;", 'invalid return code "abc"'), ("set x 1;", 'invalid variable name "x"'),
                      ("set $uri /;", 'the duplicate "uri" variable'), ("rewrite ^(/ /x;", "pcre2_compile() failed: missing closing parenthesis"), ("rewrite ^ /x wrong;", 'invalid parameter "wrong"'),
                      ("if ($uri) return 200;", "if"), ("if ($uri = a b) { }", "invalid condition"), ("if (a = b) { }", "invalid condition"), ("if (-q /) { }", "invalid condition"),
                      ("return 200 $nothing;", 'unknown "nothing" variable'), ("return 200 $;", "invalid variable name"), ("return 200 ${uri;", "the closing bracket in"),
                      ("if ($uri ~ [) { }", "pcre2_compile() failed"), ("if ($uri) { if ($args) { } }", '"if" directive is not allowed here'), ("break 1;", "number of arguments")):
    code, text = refused(inside)
    ok(code != 0 and words in text and "c:2" in text, "refused: %s" % inside, text)
os.unlink(OUTSIDE)
done()
