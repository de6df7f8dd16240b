#!/usr/bin/env python3
"""add_header and add_trailer: inheritance beyond what the installed nginx has, and trailers behind the last chunk."""
import os, re

from sites import Site, folder
from wire import done, equal, ok, read_all

CONF = """
server {
    listen 127.0.0.1:{port};
    root {root};
    add_header One 1;
    add_header_inherit merge;
    location /plain/ { alias {root}/; }
    location /more/ { alias {root}/; add_header Two 2; location /more/still/ { alias {root}/; add_header Three 3; } }
    location /off/ { alias {root}/; add_header_inherit off; location /off/own/ { alias {root}/; add_header Own 4; } }
    location /on/ { alias {root}/; add_header_inherit on; add_header Five 5; }
    location /trailers/ { alias {root}/; add_trailer Status "s $status" always; add_trailer Empty "$arg_none"; }
    location /trailers/off/ { alias {root}/; add_trailer_inherit off; }
}
"""


def lines(site, target):
    return sorted(m for m in re.findall(r"(?m)^(One|Two|Three|Own|Five): ", site.ask(target)[1]))


def raw(site, target, version=b"1.1"):
    with site.connect() as s:
        s.sendall(b"GET %s HTTP/%s\r\nHost: x\r\nConnection: close\r\n\r\n" % (target, version))
        return read_all(s)


def main():
    root = folder()
    with open(os.path.join(root, "a.txt"), "w") as f:
        f.write("hello\n")
    site = Site(CONF, root)
    for turn in range(4):  # from the file, then from memory
        equal(lines(site, "/plain/a.txt"), ["One"], "inherited")
        equal(lines(site, "/more/a.txt"), ["One", "Two"], "merged")
        equal(lines(site, "/more/still/a.txt"), ["One", "Three", "Two"], "merged twice")
        equal(lines(site, "/off/a.txt"), [], "off")
        equal(lines(site, "/off/own/a.txt"), ["Own"], "off is inherited itself")
        equal(lines(site, "/on/a.txt"), ["Five"], "on: a line of its own takes the outer ones away")
        got = raw(site, b"/trailers/a.txt")
        ok(got.endswith(b"0\r\nStatus: s 200\r\n\r\n"), "trailers behind the last chunk", got[-80:])
        ok(b"Content-Length" not in got and b"Accept-Ranges: bytes" in got, "and no length before", got)
        ok(raw(site, b"/trailers/a.txt", b"1.0").endswith(b"\r\n\r\nhello\n"), "HTTP/1.0 gets none")
        got = raw(site, b"/trailers/none")
        ok(b"404" in got.split(b"\r\n")[0] and got.endswith(b"Status: s 404\r\n\r\n"), "always: with errors too", got[-80:])
        ok(b"Status:" not in raw(site, b"/trailers/off/a.txt"), "off for trailers")
    ok(site.stop() == 0, "ends well", site.text())
    done()


main()
