#!/usr/bin/env python3
"""How files are read and answers written: sendfile, output_buffers, read_ahead, postpone_output, aio, aio_write, send_lowat."""
import ctypes, gzip, mmap, os, re, select, time, zlib

from sites import Site, folder, unchunk
from wire import BUILD, done, ok, read_all

CONF = """
send_lowat 1;
hot_file_cache off;
limit_req_zone late zone=late:1m rate=1r/s;
server {
    listen 127.0.0.1:{port};
    root {root};
    client_max_body_size 0;
    client_body_buffer_size 8k;
    location /small/ { alias {root}/; sendfile off; output_buffers 1 4k; }
    location /many/ { alias {root}/; sendfile off; output_buffers 64 4k; }
    location /large/ { alias {root}/; sendfile off; output_buffers 1 256k; }
    location /send/ { alias {root}/; sendfile on; output_buffers 1 4k; }
    location /gz4/ { alias {root}/; gzip on; gzip_types *; output_buffers 1 4k; }
    location /gz64/ { alias {root}/; gzip on; gzip_types *; output_buffers 1 64k; }
    location /gzsub/ { alias {root}/; gzip on; gzip_types *; sub_filter zzz z; sub_filter_once off; sub_filter_types *; add_after_body /tail/held.html; addition_types *; }
    location /ahead/ { alias {root}/; read_ahead 1k; sendfile off; output_buffers 1 32k; }
    location /noahead/ { alias {root}/; read_ahead 0; sendfile off; output_buffers 1 32k; }
    location /held/ { alias {root}/; add_after_body /late; addition_types *; }
    location /heldlong/ { alias {root}/; add_after_body /late; addition_types *; postpone_output 100k; }
    location /notheld/ { alias {root}/; add_after_body /late; addition_types *; postpone_output 0; }
    location /late { limit_req zone=late burst=20; alias {root}/tail.txt; }
    location /aio/ { alias {root}/; directio 1; aio on; }
    location /noaio/ { alias {root}/; sendfile off; }
    location /inloop/ { mirror /none; client_body_in_file_only clean; aio threads; }
    location /inthread/ { mirror /none; client_body_in_file_only clean; aio threads; aio_write on; }
    location = /none { internal; return 204; }
    location /directsub/ { alias {root}/; directio 1; aio on; add_after_body /tail/held.html; addition_types application/octet-stream; }
    location /tail/ { alias {root}/; directio off; sub_filter zzz z; sub_filter_once off; }
    location = /around.html { alias {root}/a.txt; add_before_body /tail/held.html; add_after_body /tail/held.html; addition_types *; }
    location = /aroundgz.html { alias {root}/a.txt; add_before_body /tail/held.html; add_after_body /tail/held.html; addition_types *; gzip on; gzip_types *; sub_filter_types *; sub_filter zzz z; }
    location = /order.html { alias {root}/held.html; add_before_body /tail.txt; add_after_body /tail.txt; sub_filter zzz z; sub_filter_once off; }
    location = /ordergz.html { alias {root}/held.html; add_before_body /tail.txt; add_after_body /tail.txt; sub_filter zzz z; sub_filter_once off; gzip on; limit_rate 1m; }
    location /ratedlong/ { alias {root}/; sub_filter_types *; sub_filter zzz zzz; sub_filter_once off; limit_rate 100m; }
    location /ratedgz/ { alias {root}/; gzip on; gzip_types *; limit_rate 200k; }
    location /ratedsub/ { alias {root}/; sub_filter_types *; sub_filter zzz z; sub_filter_once off; limit_rate 200k; }
}
"""
SIZE = 2 << 20
HELD = 3000000
SPARSE = 128 << 20


def io(path):
    with open(path) as f:
        return {k: int(v) for k, v in (line.split(": ") for line in f)}


def costs(site, act, path=None):
    """What the process, or the thread of its loop alone, has read and written for it."""
    path = path or "/proc/%d/io" % site.pid()
    before = io(path)
    act()
    after = io(path)
    return {k: after[k] - before[k] for k in after}


def get(site, target, *fields):
    with site.connect(20) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % (target, "".join(f + "\r\n" for f in fields))).encode())
        return read_all(s)


def buffers(site):
    reads = {}
    for where in ("small", "many", "large", "send"):
        c = costs(site, lambda: ok(len(get(site, "/%s/big.bin" % where)) > SIZE, where + ": the whole file"))
        reads[where] = c["syscr"], c["syscw"]
    ok(reads["small"][0] >= SIZE // 4096, "output_buffers 1 4k: read 4 KiB at a time", reads)
    ok(reads["large"][0] < SIZE // 16384, "output_buffers 1 256k: by far fewer reads", reads)
    ok(reads["many"][0] >= SIZE // 4096, "output_buffers 64 4k: too", reads)
    ok(reads["send"][0] < SIZE // 16384, "sendfile needs no buffers", reads)
    for where, most in (("gz4", 1 << 30), ("gz64", SIZE // 16384)):
        c = costs(site, lambda: ok(get(site, "/%s/big.bin" % where, "Accept-Encoding: gzip").endswith(b"\r\n0\r\n\r\n"), where + ": all of it"))
        reads[where] = c["syscr"]
        ok(c["syscr"] < most, where + ": files for filters are read so, too", c)
    ok(reads["gz4"] >= SIZE // 4096, "and 4 KiB at a time with 4k", reads)


def resident(path):
    """Pages of it in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        n = (len(m) + 4095) // 4096
        vec, view = (ctypes.c_ubyte * n)(), ctypes.c_char.from_buffer(m)
        rc = libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(len(m)), vec)
        del view
        return sum(v & 1 for v in vec) if rc == 0 else -1


def ahead(site, root):
    """Reading from front to back, as announced: the kernel's window is twice as large. How large is the disk's matter: the test does it, too."""
    path, found = os.path.join(root, "cold.bin"), {}

    def by_hand(f, announced):
        if announced:
            os.posix_fadvise(f, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        for _ in range(16):
            os.read(f, 32768)
    for who in (False, True, "noahead", "ahead"):
        f = os.open(path, os.O_RDONLY)
        os.fsync(f)
        os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)
        empty = resident(path) == 0
        if isinstance(who, bool):
            by_hand(f, who)
        else:
            get(site, "/%s/cold.bin" % who, "Range: bytes=0-524287")
        os.close(f)
        time.sleep(0.1)  # what is read ahead is under way
        found[who] = resident(path) if empty else -1
    if min(found.values()) < 0 or found[True] == found[False]:
        return ok(True, "read_ahead # SKIP it shows in no file here: %s" % found)
    return ok(found["ahead"] > found["noahead"], "read_ahead: the kernel reads further ahead", found)


def first_bytes(site, target, seconds):
    """What comes at once, and the whole."""
    with site.connect(20) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target).encode())
        s.settimeout(seconds)
        try:
            first = s.recv(100000)
        except TimeoutError:
            first = b""
        s.settimeout(20)
        return first, first + read_all(s)


def postponed(site):
    get(site, "/late")  # what follows within a second waits
    first, whole = first_bytes(site, "/held/a.txt", 0.3)
    ok(first == b"" and b"head" in whole and b"tail" in whole, "postpone_output: a small beginning waits for more", (first, whole))
    first, whole = first_bytes(site, "/notheld/a.txt", 0.5)
    ok(b"head" in first and b"tail" not in first and b"tail" in whole, "postpone_output 0: it does not", (first, whole))
    first, whole = first_bytes(site, "/held/long.txt", 0.5)
    ok(b"200 OK" in first and b"tail" not in first and b"tail" in whole, "nor do more bytes than that", first[:50])
    first, whole = first_bytes(site, "/heldlong/long.txt", 0.3)
    ok(first == b"" and whole.count(b"x") >= 5000 and b"tail" in whole, "postpone_output 100k: they do", first[:50])
    with site.connect(20) as s:
        s.sendall(b"GET /held/a.txt HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = read_all(s)
    ok(got.count(b"200 OK") == 3 and got.count(b"tail") == 2, "and the next requests of a connection", got)


def threads(site):
    loop = "/proc/%d/task/%d/io" % (site.pid(), site.pid())
    size = {}
    for where in ("noaio", "aio"):
        size[where] = costs(site, lambda: ok(len(get(site, "/%s/big.bin" % where)) > SIZE, where + ": the whole file"), loop)["rchar"]
    ok(size["noaio"] >= SIZE and size["aio"] < SIZE // 2, "aio on with directio: the loop reads nothing of it", size)
    body = b"POST /%s/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + b"%d\r\n\r\n" % SIZE + b"b" * SIZE

    def post(where):
        with site.connect(20) as s:
            s.sendall(body % where.encode())
            got = read_all(s)
        ok(b"404" in got.split(b"\r\n")[0], where + ": answered", got[:60])
    for where in ("inloop", "inthread"):
        size[where] = costs(site, lambda: post(where), loop)["wchar"]
    ok(size["inloop"] >= SIZE and size["inthread"] < SIZE // 2, "aio_write: the loop writes nothing of a long body", size)
    for _ in range(20):  # gone in the middle
        with site.connect(20) as s:
            s.sendall((body % b"inthread")[:SIZE // 2])
    end = time.time() + 10
    while site.fds() > 40 and time.time() < end:
        time.sleep(0.05)
    ok(site.fds() <= 40, "clients that leave in the middle leave nothing", site.fds())


def memory(site, which):
    with open("/proc/%d/status" % site.pid()) as f:
        return next(int(line.split()[1]) for line in f if line.startswith(which))


def rest_of_filters(site, root):
    """What a filter has kept back goes out when the sink's own queue is empty, not only when the socket has room."""
    with open(os.path.join(root, "noise.bin"), "rb") as f:
        noise = f.read()
    for where, field in (("ratedgz", "Accept-Encoding: gzip"), ("ratedsub", "X-A: b")):
        status, _, body = site.ask("/%s/noise.bin" % where, field, seconds=20)
        body = gzip.decompress(body) if where == "ratedgz" else body
        ok(status == 200 and body == noise, "limit_rate behind a filter (%s): the whole answer" % where, len(body))
    with open("/proc/%d/clear_refs" % site.pid(), "w") as f:
        f.write("5")  # the most so far is what it is now
    before = memory(site, "VmRSS")
    status, _, body = site.ask("/ratedlong/cold.bin", seconds=20)
    ok(status == 200 and len(body) == 8 << 20, "limit_rate and a filter, many pieces: the whole answer", len(body))
    grown = memory(site, "VmHWM") - before
    ok(grown < 4096 or "asan" in BUILD, "which does not gather in memory", "%d KiB" % grown)
    status, _, body = site.ask("/directsub/big.bin", seconds=20)
    ok(status == 200 and len(body) == SIZE + HELD, "directio in front of a filtered subrequest: the whole answer", len(body))
    for where, field in (("around", "X-A: b"), ("aroundgz", "Accept-Encoding: gzip")):
        status, _, body = site.ask("/%s.html" % where, field, seconds=20)
        body = gzip.decompress(body) if where == "aroundgz" else body
        ok(status == 200 and body == b"h" * HELD + b"head\n" + b"h" * HELD, "filtered subrequests around it (%s): the whole of both" % where, len(body))
    for where, field in (("order", "X-A: b"), ("ordergz", "Accept-Encoding: gzip")):
        status, _, body = site.ask("/%s.html" % where, field, seconds=20)
        body = gzip.decompress(body) if where == "ordergz" else body
        ok(status == 200 and body == b"tail\n" + b"h" * HELD + b"tail\n", "a filtered body between others (%s): in order" % where, (len(body), body.find(b"tail"), body.rfind(b"tail")))


def sparse(site, root):
    """What becomes almost nothing never fills the client's window: its filter gives up the turn all the same."""
    with open(os.path.join(root, "sparse.bin"), "wb") as f:
        f.truncate(SPARSE)
    for where, tail in (("gz64", 0), ("gzsub", HELD)):
        with site.connect(100) as s, site.connect(100) as probe:
            s.sendall(("GET /%s/sparse.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n" % where).encode())
            got = s.recv(1)
            answers, end = 0, False
            while not end:
                probe.sendall(b"HEAD /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
                if b"200 OK" not in probe.recv(10000):
                    break
                answers += 1
                while select.select([s], [], [], 0)[0] and not end:
                    piece = s.recv(1 << 20)
                    got, end = got + piece, not piece
        n, z = 0, zlib.decompressobj(31)
        for i in range(0, len(body := unchunk(got.partition(b"\r\n\r\n")[2])), 65536):
            n += len(z.decompress(body[i:i + 65536]))
        ok(z.eof and n == SPARSE + tail, "a sparse file, compressed (%s): the whole of it" % where, n)
        ok(answers >= 20, "and others are answered meanwhile", answers)


def main():
    root = folder()
    for name, data in (("a.txt", b"head\n"), ("tail.txt", b"tail\n"), ("long.txt", b"x" * 5000), ("big.bin", os.urandom(SIZE)), ("cold.bin", os.urandom(8 << 20)),
                       ("noise.bin", re.sub(b"(?i)zzz", b"zz.", os.urandom(320000))), ("held.html", b"h" * HELD)):
        with open(os.path.join(root, name), "wb") as f:
            f.write(data)
    os.chmod(root, 0o755)
    site = Site(CONF, root)
    buffers(site)
    ahead(site, root)
    postponed(site)
    threads(site)
    rest_of_filters(site, root)
    sparse(site, root)
    ok(site.stop() == 0, "ends well", site.text())
    done()


main()
