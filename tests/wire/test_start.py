#!/usr/bin/env python3
"""What goes wrong at a start, as a stranger meets it: each fault has a message with a remedy, an end with status 1 where it cannot serve, and no hang.
And what is seen of a worker that never gets ready, or that ends again and again."""
import os, re, shutil, signal, socket, subprocess, threading, time

import weir_site
from weir_site import Site, alive, pids_of_family, wait_for
from wire import done, equal, for_everybody, ok

ROOT = os.getuid() == 0
WEIR = for_everybody(weir_site.WEIR)


def run(s, *before, seconds=20):
    """(exit status or None: it had to be ended, what it said)."""
    p = subprocess.Popen(list(before) + [WEIR, "-p", s.dir, "-c", s.path("weir.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        out, _ = p.communicate(timeout=seconds)
        return p.returncode, out
    except subprocess.TimeoutExpired:
        for pid in pids_of_family(p.pid) + [p.pid]:
            os.kill(pid, signal.SIGKILL)
        return None, p.communicate()[0]


def fault(name, before, *words, main="", server="location = /x { return 200 'hi'; }", http="", spoil=None, daemon=False):
    s = Site(start=False, main=main, server=server, http=http, daemon=daemon)
    if spoil:
        spoil(s)
    status, said = run(s, *before)
    ok(status == 1 and all(w in said for w in words), name, "status %r\n%s\n%s" % (status, said, s.log()))
    ok(wait_for(lambda: not port_taken(s.port), 5), "  and nobody is left behind")


def port_taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def raw(s, old, new):
    with open(s.path("weir.conf")) as f:
        text = f.read()
    s.write(raw=text.replace(old, new))


def as_nobody(s):
    for path, dirs, files in os.walk(s.dir):
        for name in [path] + [os.path.join(path, f) for f in files]:
            os.chmod(name, 0o777)


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def files():
    fault("no directory for the logs", [], "logs/error.log", "No such file or directory", spoil=lambda s: shutil.rmtree(s.path("logs")))
    fault("no directory for the pid file", [], "nowhere/weir.pid", "create the directory first", spoil=lambda s: raw(s, "pid logs/", "pid nowhere/"))
    fault("the pid file's disk is full", [], "/dev/full", "No space left on device", "the file system is full", spoil=lambda s: raw(s, "pid logs/weir.pid", "pid /dev/full"))

    def fifo(s):
        os.mkfifo(s.path("logs", "weir.pid"))
    fault("the pid file is a pipe that nobody reads", [], "it is a pipe that nobody reads", spoil=fifo)
    for daemon in (False, True):
        fault("no working_directory%s" % (", in the background" if daemon else ""), [], "exited with code 2", "cannot serve: workers end before they serve; the error log says why",
              main="working_directory /nonexistent;", daemon=daemon)
    if ROOT:
        s = Site(start=False)
        raw(s, "error_log logs/error.log", "error_log /dev/full")
        s.start()
        ok(s.answers(), "an error log on a full disk: it serves")
        s.stop()
    if ROOT and subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        s = Site(start=False, main="")
        p = subprocess.Popen(["unshare", "-m", "sh", "-c", "umount /dev/shm 2>/dev/null; exec \"$@\"", "sh", WEIR, "-p", s.dir, "-c", s.path("weir.conf")], stdin=subprocess.DEVNULL)
        ok(wait_for(lambda: s.pid() and s.answers(), 20), "no /dev/shm: it serves")
        p.send_signal(signal.SIGTERM)
        equal(p.wait(15), 0, "  and ends")


def limits():
    fds = "raise the limit of descriptors (ulimit -n, LimitNOFILE=)"
    for n in (8, 12):
        fault("%d descriptors" % n, ["prlimit", "--nofile=%d" % n], "24: Too many open files", fds, "cannot serve: ")
    fault("12 descriptors, in the background", ["prlimit", "--nofile=12"], "24: Too many open files", daemon=True)
    fault("no room for files", ["prlimit", "--fsize=0"], "raise the limit of file sizes", "cannot start: ")
    if "asan" not in subprocess.run(["ldd", WEIR], capture_output=True, text=True).stdout and b"__asan_init" not in open(WEIR, "rb").read():
        fault("no room for memory", ["prlimit", "--as=60000000"], "cannot start: Cannot allocate memory; raise the limit of memory")
    if ROOT:
        procs = "raise the limit of processes (ulimit -u, TasksMax=)"
        fault("no process more", NOBODY + ["prlimit", "--nproc=1"], "worker 0 cannot be started (11: ", procs, "cannot serve: no process can be started for a worker", spoil=as_nobody)
        fault("no process more, in the background", NOBODY + ["prlimit", "--nproc=1"], "cannot go into the background", procs, spoil=as_nobody, daemon=True)


def ports():
    s = Site(start=False)
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", s.port))
    holder.listen()
    status, said = run(s)
    ok(status == 1 and "98: Address already in use" in said and "`ss -ltnp` names it" in said, "the port is taken", said)

    def leave():
        wait_for(lambda: os.path.exists(s.path("stderr")) and "98: Address already in use" in s.said(), 20)
        holder.close()
    threading.Thread(target=leave, daemon=True).start()
    s.start()
    ok("98: Address already in use" in s.said() and s.answers(), "by one that is leaving: it is said, and waited for", s.said())
    s.stop()
    s = Site(start=False)
    raw(s, "127.0.0.1:%d" % s.port, "203.0.113.1:%d" % s.port)
    status, said = run(s)
    ok(status == 1 and "no interface has this address" in said, "an address of nobody's here", said)
    if ROOT:
        s = Site(start=False)
        raw(s, "127.0.0.1:%d" % s.port, "127.0.0.1:77")
        as_nobody(s)
        status, said = run(s, *NOBODY, "--bounding-set=-all", "--inh-caps=-all")
        low = open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()
        ok(int(low) <= 77 or status == 1 and "13: Permission denied" in said and "a port above 1023" in said, "a low port without rights", said)


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def ready_line(s):
    try:
        return s.admin("/readyz")
    except OSError as e:
        return 0, repr(e)


def begin_and_freeze(s):
    """A master whose second worker is stopped before it is ready; its pid. 0: it was quicker than we. On a processor of their own workers of low
    priority come to nothing beside one that counts for ever."""
    hog = subprocess.Popen(["timeout", "10", "taskset", "-c", "0", "sh", "-c", "while :; do :; done"])
    s.out = open(s.path("stderr"), "w")
    s.process = subprocess.Popen(["taskset", "-c", "0", WEIR, "-p", s.dir, "-c", s.path("weir.conf")], stdin=subprocess.DEVNULL, stderr=s.out)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        born = children(s.process.pid)
        if len(born) >= 3:  # the logger and two workers
            os.kill(born[2], signal.SIGSTOP)
            break
    hog.terminate()
    hog.wait()
    time.sleep(0.5)
    return 0 if s.pid() else born[2]


def never_ready():
    for _ in range(10):
        s = Site(start=False, main="worker_priority 19;")
        frozen = begin_and_freeze(s)
        if frozen:
            break
        for pid in children(s.process.pid):
            os.kill(pid, signal.SIGCONT)
        s.stop()
    else:
        ok(True, "a worker that never gets ready # SKIP it was ready before it could be stopped")
        return
    ok(wait_for(lambda: ready_line(s)[0] == 503, 5), "a worker does not get ready: /readyz is there and says 503", ready_line(s))
    ok("not ready: it starts, 1 of 2 workers are ready" in ready_line(s)[1], "and why", ready_line(s))
    ok(wait_for(lambda: "worker process %d stands still" % frozen in s.log(), 15), "the log names it", s.log())
    line = [x for x in s.log().splitlines() if "stands still" in x][0]
    ok(" ms: start" in line, "and that it is starting", line)
    ok("worker process %d stands still for " % frozen in ready_line(s)[1], "so does /readyz", ready_line(s))
    w = [w for w in s.status()["workers"] if w["pid"] == frozen][0]
    ok(w["state"] == "starting" and w["stuck"]["what"] == "start" and w["stuck"]["since_ms"] >= 5000, "so does the status page", w)
    os.kill(frozen, signal.SIGCONT)
    ok(wait_for(lambda: s.pid() and s.answers(), 10), "once it goes on the server serves")
    ok(wait_for(lambda: ready_line(s) == (200, "ready\n")), "and is ready", ready_line(s))
    ok(s.logged("moves again"), "which is said", s.log())
    s.stop()


def again_and_again():
    s = Site()
    end = time.monotonic() + 4
    seen, unready = set(), ""
    helpers = set(pids_of_family(s.pid())) - set(s.workers())
    while time.monotonic() < end:
        for pid in set(children(s.pid())) - helpers:
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if not unready:
            code, line = ready_line(s)
            unready = line if code == 503 else ""
        time.sleep(0.01)
    ok(len(seen) < 40, "workers that die again and again: %d processes in four seconds" % len(seen), s.log())
    waits = [int(x) for x in re.findall(r"ends again and again: the next one starts in (\d+) ms", s.log())]
    ok(waits and max(waits) >= 400, "the log says how long it waits, ever longer", s.log())
    ok("not ready: 0 of 2 workers serve" in unready and "have died" in unready, "/readyz says 503 and why", unready)
    ok(wait_for(s.answers, 10), "when they live they serve")
    ok(wait_for(lambda: ready_line(s) == (200, "ready\n"), 10), "and it is ready", ready_line(s))
    s.stop()


def master_gone():
    s = Site()
    family = pids_of_family(s.pid())
    s.kill(signal.SIGKILL)
    s.process.wait()
    ok(wait_for(lambda: not any(alive(p) for p in family), 20), "the master is killed: all leave")
    ok("the master is gone" in s.log(), "and say so", s.log())
    ok(not port_taken(s.port), "the port is free")
    s.start()
    ok(s.answers(), "a new one takes the place")
    s.stop()


files()
limits()
ports()
never_ready()
again_and_again()
master_gone()
done()
