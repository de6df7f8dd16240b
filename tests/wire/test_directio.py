#!/usr/bin/env python3
"""directio: files from a size on are read past the page cache; every byte, range and rate as of the file; nginx's answers where it is installed."""
import ctypes, gzip, mmap, os, random, shutil, socket, subprocess, tempfile

from weir_site import Site, wait_for
from wire import connect, done, equal, free_port, ok, read_all

NAMES = {"small": 9000, "edge": 65536, "odd": 300001, "big": 5 * (1 << 20) + 17}
SERVER = """directio 64k; directio_alignment @ALIGN@; max_ranges 9;
 location /t/ { alias html/; aio threads; } location /slow/ { alias html/; limit_rate 400k; } location /zip/ { alias html/; gzip on; gzip_types *; gzip_min_length 1; }
 location /off/ { alias html/; directio off; } location = /x { return 200 'hi'; }"""


def fill(folder):
    rng, made = random.Random(7), {}
    for name, n in NAMES.items():
        made[name] = rng.randbytes(n)
        with open(os.path.join(folder, name), "wb") as f:
            f.write(made[name])
            f.flush()
            os.fsync(f.fileno())
    return made


def ask(port, path, *fields, method="GET"):
    c = connect(port, 20)
    c.sendall(("%s %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n" % (method, path, "".join(f + "\r\n" for f in fields))).encode())
    head, _, body = read_all(c).partition(b"\r\n\r\n")
    c.close()
    return int(head.split()[1]), head.decode("latin-1"), body


def unchunked(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        out, data = out + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return out


def forget(path):
    """False where the file system keeps its pages anyway."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident(path) == 0


def resident(path):
    """Pages of it in the page cache."""
    n = (os.path.getsize(path) + 4095) // 4096
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        vec = ctypes.create_string_buffer(n)
        view = ctypes.c_char.from_buffer(m)
        libc.mincore(ctypes.addressof(view), n * 4096, vec)
        del view
    return sum(b & 1 for b in vec.raw[:n])


def takes_direct(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    try:
        buffer = mmap.mmap(-1, 4096)
        return os.preadv(fd, [buffer], 0) > 0
    except OSError:
        return False
    finally:
        os.close(fd)


def bytes_are_the_files(s, made, prefix):
    for name, data in made.items():
        status, _, body = ask(s.port, prefix + name)
        ok(status == 200 and body == data, "%s%s: every byte" % (prefix, name), (status, len(body), len(data)))
    for name, data in made.items():
        n = len(data)
        for a, b in [(0, 0), (0, 511), (1, 4096), (511, 513), (4095, 8192), (n - 1, n - 1), (n - 600, n - 1), (n // 2, n - 1), (131071, 131073), (131072, 262143)]:
            if a >= n:
                continue
            status, head, body = ask(s.port, prefix + name, "Range: bytes=%d-%d" % (a, b))
            ok(status == 206 and body == data[a : b + 1], "%s%s %d-%d" % (prefix, name, a, b), head)
    equal(ask(s.port, prefix + "big", method="HEAD")[2], b"", prefix + "big: HEAD has no body")


def several_in_turn(s, made, prefix):
    c = connect(s.port, 20)
    c.sendall(b"".join(b"GET %s%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (prefix.encode(), n.encode(), b"Connection: close\r\n" if n == "odd" else b"") for n in ("big", "small", "odd")))
    data, out = read_all(c), []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        n = int([line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0].split(b":")[1])
        out.append(data[:n])
        data = data[n:]
    ok(out == [made["big"], made["small"], made["odd"]], prefix + "three requests at once: three answers in turn", [len(o) for o in out])


def leavers(s):
    """Who leaves while a thread reads."""
    for i in range(60):
        c = connect(s.port)
        c.sendall(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"t/big" if i % 2 else b"big"))
        if i % 3:
            c.recv(1000)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()


def same_as_nginx(s, folder):
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not nginx:
        return
    port = free_port()
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w") as f:
        f.write("daemon off; master_process off; pid %s/n.pid; error_log %s/n.log; events { }\nhttp { access_log off; server { listen 127.0.0.1:%d; root %s; directio 64k; max_ranges 9; } }\n"
                % (folder, folder, port, s.path("html")))
    p = subprocess.Popen([nginx, "-p", folder, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def up():
        try:
            connect(port).close()
            return True
        except OSError:
            return False
    if wait_for(up, 10):
        for what in ("bytes=0-", "bytes=-1", "bytes=-700", "bytes=5-5", "bytes=70000-70001", "bytes=999999999-", "bytes=4096-12287", "bytes=3-2"):
            for name in NAMES:
                mine, theirs = ask(s.port, "/" + name, "Range: " + what), ask(port, "/" + name, "Range: " + what)
                ranges = [[line for line in r[1].split("\r\n") if line.lower().startswith(("content-range", "content-length"))] for r in (mine, theirs)]
                good = mine[0] == theirs[0] and (mine[0] == 416 or (mine[2] == theirs[2] and sorted(ranges[0]) == sorted(ranges[1])))
                ok(good, "as nginx: %s of %s" % (what, name), (mine[:2], theirs[:2]))
    p.terminate()
    p.wait()


def refused():
    """A file system without O_DIRECT, in a mount namespace of this test's own: said once, and every byte by the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    s = Site(start=False)
    html = s.path("html").encode()
    if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None) or libc.mount(b"ramfs", html, b"ramfs", 0, None):
        return
    os.chmod(html, 0o755)
    s.write(server=SERVER.replace("@ALIGN@", "512"))
    made = fill(s.path("html"))
    s.start()
    if not takes_direct(s.path("html", "big")):
        bytes_are_the_files(s, made, "/")
        several_in_turn(s, made, "/")
        equal(ask(s.port, "/slow/odd")[2], made["odd"], "limit_rate: every byte")
        n = s.log().count("O_DIRECT is refused for")
        ok(1 <= n <= 2, "the log says so, once in a worker", s.log()[-600:])
    s.stop()
    libc.umount2(html, 2)


def site(align):
    s = Site(start=False)
    s.write(server=SERVER.replace("@ALIGN@", align), http="open_file_cache max=10; " if align == "4k" else "")
    made = fill(s.path("html"))
    s.start()
    return s, made


for align in ("512", "4k"):
    s, made = site(align)
    big = s.path("html", "big")
    direct = takes_direct(big)
    for prefix in ("/", "/t/"):
        bytes_are_the_files(s, made, prefix)
        several_in_turn(s, made, prefix)
    if direct and forget(big):
        ask(s.port, "/big")
        equal(resident(big), 0, "read past the page cache")
        ask(s.port, "/off/big")
        ok(resident(big) > 0, "with directio off through it")
    equal(ask(s.port, "/slow/odd")[2], made["odd"], "limit_rate: every byte")
    status, head, body = ask(s.port, "/zip/odd", "Accept-Encoding: gzip")
    equal(gzip.decompress(unchunked(body)), made["odd"], "gzip: every byte")
    status, head, body = ask(s.port, "/big", "Range: bytes=1-3,70000-70009,5000000-5000001")
    ok(status == 206 and all(made["big"][a : b + 1] in body for a, b in ((1, 3), (70000, 70009), (5000000, 5000001))), "several ranges", head)
    leavers(s)
    ok(s.answers(), "after those who leave in the middle: it serves")
    bytes_are_the_files(s, {"odd": made["odd"]}, "/")
    if direct:
        ok("O_DIRECT is refused" not in s.log(), "nothing was refused", s.log()[-400:])
    if align == "512":
        same_as_nginx(s, tempfile.mkdtemp(prefix="weir-nginx-", dir=s.dir))
    s.stop()
refused()
done()
