"""Rounds of one worker each whose n-th allocation is refused, for many n: every request is asked, then those behind the refused allocation,
then a reload ends the worker, which says what it lost. Builds with debug_asserts only: the others have no such switch."""
import os, re, signal, sys, time

from weir_site import wait_for
from wire import done, equal, ok


def arm(seconds):
    """For what is started from now on; how long to go on. DROUGHT=FIRST,STEP,SECONDS says it otherwise."""
    first, step, seconds = [int(n) for n in os.environ.get("DROUGHT", "1,3,%d" % seconds).split(",")]
    os.environ["WEIR_REFUSE"] = "%d,%d" % (first, step)
    return seconds


def droughts(site):
    return [tuple(map(int, m)) for m in re.findall(r"drought: nth=(\d+) refused=(\d+) objects=(\d+) bytes=(\d+)", site.log())]


def reload(site, n):
    before = len(droughts(site))
    site.kill(signal.SIGHUP)
    return wait_for(lambda: len(droughts(site)) > before, n)


def run(site, seconds, ask_all, ask_again, what):
    """ask_all() gives those that hung and how many were not served; ask_again() whether each of its own was. what: what is asked, for the names."""
    if not reload(site, 5 if "asan" not in os.environ.get("WEIR_BUILD", "") else 20):
        print("1..0 # SKIP not a build with debug_asserts")
        sys.exit(0)
    hung, silent, lost, rounds, end = [], [], 0, 0, time.time() + seconds
    while time.time() < end and not hung and not silent:
        rounds += 1
        hung, more = ask_all()
        lost += more
        after = ask_again()
        if after.count(False) > 1:  # one may be the one that was refused
            silent.append((rounds, after))
        if not reload(site, 20):
            ok(False, "a worker leaves", site.log()[-400:])
            break
    seen = droughts(site)
    equal(hung, [], "no %s hangs" % what)
    equal(silent, [], "the %ss behind the refused allocation are served" % what)
    fired = [d for d in seen if d[1] == 1]
    ok(len(fired) >= min(rounds, 5), "%d workers, %d were refused something, %d %ss suffered" % (len(seen), len(fired), lost, what))
    equal([d for d in seen if d[2]], [], "no worker leaks")
    equal(site.stop(), 0, "it ends")
    done()
