#!/usr/bin/env python3
"""accept_modes, short: thirteen servers, two crowds, kept and short connections, and nothing lost in any of them."""
import os, subprocess, sys
from wire import BUILD, done, equal, ok

p = subprocess.run([os.path.join(BUILD, "examples/accept_modes"), "short=1"], capture_output=True, text=True, timeout=170)
for line in p.stdout.splitlines():
    print("# " + line)
rows = [line.split() for line in p.stdout.splitlines()[1:-1]]
equal(len(rows), 2 + 4 * 3 * 4, "fifty measurements")
equal([r for r in rows if r[-1] != "0"], [], "nothing lost in any of them")
ok(all(float(r[4]) > 0 for r in rows), "requests were answered in each")
equal(p.returncode, 0, "and it says so")
done()
