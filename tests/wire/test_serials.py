#!/usr/bin/env python3
"""Connections have small numbers, and a signal to the whole group is an end, not a death."""
import os, re, signal

from weir_site import Site, WEIR, alive, pids_of_family, wait_for
from wire import done, equal, ok

site = Site(server="location = /x { return 200 '$connection'; } location /none { }", start=False)
first = [int(site.start() or site.get("/x")[1])]
numbers = [int(site.get("/x")[1]) for i in range(30)]
ok(all(1 <= n <= 60 for n in numbers), "$connection is a small number", str(numbers))
equal(len(set(numbers)), 30, "each its own, over both workers")
equal(numbers, sorted(numbers), "in the order in which they came")
site.get("/none")
ok(site.logged("open() \""), "an error is logged")
said = re.search(r": \*(\d+) open\(\)", site.log())
ok(said and numbers[-1] < int(said.group(1)) <= numbers[-1] + 3, "with the connection's number", site.log()[-300:])

# ---- TERM for everybody at once
for times in range(3):
    family = [site.pid()] + pids_of_family(site.pid())
    for pid in family[1:] + family[:1]:
        os.kill(pid, signal.SIGTERM)
    ok(wait_for(lambda: not any(alive(p) for p in family), 10), "TERM to all: all end")
    log = site.log()
    ok("died" not in log and "exited on signal" not in log, "and none is said to have died", "\n".join(l for l in log.splitlines() if "died" in l or "exited on signal" in l))
    if times < 2:
        site.process.wait(10)
        site.start()
done()
