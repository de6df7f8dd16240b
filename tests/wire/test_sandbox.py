#!/usr/bin/env python3
"""The sandbox: the program's own test of it, and what a worker in it can and cannot serve."""
import http.client, os, subprocess

from weir_site import WEIR, Site
from wire import done, equal, ok

r = subprocess.run([WEIR, "--selftest", "sandbox"], capture_output=True, text=True, timeout=60)
acts = [line for line in r.stdout.splitlines() if line.startswith("refused")]
if "Landlock" in r.stderr:
    ok(True, "# skipped: this kernel has no Landlock")
else:
    ok(r.returncode == 0 and len(acts) >= 25, "%d acts were tried and refused" % len(acts), r.stdout)

s = Site(server="location = /x { return 200 'hi'; } location /out/ { alias @DIR@/html/; }")
with open(s.path("html", "file"), "w") as f:
    f.write("in the root")
with open(s.path("secret"), "w") as f:
    f.write("outside")
os.chmod(s.path("secret"), 0o644)
os.symlink(s.path("secret"), s.path("html", "leak"))
equal(s.get("/out/file")[1], b"in the root", "a file in the root is served")
code, body = s.get("/out/leak")
ok(code in (403, 404) and b"outside" not in body, "a link that leads out of all roots is not", (code, body))
w = s.workers()[0]
text = open("/proc/%d/status" % w).read()
ok("Seccomp:\t2" in text and "NoNewPrivs:\t1" in text, "workers are confined", text)
equal(len(s.workers()), 2, "and none of them died of it")
s.stop()

s = Site(server="location = /x { return 200 'hi'; } location /out/ { alias @DIR@/html/; }", main="sandbox off;")
with open(s.path("secret"), "w") as f:
    f.write("outside")
os.symlink(s.path("secret"), s.path("html", "leak"))
equal(s.get("/out/leak")[1], b"outside", "sandbox off: the link is followed, as nginx does")
ok("Seccomp:\t0" in open("/proc/%d/status" % s.workers()[0]).read(), "and workers are not confined")
s.stop()

# sandbox_read and sandbox_write: links that lead out, to where workers may go nevertheless.
for more, read, written in (("", 403, 500), ("sandbox_read @DIR@/secret; sandbox_write @DIR@/else;", 200, 404)):
    s = Site(server="location /out/ { alias @DIR@/html/; } location /in/ { client_body_temp_path @DIR@/temp 1; client_body_in_file_only clean; mirror /none; } "
             "location = /none { internal; return 204; } location = /x { return 200 'hi'; }", main=more, start=False)
    for d in ("temp", "else"):
        os.mkdir(s.path(d))
        os.chmod(s.path(d), 0o777)
    for digit in range(10):
        os.symlink(s.path("else"), s.path("temp", str(digit)))
    with open(s.path("secret"), "w") as f:
        f.write("outside")
    os.symlink(s.path("secret"), s.path("html", "leak"))
    s.start()
    equal(s.get("/out/leak")[0], read, "reading outside with «%s»" % more)
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    c.request("POST", "/in/x", body=b"a body")
    equal(c.getresponse().status, written, "writing outside with «%s»" % more)
    s.stop()
done()
