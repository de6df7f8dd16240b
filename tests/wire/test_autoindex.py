#!/usr/bin/env python3
"""Lists of directories: byte for byte nginx's; big ones keep nobody waiting."""
import atexit, os, random, shutil, tempfile, threading, time

from sites import HAVE_NGINX, NGINX, Site, folder, same
from wire import done, ok

CONF = """
server {
    listen 127.0.0.1:{port};
    root {root};
    autoindex on;
    keepalive_requests 1000000;
    location /x/ { alias {root}/; autoindex_format xml; }
    location /j/ { alias {root}/; autoindex_format json; }
    location /p/ { alias {root}/; autoindex_format jsonp; }
    location /s/ { alias {root}/; autoindex_exact_size off; }
    location /l/ { alias {root}/; autoindex_localtime on; }
    location /u/ { alias {root}/; charset utf-8; }
    location /off/ { alias {root}/; autoindex off; }
    location /strict/ { alias {root}/; disable_symlinks on; }
    location /random/ { alias {root}/few/; random_index on; }
    location /fine { return 200 fine; }
    location /many/ { alias {many}/; }
    location /one-of-many/ { alias {many}/; random_index on; }
    location /none/ { alias {root}/empty/; random_index on; }
}
"""
MANY = 140000


def odd_name(rng):
    pool = ["a", "B", "7", " ", "%", "&", "<", ">", '"', "'", "?", "#", ":", ";", "+", "=", "\\", "\u00e4", "\u20ac", "\U0001f600", "\x01", "\n", "\x7f", "~", "[", "]", "."]
    n = rng.choice([1, 2, 5, 20, 45, 46, 47, 48, 49, 50, 51, 52, 53, 60])
    name = "".join(rng.choice(pool if rng.randrange(3) == 0 else pool[:3]) for _ in range(n))
    while len(name.encode()) > 250:
        name = name[:-1]
    return name if name not in (".", "..") else "dots"


def make_tree(root):
    rng = random.Random(3)
    for d in ("odd", "sizes", "few", "empty", "kinds"):
        os.mkdir(os.path.join(root, d))
    for i in range(150):
        path = os.path.join(root, "odd", odd_name(rng))
        if os.path.lexists(path):
            continue
        if rng.randrange(4) == 0:
            os.mkdir(path)
        else:
            with open(path, "w") as f:
                f.write("x" * i)
    with open(os.path.join(root.encode(), b"odd", b"bad\xff\xfe-utf8\xc3"), "w") as f:
        f.write("y")
    for n in [0, 1, 999, 9998, 9999, 10000, 10239, 10240, 10241, 10751, 10752, 1024 * 1000, 1048575, 1048576, 1572863, 1572864, 1 << 30, (1 << 30) - 1, 3 << 29, (3 << 29) - 1, 1 << 40]:
        with open(os.path.join(root, "sizes", "n%d" % n), "w") as f:
            f.truncate(n)
    for n in ("one", "two", "three"):
        with open(os.path.join(root, "few", n), "w") as f:
            f.write(n)
    k = os.path.join(root, "kinds")
    os.mkfifo(os.path.join(k, "fifo"))
    os.symlink("fifo", os.path.join(k, "to-fifo"))
    os.symlink("../few", os.path.join(k, "to-dir"))
    os.symlink("../few/one", os.path.join(k, "to-file"))
    os.symlink("nowhere", os.path.join(k, "dangling"))
    os.symlink("loop", os.path.join(k, "loop"))
    os.mkdir(os.path.join(k, ".hidden"))
    os.mkdir(os.path.join(root, "closed"), 0o700)
    rng2 = random.Random(4)
    for base, dirs, files in os.walk(root):
        for name in files + dirs:
            t = rng2.randrange(0, 2 ** 32)
            os.utime(os.path.join(base, name), (t, t), follow_symlinks=False)


def test_same(root, weir):
    if not HAVE_NGINX:
        ok(True, "nginx is not installed: nothing to compare with # SKIP")
        return
    nginx = Site(CONF.replace("{many}", root), root, NGINX)
    todo = []
    for prefix in ("", "/x", "/j", "/p", "/s", "/l", "/u", "/off", "/strict"):
        for d in ("/", "/odd/", "/sizes/", "/few/", "/empty/", "/kinds/", "/closed/", "/none/", "/kinds/to-dir/", "/few", "/few/one/"):
            todo += [("GET", prefix + d), ("HEAD", prefix + d), ("POST", prefix + d), ("PUT", prefix + d)]
    todo = [t for t in todo if t[1] != "/u/few"]
    todo += [("GET", "/p/%s?callback=%s" % (d, c)) for d in ("few/", "empty/", "odd/") for c in ("cb", "a.b.c", "", "x%20y", "<script>", "a&callback=b")]
    equal, wrong = same(nginx, weir, todo)
    for w in wrong[:15]:
        ok(False, w.split("\n")[0], "\n".join(w.split("\n")[1:]))
    ok(not wrong, "%d of %d answers are nginx's" % (equal, len(todo)))
    nginx.stop()


def test_big(root, weir):
    """30,000 names: while the list is made, others are answered."""
    big = os.path.join(root, "big")
    os.mkdir(big)
    for i in range(30000):
        os.close(os.open(os.path.join(big, "file-%05d-with-a-name-of-some-length.txt" % i), os.O_CREAT | os.O_WRONLY, 0o644))
    worst, stop, result = [0.0], [], []

    def lists():
        for _ in range(3):
            result.append(weir.ask("/big/", seconds=30))
        stop.append(1)

    t = threading.Thread(target=lists)
    t.start()
    while not stop:
        began = time.time()
        weir.ask("/fine")
        worst[0] = max(worst[0], time.time() - began)
    t.join()
    ok(all(r[0] == 200 and r[2].count(b"\r\n") == 30006 for r in result), "30,000 names, all of them", [r[2].count(b"\r\n") for r in result])
    ok(worst[0] < 0.25, "others wait at most %.0f ms meanwhile" % (worst[0] * 1000))
    fds = weir.fds()
    for _ in range(20):  # clients that leave in the middle
        s = weir.connect()
        s.sendall(b"GET /big/ HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(random.random() / 50)
        s.close()
    end = time.time() + 60
    while weir.fds() > fds and time.time() < end:
        time.sleep(0.05)
    ok(weir.fds() <= fds and weir.ask("/fine")[0] == 200, "clients that leave in the middle leave nothing behind", (fds, weir.fds()))


def make_many():
    """A directory of MANY names, in memory where that can be."""
    d = tempfile.mkdtemp(prefix="weir-many-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    atexit.register(shutil.rmtree, d, True)
    os.chmod(d, 0o755)
    for i in range(MANY):
        name = "%s/file-%06d" % (d, i * 7919 % MANY)
        if i % 30000 == 0:  # a file has only so many names
            first = name
            os.close(os.open(first, os.O_CREAT | os.O_WRONLY, 0o644))
        else:
            os.link(first, name)
    return d


def wait_beside(weir, request, clients, seconds):
    """How long others wait at most while so many clients ask for the same, and what those were told."""
    probe, asking, worst, heads = weir.connect(seconds), [weir.connect(seconds) for _ in range(clients)], 0.0, []
    for s in asking:
        s.sendall(request + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    while asking:
        began = time.time()
        probe.sendall(b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n")
        probe.recv(4096)
        worst = max(worst, time.time() - began)
        for s in asking[:]:
            s.settimeout(0.001)
            try:
                heads.append(s.recv(4096)[:12])
            except TimeoutError:
                continue
            asking.remove(s)
            s.close()
    probe.close()
    return worst, heads


def test_random_many(weir):
    worst, heads = wait_beside(weir, b"GET /one-of-many/", 40, 60)
    ok(heads == [b"HTTP/1.1 200"] * 40, "random_index of %d names" % MANY, heads)
    ok(worst < 1, "others wait at most %.0f ms meanwhile" % (worst * 1000))
    ok(weir.ask("/none/")[0] == 200, "of no file: the next module answers")


def test_list_many(weir):
    status, _, body = weir.ask("/many/", seconds=60)
    rows = [line.split(b'"')[1] for line in body.split(b"\r\n") if line.startswith(b'<a href="file')]
    ok(status == 200 and rows == [b"file-%06d" % i for i in range(MANY)], "%d names, all of them in order" % MANY, (status, len(rows)))
    worst, heads = wait_beside(weir, b"HEAD /many/", 10, 60)
    ok(heads == [b"HTTP/1.1 200"] * 10 and worst < 1, "others wait at most %.0f ms meanwhile" % (worst * 1000), heads)


def test_random(weir):
    seen = {}
    for _ in range(120):
        status, _, body = weir.ask("/random/")
        seen[(status, body)] = seen.get((status, body), 0) + 1
    ok(sorted(seen) == [(200, b"one"), (200, b"three"), (200, b"two")] and min(seen.values()) > 15, "random_index takes each of three", seen)


def main():
    random.seed(5)
    root = folder()
    make_tree(root)
    weir = Site(CONF.replace("{many}", make_many()), root)
    test_same(root, weir)
    test_random(weir)
    test_random_many(weir)
    test_list_many(weir)
    test_big(root, weir)
    ok(weir.stop() == 0, "ends well", weir.text())
    ok("Sanitizer" not in weir.text() and "runtime error" not in weir.text(), "no complaint of a sanitizer", weir.text())
    done()


main()
