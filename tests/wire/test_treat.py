"""weir treat against real patients: each treatment cures, with values before and after; the healthy twin is refused.

Each test runs in a process and a network namespace of its own, several of them side by side. Skipped (not passed) where that,
or root, is not to be had.
"""
import json, os, pty, select, signal, socket, subprocess, sys, threading, time
from beside import side_by_side
from wire import BUILD, TOP, done, equal, for_everybody, ok

WEIR = os.path.join(BUILD, "weir")
HERE = os.path.dirname(os.path.abspath(__file__))


def own_network():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def own_namespace():
    probe = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True)
    if probe.returncode or os.geteuid():
        print("1..0 # SKIP no network namespace of our own: %s" % probe.stderr.decode().strip())
        sys.exit(0)


class Patient:
    def __init__(self, name, sick=True, *more):
        self.p = subprocess.Popen([sys.executable, os.path.join(HERE, "treat_patient.py"), name, "sick" if sick else "healthy", *more],
                                  stdout=subprocess.PIPE, text=True, start_new_session=True)
        word, pid, port = self.p.stdout.readline().split()
        assert word == "READY"
        self.pid, self.port, self.conns = int(pid), int(port), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.p.pid, signal.SIGKILL)  # the session that was started above, nothing else
        self.p.wait()
        for c in self.conns:
            c.close()

    def crowd(self, n, request=b"GET / HTTP/1.0\r\n\r\n", wait=True):
        for _ in range(n):
            c = socket.socket()
            c.settimeout(20) if wait else c.setblocking(False)
            try:
                c.connect(("127.0.0.1", self.port))
                c.sendall(request)
            except BlockingIOError:
                pass
            self.conns.append(c)

    def stands_in(self, place):
        """Until its thread sleeps there in the kernel."""
        return until(20, lambda: place in open("/proc/%d/wchan" % self.pid).read())

    def holds(self, n):
        """Until it has n descriptors open."""
        return until(20, lambda: len(os.listdir("/proc/%d/fd" % self.pid)) >= n)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(20, lambda: open("/proc/%d/stat" % self.pid).read().split()[2] == "T")

    def answered(self):
        n = 0
        for c in self.conns:
            try:
                c.settimeout(10)
                n += c.recv(1000).startswith(b"HTTP")
            except OSError:
                pass
        return n

    def stream(self, seconds, each):
        """New connections one after the other, in the background."""
        def go():
            end = time.time() + seconds
            while time.time() < end and self.p.poll() is None:
                self.crowd(1, wait=False)
                time.sleep(each)
        threading.Thread(target=go, daemon=True).start()


def run(*args, weir=WEIR, **more):
    r = subprocess.run([weir, "treat", *map(str, args)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)
    return r.returncode, r.stdout, r.stderr


def treat(rule, patient, *args):
    """(exit status, the JSON object, stderr)"""
    code, out, err = run(rule, "--pid", patient.pid, "--yes", "--json", *args)
    return code, json.loads(out), err


def until(seconds, what):
    end = time.time() + seconds
    while not what():
        if time.time() > end:
            return False
        time.sleep(0.05)
    return True


def value(o, key, when="after", i=0):
    for v in o["changed"][i]["values"] if o["changed"] else []:
        if v["k"] == key:
            return v.get(when)


def refused(rule, patient, name):
    code, o, err = treat(rule, patient)
    ok(code == 2 and o["result"] == "refused" and not o["changed"], name + ": the healthy twin is refused", (code, o, err))


# ---- the way of every treatment -------------------------------------------------------------------------
def stuck_edge():
    """Six clients of an edge-triggered listener that takes one: the process is stopped while they come."""
    p = Patient("edge")
    p.stop()
    p.crowd(6)
    os.kill(p.pid, signal.SIGCONT)
    select.select(p.conns, [], [], 20)  # it has taken the one
    p.stands_in("ep")  # in do_epoll_wait or ep_poll
    return p


def test_edge():
    with stuck_edge() as p:
        code, out, _ = run("et-listener-not-drained", "--pid", p.pid, "--dry-run")
        ok(code == 0 and "80000019" in out and "Nothing was changed" in out, "a dry run tells the plan", out)
        code, out, err = run("et-listener-not-drained", "--pid", p.pid)
        ok(code == 2 and "no terminal" in err, "without a terminal and --yes: refused", (code, out, err))
        code, out, err = run("et-listener-not-drained", ":%d" % p.port, "--dry-run", "--json")
        o = json.loads(out)
        equal((code, o["result"], value(o, "waiting in the queue", "before")), (0, "planned", 5), "five stand there still: nothing was changed")
        code, o, err = treat("et-listener-not-drained", p)
        equal((code, o["result"]), (0, "done"), "treated: the doctor no longer finds it")
        equal((value(o, "event mask", "before"), value(o, "event mask")), (0x80000019, 0x19), "the edge bit is gone")
        equal((value(o, "waiting in the queue", "before"), value(o, "waiting in the queue")), (5, 0), "and the queue empty")
        equal(p.answered(), 6, "all six clients are answered: none was lost")
        ok("treat applied rule=et-listener-not-drained" in err and "uid=%d" % os.geteuid() in err and "pid=%d" % p.pid in err, "one line of log", err)
        code, o, _ = treat("et-listener-not-drained", p)
        equal((code, o["result"]), (2, "refused"), "a second time there is nothing to treat")
        undo = o["undo"] or "weir treat et-listener-not-drained --pid %d --undo --fd 3" % p.pid
        code, out, _ = run(*undo.split()[2:], "--yes")
        ok(code == 0 and "00000019 -> 80000019" in out, "the undo gives the edge back", out)
    with Patient("edge", False) as p:
        p.stop()
        p.crowd(6)
        os.kill(p.pid, signal.SIGCONT)
        refused("et-listener-not-drained", p, "edge")
    with stuck_edge() as p:
        code, o, _ = treat("et-listener-not-drained", p, "--way", "drain")
        equal((code, value(o, "waiting in the queue", "before"), value(o, "waiting in the queue")), (0, 5, 0), "drained: five connections are closed")
        equal(p.answered(), 1, "and their clients know it")


def at_terminal(args, answer, question="Do it?"):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(WEIR, [WEIR, "treat"] + args)
    said, end, sent = b"", time.time() + 30, False
    while time.time() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            said += os.read(fd, 4096)
        except OSError:
            break
        if question.encode() in said and not sent:
            os.write(fd, answer)
            sent = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, said.decode()


def test_terminal():
    with Patient("plain") as p:
        p.stop()
        status, said = at_terminal(["process-stopped", "--pid", str(p.pid)], b"n\n")
        ok(status == 2 and "Do it? [y/N]" in said, "at a terminal it asks; no is no", said)
        equal(open("/proc/%d/stat" % p.pid).read().split()[2], "T", "and nothing happened")
        status, said = at_terminal(["process-stopped", "--pid", str(p.pid)], b"y\n")
        ok(status == 0 and "stopped 1 -> 0" in said and "Undo      kill -STOP %d" % p.pid in said, "yes is yes, and the undo is told", said)


def test_chinese():
    with Patient("plain") as p:
        p.stop()
        status, said = at_terminal(["process-stopped", "--pid", str(p.pid), "--lang=zh"], b"n\n", "要这样做吗")
        ok(status == 2 and "做什么    发送 SIGCONT" in said and "未获确认" in said, "Chinese: it asks, and no is no", said)
        status, said = at_terminal(["process-stopped", "--pid", str(p.pid), "--lang", "zh"], b"y\n", "要这样做吗")
        ok(status == 0 and "被停住 1 -> 0" in said and "撤销      kill -STOP %d" % p.pid in said, "Chinese: before, after, undo", said)
        code, out, err = run("process-stopped", "--pid", p.pid, "--yes", "--lang", "zh")
        ok(code == 2 and "没有在那里发现 process-stopped" in err, "Chinese: the refusal", (code, out, err))
        code, out, err = run("process-stopped", "--pid", p.pid, "--yes", "--json", "--lang", "zh")
        o = json.loads(out)
        ok(o["result"] == "refused" and "没有在那里发现" in o["why"] and o["does"] == "发送 SIGCONT", "Chinese: words of the JSON, not its keys", o)
    for words, want in ((["--help", "--lang=zh"], "用法"), (["fd-limit", "--lang", "zh"], "请指定一个进程"), (["--lang", "fr"], "en or zh"),
                        (["--lang", "zh", "no-such", "--pid", 1], "没有这条规则"), (["fd-limit", "--lang=zh", "--pid", 2147480000, "--yes"], "没有进程")):
        code, out, err = run(*words)
        ok(want in out + err, "Chinese: %s" % " ".join(map(str, words)), (code, out, err))
    code, out, err = run("--help", env={**os.environ, "LC_ALL": "zh_CN.UTF-8"})
    ok(code == 0 and "退出状态" in out, "by the locale too", out)


def test_rights():
    nobody = {"weir": for_everybody(WEIR), "user": 65534, "group": 65534, "extra_groups": []}
    with Patient("plain") as p:
        p.stop()
        code, out, err = run("process-stopped", "--pid", p.pid, "--yes", **nobody)
        ok(code == 4 and "run it as root" in err, "another user's process: not permitted, and the remedy is told", (code, out, err))
        equal(open("/proc/%d/stat" % p.pid).read().split()[2], "T", "nothing happened")
    with stuck_edge() as p:
        code, out, err = run("et-listener-not-drained", "--pid", p.pid, "--yes", **nobody)
        ok(code == 4 and "run it as root" in err, "nor may it look into its descriptors", (code, out, err))
    code, out, err = run("fd-limit", "--pid", 2147480000, "--yes")
    ok(code == 3 and "there is no process" in err, "no such process", (code, err))
    code, out, err = run("fd-limit", ":9", "--yes")
    ok(code == 3 and "no process listens on port 9" in err, "no such listener", (code, err))


# ---- each treatment -------------------------------------------------------------------------------------
def test_stopped():
    with Patient("plain") as p:
        refused("process-stopped", p, "stopped")
        p.stop()
        p.crowd(1)
        code, o, _ = treat("process-stopped", p)
        equal((code, value(o, "stopped", "before"), value(o, "stopped")), (0, 1, 0), "process-stopped: continued")
        equal(p.answered(), 1, "process-stopped: it answers")


def test_backlog():
    with Patient("short") as p:
        p.stream(30, 0.05)
        until(10, lambda: len(p.conns) > 15)
        code, o, err = treat("accept-queue-overflow", p, "--to", "64")
        equal((code, value(o, "backlog", "before"), value(o, "backlog")), (0, 5, 64), "accept-queue-overflow: the backlog is longer")
        equal(o["undo"], "weir treat accept-queue-overflow --pid %d --undo --fd %d --to 5" % (p.pid, o["changed"][0]["fd"]), "and the undo named")
        code, out, _ = run(*o["undo"].split()[2:], "--yes")
        ok(code == 0 and "backlog 64 -> 5" in out, "accept-queue-overflow: undone", out)
    with Patient("short", False) as p:
        p.stream(3, 0.1)
        refused("accept-queue-overflow", p, "accept-queue-overflow")


def test_limit():
    with Patient("limit") as p:
        p.crowd(30, wait=True)
        p.holds(20)
        code, o, err = treat("fd-limit", p)
        equal((code, value(o, "soft limit of descriptors", "before"), value(o, "soft limit of descriptors")), (0, 20, 64), "fd-limit: raised to the hard limit")
        equal(p.answered(), 30, "fd-limit: all are answered")
        equal(o["undo"], "prlimit --pid %d --nofile=20:" % p.pid, "fd-limit: the undo")
    with Patient("limit", False) as p:
        p.crowd(30)
        refused("fd-limit", p, "fd-limit")
    with Patient("limit") as p:
        p.crowd(30)
        p.holds(20)
        code, o, err = treat("fd-limit", p, "--to", "2000000000")
        ok(code == 4 and "CAP_SYS_RESOURCE" in o["why"], "fd-limit: more than allowed is not permitted, and what it takes is told", (code, o, err))


def close_wait_of(p):
    out = subprocess.run(["ss", "-Htn", "state", "close-wait", "sport", "=", ":%d" % p.port], capture_output=True, text=True).stdout
    return len(out.splitlines())


def test_leak():
    with Patient("leak") as p:
        p.crowd(60)
        for c in p.conns:
            c.close()
        until(10, lambda: close_wait_of(p) == 60)
        time.sleep(1.1)  # what is younger than a second is work in flight
        code, o, err = treat("close-wait-leak", p)
        if o["why"].find("EOPNOTSUPP") >= 0:
            return ok(True, "close-wait-leak # SKIP this kernel has no INET_DIAG_DESTROY")
        equal((code, o["result"], len(o["changed"])), (0, "done", 60), "close-wait-leak: sixty connections are destroyed")
        equal(close_wait_of(p), 0, "close-wait-leak: the kernel has none")
    with Patient("leak", False) as p:
        p.crowd(60)
        for c in p.conns:
            c.close()
        refused("close-wait-leak", p, "close-wait-leak")


def test_channel():
    with Patient("channel") as p:
        p.stands_in("sock_alloc_send")
        code, o, err = treat("ipc-full", p)
        equal((code, value(o, "O_NONBLOCK", "before"), value(o, "O_NONBLOCK")), (0, 0, 1), "ipc-full: the sender's end is non-blocking")
        p.crowd(3)
        equal(p.answered(), 3, "ipc-full: it answers again")
        code, out, err = run(*o["undo"].split()[2:], "--yes")
        ok(code == 0 and "O_NONBLOCK 1 -> 0" in out, "ipc-full: undone", out + err)
    with Patient("channel") as p:
        p.stands_in("sock_alloc_send")
        code, o, err = treat("ipc-full", p, "--way", "drain")
        ok(value(o, "unread", "before") == 1 and code in (0, 1), "ipc-full: read empty at the other end", (code, o, err))
        p.crowd(1)
        equal(p.answered(), 1, "ipc-full: it answers once more")
    with Patient("channel", False) as p:
        refused("ipc-full", p, "ipc-full")


def test_log():
    with Patient("log") as p:
        p.crowd(1)
        p.stands_in("pipe_w")
        code, o, err = treat("log-write-blocked", p)
        equal((code, value(o, "stopped", "before"), value(o, "stopped")), (0, 1, 0), "log-write-blocked: the stopped reader goes on")
        equal(p.answered(), 1, "log-write-blocked: it answers")
    with Patient("log", True, "lazy") as p:
        p.stands_in("pipe_w")
        code, o, err = treat("log-write-blocked", p)
        equal((code, value(o, "pipe", "before"), value(o, "pipe")), (0, 65536, 262144), "log-write-blocked: nobody reads, the pipe is larger")
    with Patient("log", False) as p:
        p.crowd(1)
        refused("log-write-blocked", p, "log-write-blocked")


def test_blocked():
    with Patient("blocked") as p:
        p.crowd(3)
        p.stands_in("wait_woken")
        code, o, err = treat("event-loop-blocked", p)
        equal((code, value(o, "open", "before"), value(o, "open")), (0, 1, 0), "event-loop-blocked: the connection is cut")
        equal(p.answered(), 3, "event-loop-blocked: it answers")
    with Patient("blocked", False) as p:
        p.crowd(3)
        refused("event-loop-blocked", p, "event-loop-blocked")


def test_forgotten():
    with Patient("forgotten") as p:
        p.crowd(4)
        p.stands_in("nanosleep")
        code, o, err = treat("listener-unwatched", p)
        equal((code, value(o, "waiting in the queue", "before"), value(o, "waiting in the queue")), (0, 4, 0), "listener-unwatched: who waits is told")
    with Patient("forgotten", False) as p:
        p.crowd(4)
        refused("listener-unwatched", p, "listener-unwatched")


def test_oneshot():
    with Patient("oneshot") as p:
        p.crowd(5)
        equal(p.answered(), 5, "oneshot: the first requests are answered")
        for c in p.conns:
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
        code, o, err = treat("oneshot-not-rearmed", p)
        equal((code, len(o["changed"])), (0, 5), "oneshot-not-rearmed: five events are armed")
        equal(p.answered(), 5, "oneshot-not-rearmed: the second ones too")
    with Patient("oneshot", False) as p:
        p.crowd(5)
        p.answered()
        refused("oneshot-not-rearmed", p, "oneshot-not-rearmed")


def test_pool():
    with Patient("pool") as p:
        code, o, err = treat("stale-pooled-conn", p)
        equal((code, len(o["changed"])), (0, 6), "stale-pooled-conn: six dead connections are destroyed")
        os.kill(p.pid, signal.SIGUSR1)
        said = select.select([p.p.stdout], [], [], 10)[0] and p.p.stdout.readline().split()
        equal(said, ["USED"] + ["ConnectionAbortedError"] * 6, "stale-pooled-conn: the next write fails before a request is lost")
    with Patient("pool", False) as p:
        refused("stale-pooled-conn", p, "stale-pooled-conn")


def option_of(p, word):
    out = subprocess.run(["ss", "-Htno", "state", "established", "sport", "=", ":%d" % p.port], capture_output=True, text=True).stdout
    return sum(word in line for line in out.splitlines())


FAR_CLIENT = """
import socket, sys, time
c = [socket.create_connection(("10.77.0.1", int(sys.argv[1]))) for _ in range(25)]
for s in c:
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    s.recv(100)
print("ASKED", flush=True)
time.sleep(60)
"""


def far_clients(p):
    """25 idle clients from another namespace: inside of the machine a peer cannot vanish."""
    far = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; read _; exec %s -c '%s' %d" % (sys.executable, FAR_CLIENT, p.port)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    far.stdout.readline()
    for line in ("link add near type veth peer name far netns %d" % far.pid, "address add 10.77.0.1/24 dev near", "link set near up"):
        subprocess.run(["ip"] + line.split(), check=True)
    for line in ("address add 10.77.0.2/24 dev far", "link set far up"):
        subprocess.run(["nsenter", "-t", str(far.pid), "-n", "ip"] + line.split(), check=True)
    far.stdin.write("go\n")
    far.stdin.flush()
    assert far.stdout.readline() == "ASKED\n"
    return far


def test_idle():
    limits = "--set", "idle_no_timer_ms=500"
    with Patient("oneshot", False) as p:
        far = far_clients(p)
        time.sleep(0.6)
        code, o, err = treat("no-keepalive", p, *limits)
        equal((code, len(o["changed"]), value(o, "SO_KEEPALIVE"), value(o, "TCP_USER_TIMEOUT")), (0, 25, 1, 120000), "no-keepalive: probes and a limit")
        equal(option_of(p, "keepalive"), 25, "no-keepalive: the kernel has a timer for each")
        code, o, err = treat("no-keepalive", p, *limits)
        equal((code, o["result"]), (2, "refused"), "no-keepalive: a second time there is nothing to treat")
        far.kill()
        far.wait()


def ask_slowly(c, seconds):
    """Requests of two small writes, one after the other: with Nagle each waits for a delayed acknowledgement."""
    end = time.time() + seconds
    while time.time() < end:
        c.sendall(b"g")
        if len(c.recv(2)) < 2:
            c.recv(1)


def test_nagle():
    with Patient("writer") as p:
        p.crowd(1, b"")
        threading.Thread(target=ask_slowly, args=(p.conns[0], 20), daemon=True).start()
        time.sleep(0.5)
        code, o, err = treat("nagle-delayed-ack", p, "-t", "2s")
        equal((code, value(o, "TCP_NODELAY", "before"), value(o, "TCP_NODELAY")), (0, 0, 1), "nagle-delayed-ack: TCP_NODELAY is on")
        code, out, err = run(*o["undo"].split()[2:], "--yes")
        ok(code == 0 and "TCP_NODELAY 1 -> 0" in out, "nagle-delayed-ack: undone", out + err)


own_namespace()
side_by_side([test for name, test in list(globals().items()) if name.startswith("test_")], own_network)
done()
