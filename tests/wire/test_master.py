#!/usr/bin/env python3
"""The master: pid file, signals, reload with good and bad files under load, one process, daemon."""
import os, resource, signal, socket, time

from weir_site import Load, Site, alive, pids_of_family, wait_for
from wire import connect, done, equal, free_port, ok, read_all


def pid_file_and_ends():
    s = Site()
    equal(s.pid(), s.process.pid, "the pid file names the master")
    equal(len(s.workers()), 2, "two workers are ready")
    equal(s.stop(signal.SIGTERM), 0, "TERM ends it with 0")
    ok(not os.path.exists(s.path("logs", "weir.pid")), "the pid file is gone")
    ok(not os.path.exists(s.path("logs", "weir.sock")), "the admin socket is gone")


def quit_waits():
    s = Site(server="location = /x { return 200 'hi'; } location = /big { }", main="worker_shutdown_timeout 3s;")
    c = connect(s.port)
    c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n")  # half a head: it has to be finished
    time.sleep(0.3)
    pid = s.pid()
    s.kill(signal.SIGQUIT)
    time.sleep(0.2)
    ok(alive(pid), "QUIT waits for a connection with a request under way")
    c.sendall(b"\r\n")
    ok(read_all(c).startswith(b"HTTP/1.1 200"), "its request is answered")
    equal(s.process.wait(10), 0, "then it ends")
    for words in ("signal 3 (SIGQUIT) received", "gracefully shutting down", "exiting", "exited with code 0"):
        ok(words in s.log(), "the log says: " + words, s.log())


def quit_cuts():
    s = Site(main="worker_shutdown_timeout 2s;")
    c = connect(s.port, 15)
    c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    time.sleep(0.3)
    t = time.time()
    s.kill(signal.SIGQUIT)
    while time.time() < t + 1.9:  # bytes come, so no timeout of its own ends it
        try:
            c.sendall(b"a")
        except OSError:
            break
        time.sleep(0.1)
    s.process.wait(10)
    ok(1.5 < time.time() - t < 5, "a connection that does not end is cut after worker_shutdown_timeout", time.time() - t)
    ok("waiting for connection id=" in s.log() and "state=head" in s.log(), "the log says who was waited for", s.log())
    ok("cutting connection id=" in s.log(), "and who was cut", s.log())


def frozen():
    s = Site()
    for p in s.workers():
        s.kill(signal.SIGSTOP, p)
    t = time.time()
    s.kill(signal.SIGTERM)
    s.process.wait(20)
    ok(time.time() - t < 5, "TERM: workers that stand still are ended too", time.time() - t)
    s = Site()
    family = pids_of_family(s.pid())
    s.kill(signal.SIGKILL)
    s.process.wait()
    ok(len(family) == 4 and wait_for(lambda: not any(alive(p) for p in family), 15), "the master is killed: nobody of its family stays")
    s.start()
    ok(s.answers() and s.admin_answers(), "and a new one starts at the same places")
    s.stop()


def reload():
    s = Site(server="location = /x { return 200 'one'; }")
    old = s.workers()
    s.write("location = /x { return 200 'two'; }")
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.get()[1] == b"two"), "HUP: the new configuration serves")
    ok(wait_for(lambda: not any(alive(p) for p in old)), "the old workers leave")
    with open(s.path("weir.conf"), "a") as f:
        f.write("nonsense on;\n")
    new = s.workers()
    s.kill(signal.SIGHUP)
    ok(s.logged("reload failed: generation 2 serves on"), "a bad file is said to be bad", s.log())
    ok('unknown directive "nonsense"' in s.log(), "and why", s.log())
    equal(s.get()[1], b"two", "the old configuration serves on")
    equal(s.workers(), new, "by the same workers")
    ok("nonsense" in s.status()["problem"], "the status names the problem")
    s.write(main="user nosuchuser_;")
    s.kill(signal.SIGHUP)
    ok(s.logged("no such user"), "a user that is none: the reload fails", s.log())
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    s.write("location = /x { return 200 'three'; } listen 127.0.0.1:%d;" % taken.getsockname()[1])
    s.kill(signal.SIGHUP)
    ok(s.logged("Address already in use"), "an address in use: the reload fails", s.log())
    equal(s.get()[1], b"two", "and the old configuration serves on")
    taken.close()
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.get()[1] == b"three"), "once the address is free it is taken")
    ok(wait_for(lambda: s.status()["generation"] > 2), "a new generation")
    s.write("location = /x { return 200 'four'; }")
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.get()[1] == b"four"), "an address goes")
    equal(len(s.status()["listeners"]), 1, "its listener is closed")
    s.stop()


def addresses_go():
    more = " ".join("listen 127.0.0.1:%d;" % free_port() for _ in range(4))
    s = Site(server="location = /x { return 200 'one'; } " + more)
    old = s.workers()
    s.write("location = /x { return 200 'two'; }")
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.get()[1] == b"two" and not any(alive(p) for p in old)), "four addresses go")
    for _ in range(3):  # channels of workers take the numbers that their sockets had
        for p in s.workers():
            s.kill(signal.SIGKILL, p)
            time.sleep(0.1)
        ok(wait_for(lambda: len(s.workers()) == 2 and s.answers()), "workers that die after that have successors", s.log()[-800:])
    s.stop()


def backlog():
    s = Site(listen="backlog=5")
    for listen, want in (("backlog=77", 77), ("", 4096)):
        before = s.status()["generation"]
        s.listen = listen
        s.write()
        s.kill(signal.SIGHUP)
        ok(wait_for(lambda: s.status()["generation"] > before), "listen %s" % listen)
        row = s.status()["listeners"][0]
        want = min(want, int(open("/proc/sys/net/core/somaxconn").read()))
        ok(row["backlog"] == want and row["limit"] == want, "a queue of %d" % want, row)
    s.stop()


def refused_log():
    s = Site()
    text = open(s.path("weir.conf")).read()
    s.write(raw=text.replace("logs/error.log notice", "logs/other.log notice; working_directory /nonexistent"))
    s.kill(signal.SIGHUP)
    ok(s.logged("reload failed: generation 1 serves on", 15), "workers of a new configuration do not start", s.log())
    before = len(s.log())
    s.kill(signal.SIGKILL, s.workers()[0])
    ok(wait_for(lambda: "exited on signal 9" in s.log()[before:]), "and the log stays where it was", s.log()[before:])
    s.stop()


def reloads_under_load(n=20):
    s = Site(main="worker_shutdown_timeout 5s;")
    load = Load(s.port)
    for i in range(n):
        s.write("location = /x { return 200 'g%d'; }" % i)
        s.kill(signal.SIGHUP)
        time.sleep(0.15)
    ok(wait_for(lambda: s.get()[1] == b"g%d" % (n - 1)), "the last of %d reloads serves" % n)
    load.stop()
    ok(load.asked > 100 and not load.failed, "0 of %d requests failed (%d idle connections were asked again)" % (load.asked, load.again), "\n".join(load.failed))
    ok(wait_for(lambda: len(s.workers()) == 2), "two workers are left")
    fds = len(os.listdir("/proc/%d/fd" % s.pid()))
    ok(fds < 40, "the master has not lost descriptors", fds)
    s.stop()


def unanswered(s, n=40):
    """Of n connections, each with its own port and so perhaps another socket of the server's: how many wait in vain."""
    crowd = [connect(s.port, 10) for _ in range(n)]
    for c in crowd:
        c.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    lost = 0
    for c in crowd:
        try:
            lost += not read_all(c).startswith(b"HTTP/1.1 200")
        except OSError:
            lost += 1
            for other in crowd:
                other.settimeout(0.1)  # one long wait tells about them all
    return lost


def reuseport():
    s = Site(listen="reuseport")
    equal(s.status()["listeners"][0]["sockets"], 2, "reuseport: a socket for each worker")
    equal(unanswered(s), 0, "each has a reader from the first start on: 40 of 40 connections are answered")
    load = Load(s.port, kept=1, short=3)
    for i in range(6):
        text = open(s.path("weir.conf")).read().replace("worker_processes 2", "worker_processes 1") if i % 2 == 0 else open(s.path("weir.conf")).read().replace("worker_processes 1", "worker_processes 2")
        s.write(raw=text)
        s.kill(signal.SIGHUP)
        time.sleep(0.3)
    load.stop()
    ok(load.asked > 50 and not load.failed, "workers come and go with their sockets: 0 of %d requests failed" % load.asked, "\n".join(load.failed))
    ok(wait_for(lambda: len(s.workers()) == 2), "two workers")
    equal(unanswered(s), 0, "and every socket has a reader")
    for listen, name in (("", "without reuseport"), ("reuseport", "with it again")):
        before = s.status()["generation"]
        s.listen = listen
        s.write()
        s.kill(signal.SIGHUP)
        ok(wait_for(lambda: s.status()["generation"] > before), name)
        equal(unanswered(s), 0, "the sockets that are there have readers")
    s.stop()


def reopen():
    s = Site()
    os.rename(s.path("logs", "error.log"), s.path("logs", "error.old"))
    s.kill(signal.SIGUSR1)
    ok(wait_for(lambda: os.path.exists(s.path("logs", "error.log"))), "USR1: the log is opened anew")
    s.stop()


def one_process():
    s = Site(main="master_process off;")
    equal(s.get()[1], b"hi", "master_process off: it serves")
    equal(s.status()["workers"][0]["pid"], s.process.pid, "in the one process")
    s.write("location = /x { return 200 'two'; }", main="master_process off;")
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.get()[1] == b"two"), "and reloads")
    equal(s.stop(signal.SIGQUIT), 0, "and ends")


def one_process_in_need():
    if os.getuid() != 0:
        return
    more = " ".join("listen 127.0.0.1:%d;" % free_port() for _ in range(8))
    s = Site(main="master_process off;", server="location = /x { return 200 'hi'; } " + more)
    pid = s.pid()
    before, limit, had = s.descriptors(pid), resource.prlimit(pid, resource.RLIMIT_NOFILE), s.status()["generation"]
    for i in range(3):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(s.descriptors(pid)) + 5, limit[1]))
        s.kill(signal.SIGHUP)
        ok(wait_for(lambda: s.log().count("reload failed") == i + 1), "one process without descriptors for a second generation: it is refused", s.log())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    equal(s.descriptors(pid), before, "and what it had opened is closed")
    equal(s.get()[1], b"hi", "the first serves on")
    equal(len(s.workers()), 1, "no refused one keeps a seat")
    s.kill(signal.SIGHUP)
    ok(wait_for(lambda: s.status()["generation"] > had), "with descriptors the next one is taken", s.log())
    equal(s.get()[1], b"hi", "and serves")
    s.stop()


def daemon():
    s = Site(daemon=True)
    pid = s.pid()
    ok(pid != s.process.pid and alive(pid), "daemon on: the master is another process")
    equal(os.getsid(pid), pid, "with a session of its own")
    equal(os.readlink("/proc/%d/fd/2" % pid), "/dev/null", "and no terminal")
    r = s.run("-t")
    equal(r.returncode, 0, "-t binds nothing while it runs")
    equal(s.run("-s", "quit").returncode, 0, "-s quit")
    ok(wait_for(lambda: not alive(pid)), "ends it")
    busy = socket.socket()
    busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    busy.bind(("127.0.0.1", s.port))
    busy.listen()
    r = s.run()
    ok(r.returncode == 1 and "bind() to 127.0.0.1:%d failed (98: Address already in use)" % s.port in r.stderr, "a daemon that cannot start says so to who started it", r)
    busy.close()


def identity():
    if os.getuid() != 0:
        return
    s = Site(main="user nobody; worker_rlimit_nofile 777; worker_priority 5; worker_cpu_affinity auto; working_directory @DIR@/html; env FOO=bar;")
    w = s.workers()[0]
    text = open("/proc/%d/status" % w).read()
    for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        ok(line in text, "a worker has " + line.replace("\t", " "), text)
    ok("Uid:\t65534\t65534\t65534\t65534" in text, "and is nobody")
    ok("777" in open("/proc/%d/limits" % w).read(), "with its own limit of descriptors")
    equal(int(open("/proc/%d/stat" % w).read().rsplit(")", 1)[1].split()[16]), 5, "and priority")
    equal(os.readlink("/proc/%d/cwd" % w), s.path("html"), "and directory")
    s.stop()


pid_file_and_ends()
quit_waits()
quit_cuts()
frozen()
reload()
addresses_go()
backlog()
refused_log()
reloads_under_load()
reuseport()
reopen()
one_process()
one_process_in_need()
daemon()
identity()
done()
