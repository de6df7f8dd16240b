#!/usr/bin/env python3
"""Names of hosts in `listen`, syslog's `server=` and `set_real_ip_from`: asked at load, all addresses, from /etc/hosts without a network."""
import os, socket, subprocess, sys

from wire import done, equal, ok

if "inside" not in sys.argv:
    if subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True).returncode:
        print("1..0 # SKIP no namespaces here") or sys.exit(0)
    os.execvp("unshare", ["unshare", "-m", "-n", sys.executable, os.path.abspath(__file__), "inside"])

import tempfile
hosts = tempfile.NamedTemporaryFile("w", prefix="hosts-")
hosts.write("127.0.0.1 localhost\n127.0.0.2 pair.test\n127.0.0.3 pair.test\n127.0.0.4 logs.test\n")
hosts.flush()
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

from weir_site import Site

logs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
logs.bind(("127.0.0.4", 0))
logs.settimeout(10)
site = Site(listen="; listen pair.test:@PORT@; listen localhost:8@PORT@".replace("8@PORT@", "18099"), http="access_log syslog:server=logs.test:%d,nohostname;" % logs.getsockname()[1],
            server="access_log syslog:server=logs.test:%d,nohostname; set_real_ip_from pair.test; real_ip_header X-Real-IP; location = /x { return 200 '$server_addr $remote_addr'; }" % logs.getsockname()[1])


def get(address, port=None):
    with socket.create_connection((address, port or site.port), 5) as s:
        s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Real-IP: 9.9.9.9\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            piece = s.recv(4096)
            if not piece:
                return data.partition(b"\r\n\r\n")[2].decode()
            data += piece


equal(get("127.0.0.2"), "127.0.0.2 127.0.0.1", "the first address of a name listens")
equal(get("127.0.0.3"), "127.0.0.3 127.0.0.1", "and the second")
equal(get("127.0.0.1", 18099), "127.0.0.1 127.0.0.1", "localhost is asked like any name")
try:
    socket.create_connection(("127.0.0.4", site.port), 2)
    ok(False, "an address of another name does not listen")
except ConnectionRefusedError:
    ok(True, "an address of another name does not listen")
ok(b"GET /x" in logs.recv(4096), "a line reaches the syslog server that a name stands for")
equal(site.stop(), 0, "it ends")
done()
