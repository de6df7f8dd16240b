#!/usr/bin/env python3
"""allow and deny: who comes in by address, by which rule, and what a block inherits; as nginx answers."""
import os

import sites
from sites import HAVE_NGINX, NGINX, Site, folder
from wire import done, equal, ok

ROOT = folder()
for name in ("index.html", "x.txt", "post"):
    with open(os.path.join(ROOT, name), "w") as f:
        f.write("in\n")

CASES = {
    "/open": "", "/none": "deny all;", "/all": "allow all;", "/me": "allow 127.0.0.1; deny all;", "/net": "allow 127.0.0.0/8; deny all;",
    "/other": "allow 10.0.0.0/8; deny all;", "/order": "allow all; deny all;", "/order2": "deny all; allow all;", "/but": "deny 127.0.0.1; allow all;",
    "/odd": "allow 127.0.0.1/25; deny all;", "/last": "deny 127.0.0.0/32;", "/six": "deny ::1; deny ::/0;", "/mapped": "deny ::ffff:127.0.0.1;",
    "/unix": "allow unix:; deny all;", "/notunix": "deny unix:;", "/zero": "deny 0.0.0.0/0;", "/any": "satisfy any; deny all; allow all;",
}
conf = "server { listen 127.0.0.1:{port}; listen [::1]:{port}; root {root};"
conf += "".join("location = %s.html { try_files /index.html =404; }\n location = %s { %s try_files /index.html =404; }\n" % (u, u, rules) for u, rules in CASES.items())
conf += """
    location /outer/ { deny all; location /outer/same { try_files /index.html =404; } location /outer/own { allow 127.0.0.1; try_files /index.html =404; } }
    location /except { limit_except GET { deny all; } try_files /index.html =404; }
    location /page { deny all; error_page 403 = /index.html; }
}"""
conf = conf.replace("listen [::1]:{port};", "") if not os.path.exists("/proc/net/if_inet6") else conf
servers = ([Site(conf, ROOT, binary=NGINX)] if HAVE_NGINX else []) + [Site(conf, ROOT)]
mine = servers[-1]

want = {"/open": 200, "/none": 403, "/all": 200, "/me": 200, "/net": 200, "/other": 403, "/order": 200, "/order2": 403, "/but": 403, "/odd": 200, "/last": 200,
        "/six": 200, "/unix": 403, "/notunix": 200, "/zero": 403, "/any": 403}
for uri, status in want.items():
    equal(mine.ask(uri)[0], status, "%s { %s }" % (uri, CASES[uri]))
more = ["/outer/same", "/outer/own", "/page"]
# A mapped network holds the IPv4 addresses that it maps: /mapped is refused here and let in by nginx.
equal(mine.ask("/mapped")[0], 403, "deny of a mapped address")
for uri in [u for u in CASES if u != "/mapped"] + more:
    got = [s.ask(uri) for s in servers]
    ok(len(got) == 1 or (got[0][0], got[0][2][:40]) == (got[1][0], got[1][2][:40]) or got[0][0] == got[1][0] >= 400, "%s: as nginx" % uri, got)
for method in ("GET", "HEAD", "POST", "PUT"):
    got = [s.ask("/except", method=method)[0] for s in servers]
    ok(len(set(got)) == 1 and (got[-1] == 403) == (method not in ("GET", "HEAD")), "limit_except GET: %s is %s" % (method, got[-1]), got)

def refused(conf):
    import subprocess
    d = folder()
    with open(os.path.join(d, "c"), "w") as f:
        f.write("events {} http { server { listen 127.0.0.1:1; %s } }" % conf)
    r = subprocess.run([mine.binary, "-t", "-p", d, "-c", d + "/c"], capture_output=True, text=True)
    return r.returncode, r.stderr + r.stdout


for rule, words in (("allow 1.2.3.4/33;", 'invalid parameter "1.2.3.4/33"'), ("deny everybody;", 'invalid parameter "everybody"'), ("allow;", "number of arguments"),
                    ("deny 1.2.3;", "invalid parameter")):
    code, text = refused(rule)
    ok(code != 0 and words in text, "refused: %s" % rule, text)
code, text = refused("allow 10.1.2.3/8;")
ok(code == 0 and "low address bits of 10.1.2.3/8 are meaningless" in text, "a slip of the pen is warned of", text)
done()
