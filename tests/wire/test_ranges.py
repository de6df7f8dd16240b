#!/usr/bin/env python3
"""Range requests: hundreds of them, answered as nginx does."""
import os, random

from sites import HAVE_NGINX, NGINX, Site, folder, same
from wire import done, ok

CONF = """
server {
    listen 127.0.0.1:{port};
    root {root};
    location /none/ { alias {root}/; max_ranges 0; }
    location /two/ { alias {root}/; max_ranges 2; }
    location /charset/ { alias {root}/; charset utf-8; }
    location /type/ { alias {root}/; default_type ""; types {} }
    location /cached/ { alias {root}/; open_file_cache max=10; }
    location /return { return 200 "0123456789"; }
    location /gif { empty_gif; }
}
"""
SIZES = (0, 1, 10, 1000, 70000, 300000)


def values(rng, size):
    edge = [0, 1, 2, size // 2, max(size - 2, 0), max(size - 1, 0), size, size + 1, size * 3, 2 ** 31, 2 ** 63 - 1, 2 ** 63, 2 ** 64]
    num = lambda: str(rng.choice(edge + [rng.randrange(size + 2)] * 6))
    one = lambda: rng.choice(["%s-%s" % (num(), num()), "%s-" % num(), "-%s" % num(), "%s-%s" % tuple(sorted((rng.randrange(size + 1), rng.randrange(size + 1))))])
    blank = lambda s: "".join(rng.choice([c, c, c, " " + c, c + " "]) for c in s)
    for _ in range(60):
        yield "bytes=" + one()
        yield "bytes=" + ",".join(one() for _ in range(rng.randrange(2, 6)))
        yield "bytes=" + ", ".join("%d-%d" % (a, a + rng.randrange(max(size // 20, 1))) for a in sorted(rng.randrange(size + 1) for _ in range(rng.randrange(2, 6))))
    for v in ("bytes=", "bytes", "bytes=-", "bytes=a-b", "bytes=1", "bytes=1-2-3", "bytes=1--2", "bytes=,", "bytes=0-0,", "bytes=,0-0", "bytes = 0-1", "Bytes=0-1", "items=0-1", "bytes=0 -1",
              "bytes=0- 1", "bytes= 0-1", "bytes=0-1 ", "bytes=0-1;", "bytes=+1-2", "bytes=0x1-2", "bytes=-0", "bytes=0--1", "bytes=00-01", "", "=0-1", "bytes=5-2", "bytes=0-,0-", "bytes=0-0,0-0",
              "bytes=0-0,0-0,0-0", "bytes=0-0,-1", "bytes=-1,0-0", "bytes=" + ",".join("0-0" for _ in range(11))):
        yield v
    for _ in range(10):
        yield blank("bytes=" + one())


def requests(root):
    rng, out = random.Random(2), []
    for size in SIZES:
        name = "r%d.txt" % size
        for v in values(rng, size):
            out.append(("GET", "/" + name, "Range: " + v))
    tag = '"6553f100-3e8"'
    for v in ("bytes=0-9", "bytes=0-1,5-6", "bytes=-5", "bytes=5000-", "bytes=9-", "bytes=5-6,0-1", "bytes=0-1,4-5,8-9", "junk"):
        for t in ("/none/r1000.txt", "/two/r1000.txt", "/charset/r1000.txt", "/type/r1000.txt", "/cached/r1000.txt", "/cached/r300000.txt", "/return", "/gif", "/missing", "/", "/r1000"):
            out += [(m, t, "Range: " + v) for m in ("GET", "HEAD", "POST")]
        for c in ("Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:21 GMT", "nonsense", tag, "W/" + tag, '"x"', '"', "*"):
            out.append(("GET", "/r1000.txt", "Range: " + v, "If-Range: " + c))
        out += [("GET", "/r1000.txt", "Range: " + v, "If-None-Match: " + tag), ("GET", "/r1000.txt", "Range: " + v, 'If-Match: "x"'), ("GET", "/r1000.txt", "If-Range: " + tag)]
    return out


def main():
    root = folder()
    for size in SIZES:
        path = os.path.join(root, "r%d.txt" % size)
        with open(path, "wb") as f:
            f.write(random.Random(size).randbytes(size))
        os.utime(path, (1700000000, 1700000000))
    if not HAVE_NGINX:
        print("1..0 # SKIP nginx is not installed")
        return
    weir, nginx, todo = Site(CONF, root), Site(CONF, root, NGINX), requests(root)
    for turn in ("first", "again, from memory"):
        equal, wrong = same(nginx, weir, todo)
        for w in wrong[:15]:
            ok(False, w.split("\n")[0][:200], "\n".join(w.split("\n")[1:]))
        ok(not wrong, "%s: %d of %d answers are nginx's" % (turn, equal, len(todo)))
    nginx.stop()
    ok(weir.stop() == 0, "ends well", weir.text())
    ok("Sanitizer" not in weir.text() and "runtime error" not in weir.text(), "no complaint of a sanitizer", weir.text())
    done()


main()
