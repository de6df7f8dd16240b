#!/usr/bin/env python3
"""The next program (USR2): sockets are handed over, no request is lost, and a program that does not start changes nothing."""
import os, shutil, signal, socket, sys, time

import weir_site
from weir_site import Load, Site, alive, wait_for
from wire import done, equal, ok

ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3


def upgrade(s):
    """USR2, then QUIT to the old master; returns the new master's pid, or 0."""
    old = s.pid()
    s.kill(signal.SIGUSR2)
    if not wait_for(lambda: s.pid("weir.pid.oldbin") == old and s.pid() not in (0, old), 10):
        return 0
    s.kill(signal.SIGQUIT, old)
    if not wait_for(lambda: not alive(old), 15):
        return 0
    return s.pid()


def under_load():
    s = Site(daemon=True, main="worker_shutdown_timeout 5s;")
    load = Load(s.port)
    good = 0
    for _ in range(ROUNDS):
        good += bool(upgrade(s))
        time.sleep(0.2)
    load.stop()
    equal(good, ROUNDS, "%d upgrades" % ROUNDS)
    ok(load.asked > 50 and not load.failed, "0 of %d requests failed (%d idle connections were asked again)" % (load.asked, load.again), "\n".join(load.failed) + s.log())
    ok(not os.path.exists(s.path("logs", "weir.pid.oldbin")), "the old pid file is gone")
    equal(s.admin("/readyz")[0], 200, "the new one's watch answers at the same place")
    equal(s.run("-s", "quit").returncode, 0, "and the pid file is the new one's")
    ok(wait_for(lambda: s.pid() == 0), "which ends")


def broken_program():
    """The file is replaced by one that cannot run: the old master goes on."""
    copy, program = os.path.join("/tmp", "weir-upgrade-%d" % os.getpid()), weir_site.WEIR
    shutil.copy(weir_site.WEIR, copy)
    weir_site.WEIR = copy
    s = Site(daemon=True)
    pid = s.pid()
    os.unlink(copy)
    with open(copy, "w") as f:
        f.write("#!/bin/sh\nexit 7\n")
    os.chmod(copy, 0o755)
    s.kill(signal.SIGUSR2)
    ok(s.logged("new binary process"), "the log names the new process", s.log())
    ok(s.logged("ended: exit 7") or s.logged('ended: "exit 7"', 1), "and its end", s.log())
    equal(wait_for(lambda: s.pid() == pid), True, "the pid file is the old master's again")
    equal(s.get()[1], b"hi", "which serves on")
    os.unlink(copy)
    weir_site.WEIR = program
    s.stop()


def back_and_forth():
    """WINCH to the old master, then the new one is ended: HUP brings the old crew back."""
    s = Site(daemon=True)
    old = s.pid()
    s.kill(signal.SIGUSR2)
    ok(wait_for(lambda: s.pid("weir.pid.oldbin") == old and s.pid() not in (0, old)), "two masters")
    new = s.pid()
    s.kill(signal.SIGWINCH, old)
    ok(wait_for(lambda: not [p for p in weir_site.pids_of_family(old) if "nobody" in name_of_user(p) and p != new]), "WINCH: the old crew leaves")
    equal(s.get()[1], b"hi", "the new one serves")
    s.kill(signal.SIGHUP, old)
    time.sleep(0.5)
    s.kill(signal.SIGQUIT, new)
    ok(wait_for(lambda: not alive(new)), "the new one is ended")
    equal(wait_for(lambda: s.pid() == old), True, "the old one has its pid file again")
    ok(wait_for(s.answers), "and serves")
    ok(wait_for(lambda: s.admin_answers()), "and its watch answers")
    s.stop()


def given_up():
    """The new one ends first: what the old one serves stays reachable."""
    s = Site(daemon=True, server="location = /x { return 200 'hi'; } listen unix:@DIR@/site.sock;")
    old = s.pid()
    s.kill(signal.SIGUSR2)
    ok(wait_for(lambda: s.pid("weir.pid.oldbin") == old and s.pid() not in (0, old)), "two masters share the file of a socket")
    new = s.pid()
    s.kill(signal.SIGQUIT, new)
    ok(wait_for(lambda: not alive(new) and s.pid() == old), "the new one is ended")
    ok(os.path.exists(s.path("site.sock")), "the file is there, for the old one listens")
    s.stop()
    ok(not os.path.exists(s.path("site.sock")), "until that one ends")


def new_backlog():
    """What the configuration says by now is set on sockets that are handed over."""
    s = Site(daemon=True, listen="backlog=5")
    s.listen = "backlog=88"
    s.write()
    ok(upgrade(s), "an upgrade with another backlog")
    ok(wait_for(s.admin_answers), "the new one's watch answers")
    row = s.status()["listeners"][0]
    ok(row["backlog"] == 88 and row["limit"] == 88, "it is the socket's, and the status says so", row)
    s.stop()


def socket_activation():
    """The service manager's protocol: descriptor 3 listens already."""
    s = Site(start=False)
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind(("127.0.0.1", s.port))
    l.listen(100)
    early = socket.create_connection(("127.0.0.1", s.port), 5)
    early.sendall(b"GET /x HTTP/1.0\r\n\r\n")
    pid = os.fork()
    if pid == 0:
        os.dup2(l.fileno(), 3)
        os.set_inheritable(3, True)
        os.execve(weir_site.WEIR, [weir_site.WEIR, "-p", s.dir, "-c", s.path("weir.conf")], dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS="1"))
    l.close()
    early.settimeout(10)
    ok(early.recv(4096).startswith(b"HTTP/1.1 200"), "a connection made before the start is answered")
    s.kill(signal.SIGQUIT, pid)
    os.waitpid(pid, 0)


def words_of(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        return f.read()


def long_words():
    s = Site(daemon=True, start=False)
    s.args = ["-g", " ".join("env LONG%d=%s;" % (i, "x" * 100) for i in range(200))]
    s.start()
    before = words_of(s.pid())
    new = upgrade(s)
    ok(new and words_of(new) == before, "a command line of %d bytes is the next program's, too" % len(before), s.log()[-2000:])
    s.stop()


def name_of_user(pid):
    try:
        return "nobody" if os.stat("/proc/%d" % pid).st_uid == 65534 and open("/proc/%d/comm" % pid).read().strip() == "weir worker" else ""
    except OSError:
        return ""


under_load()
if "--rounds" not in sys.argv:
    broken_program()
    long_words()
    back_and_forth()
    given_up()
    new_backlog()
    socket_activation()
done()
