#!/usr/bin/env python3
"""fork_lock and signals: what goes wrong by hand, and how it goes here."""
import os, signal, subprocess, time
from wire import BUILD, done, equal, ok

p = subprocess.run([os.path.join(BUILD, "examples/fork_lock")], capture_output=True, text=True, timeout=30)
equal(p.returncode, 0, "fork_lock: as expected")
equal(p.stdout.count("yes: "), 3, "fork_lock: three scenes")
ok("a child would inherit locks" in p.stderr, "fork_lock: the refusal is a sentence", p.stderr)

p = subprocess.Popen([os.path.join(BUILD, "examples/signals")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
first = p.stdout.readline()
ok("at work in 2 threads" in first, "signals: at work", first)
for i in range(40):
    p.send_signal((signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2)[i % 3])
    time.sleep(0.01)
p.send_signal(signal.SIGTERM)
out = p.communicate(timeout=10)[0]
taken = out.count("taken by the main thread")
ok(20 < taken <= 41 and "ANOTHER" not in out, "signals: %d of 41 came one by one, all to the main thread" % taken, out)
ok("from %d" % os.getpid() in out, "signals: and who sent them")
equal(p.returncode, 0, "signals: SIGTERM ends it in order")
last = out.splitlines()[-1]
ok(last.endswith(" 0 sleeps interrupted") and int(last.split(", ")[1].split()[0]) > 10, "signals: " + last)
done()
