"""Tests that wait more than they work, side by side: each function a process of its own, in a network namespace of its own.

The script is started again with the name of one test; what that says is told as if it had run here, in the order of the list.
"""
import concurrent.futures, subprocess, sys
from wire import ok

AT_ONCE = 6


def _one(name):
    return subprocess.run(["unshare", "-n", sys.executable, sys.argv[0], name], capture_output=True, text=True, timeout=200)


def _tell(name, lines, err):
    checks, ended = [], False
    for line in lines:
        word, _, rest = line.partition(" - ")
        if word.startswith(("ok ", "not ok ")):
            checks.append([word.startswith("ok "), rest, []])
        elif line.startswith("#   ") and checks:
            checks[-1][2].append(line[4:])
        ended = ended or line.startswith("1..")
    for good, said, detail in checks:
        ok(good, said, "\n".join(detail))
    if not ended:
        ok(False, name + ": it came to its end", err)


def side_by_side(tests, before):
    """Runs the tests; `before` is called first in each namespace. The caller ends with done()."""
    by_name = {t.__name__: t for t in tests}
    if len(sys.argv) > 1:
        before()
        return by_name[sys.argv[1]]()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [(name, pool.submit(_one, name)) for name in by_name]
        for name, run in runs:
            try:
                r = run.result()
                _tell(name, r.stdout.splitlines(), r.stderr)
            except subprocess.TimeoutExpired as e:
                ok(False, name + ": it ends in time", e.stdout or "")
