#!/usr/bin/env python3
"""A change of a file is seen by every request that is sent after it, whatever is kept in memory."""
import os, random, shutil, socket, threading, time

from sites import Site, folder
from wire import done, ok, read_response

CONF = """
%s
server {
    listen 127.0.0.1:{port};
    root {root};
    location /head/ { alias {root}/; add_header X-Uri $uri; }
}
"""


class Conn:
    def __init__(self, site):
        self.site, self.s = site, None

    def get(self, target, new=False):
        if new and self.s:
            self.s.close()
            self.s = None
        for attempt in (1, 2):
            if not self.s:
                self.s, self.rest = self.site.connect(), b""
            try:
                self.s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode())
                r, self.rest = read_response(self.s, buffered=self.rest)
                if r.head.get("connection", "") == "close":
                    self.s.close()
                    self.s = None
                return r.status, r.body
            except (OSError, EOFError):
                self.s = None
        return 0, b""


def write(path, text):
    with open(path, "wb") as f:
        f.write(text)


def change(path, n, text, rng):
    """Leaves text in path, or nothing; by one of many ways. Returns what must be served."""
    way = rng.choice(["write", "write", "rename", "append", "truncate", "unlink", "chmod", "dir", "exchange", "up"])
    folder_of = os.path.dirname(path)
    if way == "write" or not os.path.exists(path):
        write(path, text)
    elif way == "rename":
        write(path + ".new", text)
        os.rename(path + ".new", path)
    elif way == "append":
        with open(path, "ab") as f:
            f.write(text)
        return way, open(path, "rb").read()
    elif way == "truncate":
        os.truncate(path, n % 7)
        return way, open(path, "rb").read()
    elif way == "unlink":
        os.unlink(path)
        return way, None
    elif way == "chmod":
        os.chmod(path, 0o640 if n % 2 else 0o644)
        os.chmod(path, 0o644)
        return way, open(path, "rb").read()
    elif way == "dir":  # another directory in its place
        shutil.copytree(folder_of, folder_of + ".new")
        write(os.path.join(folder_of + ".new", os.path.basename(path)), text)
        os.rename(folder_of, folder_of + ".old")
        os.rename(folder_of + ".new", folder_of)
        shutil.rmtree(folder_of + ".old")
    elif way == "exchange":
        write(path + ".a", text)
        os.rename(path, path + ".b")
        os.rename(path + ".a", path)
        os.unlink(path + ".b")
    elif way == "up":  # further up
        up = os.path.dirname(folder_of)
        shutil.copytree(up, up + ".new")
        write(path.replace(up, up + ".new", 1), text)
        os.rename(up, up + ".old")
        os.rename(up + ".new", up)
        shutil.rmtree(up + ".old")
    return way, text


def load(site, stop):
    """Keeps the file hot from connections of its own, old ones and new ones."""
    c, n = Conn(site), 0
    while not stop:
        n += 1
        c.get("/up/dir/file.txt", new=n % 5 == 0)
        c.get("/head/up/dir/file.txt")


def run(name, extra, rounds, with_load, link=False):
    top = folder()
    root = os.path.join(top, "root")
    os.makedirs(os.path.join(root, "up", "dir"))
    if link:
        os.symlink("root", os.path.join(top, "link"))
    path = os.path.join(root, "up", "dir", "file.txt")
    write(path, b"first")
    site = Site(CONF % extra, os.path.join(top, "link") if link else root)
    rng, c, wrong, ways = random.Random(name), Conn(site), [], {}
    stop = []
    threads = [threading.Thread(target=load, args=(site, stop)) for _ in range(2 if with_load else 0)]
    for t in threads:
        t.start()
    for i in range(rounds):
        for target in ("/up/dir/file.txt", "/head/up/dir/file.txt"):
            for _ in range(rng.randrange(4)):  # warm, or not
                c.get(target)
        text = b"%s %d %s" % (name.encode(), i, b"x" * rng.choice([0, 1, 100, 1000, 30000]))
        way, want = change(path, i, text, rng)
        ways[way] = ways.get(way, 0) + 1
        for target in ("/up/dir/file.txt", "/head/up/dir/file.txt"):
            status, body = c.get(target, new=rng.randrange(3) == 0)
            if (status, body) != ((200, want) if want is not None else (404, body)):
                wrong.append("round %d, %s, %s: %d %r, want %r" % (i, way, target, status, body[:40], want and want[:40]))
    stop.append(1)
    for t in threads:
        t.join()
    ok(not wrong, "%s: %d changes, each seen by the next request (%s)" % (name, rounds, ", ".join("%s %d" % w for w in sorted(ways.items()))), "\n".join(wrong[:10]))
    ok(site.stop() == 0, "%s: ends well" % name, site.text())
    ok("Sanitizer" not in site.text() and "runtime error" not in site.text(), "%s: no complaint" % name, site.text())


def main():
    run("kept", "", 1000, False)
    run("kept under load", "", 300, True)
    run("by a link", "", 100, False, link=True)
    run("small cache", "hot_file_cache on max=8k file=4k;", 200, False)
    run("not kept", "hot_file_cache off;", 100, False)
    done()


main()
