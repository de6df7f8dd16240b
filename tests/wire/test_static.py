#!/usr/bin/env python3
"""Files of a tree with everything odd in it: answered as nginx does, nothing leaks, nothing hangs, nothing stays open."""
import os, random, shutil, socket, threading, time
from urllib.parse import quote

from sites import HAVE_NGINX, NGINX, Site, folder, same
from wire import done, ok

SECRET = b"TOP-SECRET-OUTSIDE"
NAMES = ["plain.txt", "with space.txt", "per%cent.txt", "quest?ion.txt", "hash#tag.txt", "sem;colon.txt", "am&p.txt", "pl+us.txt", "quo\"te.txt",
         "apos'trophe.txt", "back\\slash.txt", "less<than>.txt", "br[ack]et.txt", "br{ace}.txt", "caret^.txt", "pipe|.txt", "tilde~", "at@.txt", "colon:x.txt",
         "com,ma.txt", "dollar$.txt", "equal=.txt", "uml\u00e4ut.txt", "\u4e2d\u6587.txt", "new\nline.txt", "tab\there.txt", "bell\x07.txt", "del\x7f.txt",
         ".hidden", "...", "UPPER.TXT", "no-extension", "a" * 200 + ".txt", "double..dot.txt", "trailing.", "sp ace/in dir.txt", "index/index.html", "page.html",
         "empty.txt", "pic.gif", "data.json", "deep/er/and/deeper/still.txt"]


def make_tree(top):
    root = os.path.join(top, "root")
    os.mkdir(root)
    for i, name in enumerate(NAMES):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(b"" if name == "empty.txt" else b"%s %d\n" % (name.encode(), i) * (i + 1))
        os.utime(path, (1700000000 + i, 1700000000 + i))
    for size in (1, 4095, 4096, 65535, 65536, 65537, 1 << 20, 3 << 20):
        with open(os.path.join(root, "size-%d.txt" % size), "wb") as f:
            f.write(random.Random(size).randbytes(size))
    os.mkdir(os.path.join(root, "bare"))
    os.mkdir(os.path.join(root, "closed"), 0o700)
    with open(os.path.join(root, "closed", "inside.txt"), "w") as f:
        f.write("closed")
    with open(os.path.join(root, "unreadable.txt"), "w") as f:
        f.write("unreadable")
    os.chmod(os.path.join(root, "unreadable.txt"), 0)
    os.mkfifo(os.path.join(root, "fifo.txt"))
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(root, "socket.txt"))
    s.close()
    for name, to in (("link.txt", "plain.txt"), ("linkdir", "deep"), ("dangling.txt", "nowhere"), ("loop.txt", "loop.txt"), ("linkfifo", "fifo.txt"),
                     ("out.txt", "../secret.txt"), ("outdir", "..")):
        os.symlink(to, os.path.join(root, name))
    with open(os.path.join(top, "secret.txt"), "wb") as f:
        f.write(SECRET)
    with open(os.path.join(top, "root-sibling"), "wb") as f:
        f.write(SECRET)
    for base, dirs, files in os.walk(root):
        os.utime(base, (1700000000, 1700000000))
    return root


CONF = """
server {
    listen 127.0.0.1:{port};
    root {root};
    location /noindex/ { alias {root}/; index nothing.html /plain.txt; }
    location /alias { alias {root}; }
    location /aliased/ { alias {root}/deep/; }
    location /vary/ { alias {root}/; index $arg_i other.html; }
    location /strict/ { alias {root}/; disable_symlinks on; }
    location /owner/ { alias {root}/; disable_symlinks if_not_owner; }
    location /from/ { alias {root}/linkdir/; disable_symlinks on from={root}/linkdir; }
    location /cached/ { alias {root}/; open_file_cache max=100 inactive=10s; open_file_cache_errors on; open_file_cache_valid 1s;
        location /cached/strict/ { alias {root}/; disable_symlinks on; } }
    location /quiet/ { alias {root}/; log_not_found off; etag off; if_modified_since off; }
    location /before/ { alias {root}/; if_modified_since before; }
    location /threads/ { alias {root}/; aio threads; }
    location /try/ { try_files $uri $uri/ /try-none?$args; alias {root}/; }
    location = /try-none { return 200 "none $args\\n"; }
    location /code/ { try_files /plain.txt.no =418; }
    location /named/ { try_files /no @there; }
    location @there { return 203 "named $uri\\n"; }
    location /first/ { try_files /no/ /deep/ /plain.txt =404; }
    location = /gif { empty_gif; }
    location /hdr/ { alias {root}/; add_header X-One "a $uri"; add_header X-Two b always; expires 1h; }
}
"""


def requests():
    out = []
    targets = ["/" + quote(n) for n in NAMES] + ["/" + n.encode().decode("latin-1") for n in NAMES if not set(n) & set(" ?#\n\t\x07\x7f%\\\"<>[]{}^|") and n.isascii()]
    targets += ["/size-%d.txt" % n for n in (1, 4095, 4096, 65535, 65536, 65537, 1 << 20)]
    targets += ["/", "/bare", "/bare/", "/bare?x=1", "/closed/", "/closed/inside.txt", "/closed", "/unreadable.txt", "/fifo.txt", "/socket.txt", "/link.txt", "/linkdir",
                "/linkdir/", "/linkdir/er/and/deeper/still.txt", "/dangling.txt", "/loop.txt", "/linkfifo", "/out.txt", "/outdir/secret.txt", "/plain.txt/", "/plain.txt/x",
                "/none", "/none/", "/none/none", "/" + "x" * 300, "/" + "x/" * 500, "/index", "/index/", "/sp%20ace", "/sp%20ace/in%20dir.txt", "//plain.txt", "/./plain.txt",
                "/deep/../plain.txt", "/deep/%2e%2e/plain.txt", "/plain%2Etxt", "/%70lain.txt", "/plain.txt?a=b", "/plain.txt?", "/noindex/", "/noindex", "/alias", "/alias/",
                "/alias/plain.txt", "/aliased/", "/aliased/er/and/deeper/still.txt", "/aliased", "/vary/?i=plain.txt", "/vary/?i=none", "/strict/plain.txt",
                "/strict/link.txt", "/strict/linkdir/er/and/deeper/still.txt", "/strict/dangling.txt", "/strict/index/", "/strict/none", "/owner/plain.txt", "/owner/link.txt",
                "/owner/linkdir/er/and/deeper/still.txt", "/from/er/and/deeper/still.txt", "/from/er", "/gif", "/gif?x", "/code/", "/named/x", "/first/", "/first/x", "/try/plain.txt",
                "/try/deep", "/try/index", "/try/none?q=1", "/hdr/plain.txt", "/hdr/none", "/hdr/deep", "/before/plain.txt"]
    for prefix in ("/cached", "/quiet", "/threads"):
        targets += [prefix + t for t in ("/plain.txt", "/none", "/bare", "/bare/", "/index/", "/size-65537.txt", "/fifo.txt", "/unreadable.txt", "/link.txt", "/empty.txt")] * 3
    out += [("GET", t) for t in targets]
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        out += [(method, t) for t in ("/plain.txt", "/bare", "/bare/", "/none", "/none/", "/index/", "/gif", "/empty.txt", "/fifo.txt", "/plain.txt/")]
    tag, date = '"6553f10' + '0-e"', "Tue, 14 Nov 2023 22:13:20 GMT"
    conditions = [["If-Modified-Since: " + date], ["If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"], ["If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT"],
                  ["If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT"], ["If-Modified-Since: Tue Nov 14 22:13:20 2023"], ["If-Modified-Since: nonsense"],
                  ["If-None-Match: *"], ["If-None-Match: " + tag], ["If-None-Match: W/" + tag], ['If-None-Match: "x", ' + tag], ['If-None-Match: "x"'],
                  ["If-None-Match: " + tag, "If-Modified-Since: " + date], ['If-None-Match: "x"', "If-Modified-Since: " + date],
                  ["If-None-Match: " + tag, "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"], ["If-Match: *"], ["If-Match: " + tag], ['If-Match: "x"'],
                  ["If-Match: W/" + tag], ["If-Unmodified-Since: " + date], ["If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT"],
                  ["If-Unmodified-Since: Tue, 14 Nov 2023 22:13:21 GMT"], ["If-Unmodified-Since: nonsense"], ["If-Match: " + tag, "If-None-Match: " + tag]]
    for c in conditions:
        out += [("GET", t, *c) for t in ("/plain.txt", "/before/plain.txt", "/quiet/plain.txt", "/gif", "/none", "/bare")] + [("HEAD", "/plain.txt", *c), ("POST", "/plain.txt", *c)]
    return out


def traversals():
    dots = ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "..;", "%uff0e%uff0e", "..%5c", ". .", "%2e%2e%2f", "...", "..\\"]
    slashes = ["/", "%2f", "%2F", "\\", "%5c", "//", "/./", "%252f", "/;/"]
    for d in dots:
        for s in slashes:
            for start in ("/", "/deep/", "/alias", "/aliased/", "/alias..", "/cached/", "/try/", "/strict/"):
                for name in ("secret.txt", "root-sibling"):
                    yield start + (d + s) * 1 + name
                    yield start + "x" + s + (d + s) * 2 + name
                    yield start + (d + s) * 3 + name
    for t in ("/aliased../secret.txt", "/alias../secret.txt", "/..//secret.txt", "/%00/../secret.txt", "/plain.txt%00.html", "/secret.txt%00", "//../secret.txt"):
        yield t


def test_same(root, weir):
    if not HAVE_NGINX:
        ok(True, "nginx is not installed: nothing to compare with # SKIP")
        return
    nginx = Site(CONF, root, NGINX)
    todo = requests()
    equal, wrong = same(nginx, weir, todo)
    for w in wrong[:20]:
        ok(False, w.split("\n")[0], "\n".join(w.split("\n")[1:]))
    ok(not wrong, "%d of %d answers are nginx's" % (equal, len(todo)))
    nginx.stop()


def test_traversal(weir):
    n, leaks, s, buf = 0, [], None, b""
    for t in traversals():
        n += 1
        try:
            status, _, body = weir.ask(t.replace(" ", "%20"))
            if SECRET in body:
                leaks.append("%s: %d" % (t, status))
        except OSError as e:
            leaks.append("%s: %s" % (t, e))
    ok(not leaks, "%d ways out of the root, none leads there" % n, "\n".join(leaks))


def test_links_cached(weir):
    """Locations share an open_file_cache, not their rules of links."""
    told = [weir.ask(uri)[0] for _ in range(3) for uri in ("/cached/link.txt", "/cached/link.txt", "/cached/strict/link.txt", "/cached/strict/link.txt")]
    ok(told == [200, 200, 403, 403] * 3, "a link that one location follows is not for the other that shares its cache", told)


def test_fifo(weir):
    began = time.time()
    answers = {weir.ask(p + n, seconds=3)[0] for p in ("", "/cached", "/threads", "/strict", "/try") for n in ("/fifo.txt", "/linkfifo")}
    ok(time.time() - began < 3 and 200 not in answers, "a FIFO is refused at once", answers)


def test_truncated(root, weir):
    """The promise cannot be kept: the connection ends, the log says so, the server lives."""
    for prefix in ("", "/cached", "/threads"):
        path = os.path.join(root, "shrinks.bin")
        with open(path, "wb") as f:
            f.truncate(64 << 20)
        fds = weir.fds()
        with weir.connect(10) as s:
            s.sendall(b"GET %s/shrinks.bin HTTP/1.1\r\nHost: x\r\n\r\n" % prefix.encode())
            got = len(s.recv(1000))
            os.truncate(path, 1 << 20)
            try:
                while True:
                    piece = s.recv(1 << 20)
                    got += len(piece)
                    if not piece:
                        break
                ended = True
            except ConnectionResetError:
                ended = True
            except (socket.timeout, TimeoutError):
                ended = False
        ok(ended and got < 60 << 20, "%s truncated while it is sent: the connection ends" % (prefix or "a file"), got)
        end = time.time() + 5
        while weir.fds() > fds + 1 and time.time() < end:
            time.sleep(0.05)
        ok(weir.fds() <= fds + 1, "and the descriptor is given back", (fds, weir.fds()))
        ok(weir.ask("/plain.txt")[0] == 200, "others are served")


def test_races(top, root, weir):
    """A component is a directory and a link to the outside by turns; where links are refused, nothing from outside is ever sent."""
    inside, outside = os.path.join(root, "race-real"), os.path.join(top, "race-outside")
    for d, text in ((inside, b"inside"), (outside, SECRET)):
        os.mkdir(d)
        with open(os.path.join(d, "file.txt"), "wb") as f:
            f.write(text)
    here, a, b = (os.path.join(root, n) for n in ("race", "race-a", "race-b"))
    os.symlink(outside, a)
    shutil.copytree(inside, b)
    os.rename(b, here)
    stop = []

    def swap():
        while not stop:
            os.rename(here, b)
            os.rename(a, here)
            os.rename(here, a)
            os.rename(b, here)

    t = threading.Thread(target=swap)
    t.start()
    seen, leaks = {}, 0
    end = time.time() + 3
    while time.time() < end:
        status, _, body = weir.ask("/strict/race/file.txt")
        seen[status] = seen.get(status, 0) + 1
        leaks += SECRET in body
    stop.append(1)
    t.join()
    ok(leaks == 0 and seen.get(200), "links swapped in while files are opened: %s" % seen, leaks)


def main():
    random.seed(1)
    top = folder()
    root = make_tree(top)
    weir = Site(CONF, root)
    test_same(root, weir)
    test_traversal(weir)
    test_links_cached(weir)
    test_fifo(weir)
    test_truncated(root, weir)
    test_races(top, root, weir)
    end = time.time() + 12
    while weir.fds() > 20 and time.time() < end:
        time.sleep(0.2)
    ok(weir.fds() <= 20, "no descriptor stays open", os.popen("ls -l /proc/%d/fd" % weir.pid()).read())
    ok(weir.stop() == 0, "ends well", weir.text())
    ok("Sanitizer" not in weir.text() and "runtime error" not in weir.text(), "no complaint of a sanitizer", weir.text())
    done()


main()
