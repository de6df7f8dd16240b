#!/usr/bin/env python3
"""A staple that ends soon: the next one is fetched before that and sent without a gap, none after its end; a responder that
dies is said once and counted, and costs the staple only when it has ended."""
import calendar, re, subprocess, time

from ocsp_kit import Pki, Responder
from weir_site import Site, wait_for
from wire import done, equal, free_port, ok

LIFE = 8
site = Site(start=False)
pki = Pki(site.dir)
port = free_port()
pki.make_ca("ca")
pki.make_cert("x", "10")
pki.readable()
dead = False


def say(kind, request):
    now = int(time.time())
    return b"no" if dead else pki.retimed(pki.answer(request), now - 1, now + LIFE)


web = Responder(say)
site.write(http="""server { listen 127.0.0.1:%d ssl; server_name x.test; ssl_certificate @DIR@/x.pem; ssl_certificate_key @DIR@/x.key;
    ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate @DIR@/ca.crt; ssl_stapling_responder %s; }""" % (port, web.url("short")))
with open(site.path("weir.conf")) as f:
    site.write(raw=f.read().replace("worker_processes 2;", "worker_processes 1;", 1))


def staple():
    """When the staple ends (seconds), None without one; since when it was asked for, and when it had come."""
    since = time.time()
    r = subprocess.run(["openssl", "s_client", "-status", "-connect", "127.0.0.1:%d" % port, "-servername", "x.test"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    found = re.search(r"Next Update: (.*) GMT", r.stdout.decode(errors="replace"))
    return calendar.timegm(time.strptime(found.group(1), "%b %d %H:%M:%S %Y")) if found else None, since, time.time()


site.start()
staple()
ok(wait_for(lambda: staple()[0], 20), "it is stapled", site.log())
n = web.count("short")
ok(wait_for(lambda: web.count("short") > n, 2 * LIFE), "the next one is fetched though nobody asks")

seen, gaps, old = set(), 0, 0
began = time.time()
while time.time() - began < 3 * LIFE:
    end, since, _ = staple()
    seen.add(end)
    gaps += end is None
    old += end is not None and end < int(since)
    time.sleep(0.2)
equal((gaps, old), (0, 0), "for three lives of a staple there is always one, and never one that has ended")
ok(len(seen) >= 3, "they are renewed", seen)

dead = True
last = staple()[0]
ends, after = [], []
while time.time() < last + 2 * LIFE and len(after) < 3:
    end, since, came = staple()
    last = end or last
    if came < last:
        ends.append(end)
    elif since >= last:
        after.append(end)
    time.sleep(0.2)
ok(ends and all(ends), "when the responder has died the last one is sent until its end", (ends, after))
ok(after and not any(after), "and none behind it", (ends, after))
lines = [line for line in site.log().splitlines() if "while requesting certificate status" in line]
equal(len(lines), 1, "which is said once")
metrics = site.admin("/metrics")[1]
failed = sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("weir_ocsp_failed_total"))
ok(failed >= 1, "and counted", failed)
ok("ocsp" in site.admin("/status")[1], "on the status page, too", site.admin("/status")[1][:600])
equal(site.stop(), 0, "it ends")
done()
