#!/usr/bin/env python3
"""weir top on a real pty: what it shows, what keys do, how it resizes, that the terminal is always given back, what it costs."""
import glob, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, time, unicodedata

from term import Terminal
from wire import BUILD, done, equal, ok

WEIR = os.path.join(BUILD, "weir")
DIR = tempfile.mkdtemp(prefix="top-")
PATIENT = r"""
import os, socket, sys, threading, time
name, sockets = sys.argv[1], int(sys.argv[2])
with open("/proc/self/comm", "wb") as f: f.write(os.fsencode(name))
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(600)
keep = []
for i in range(sockets // 2):
    c = socket.create_connection(s.getsockname()); a, _ = s.accept(); keep += [c, a]
if not sockets:
    for i in range(2):
        c = socket.create_connection(s.getsockname()); a, _ = s.accept(); keep.append((c, a))
    time.sleep(0.3)
    keep[0][0].send(b"question"); keep[0][1].recv(8)
    keep[1][0].send(b"unread")
    for i in range(3): keep.append(socket.create_connection(s.getsockname()))
    r, w = os.pipe()
    threading.Thread(target=lambda: os.write(w, b"x" * 200000), daemon=True).start()
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


class Patient:
    def __init__(self, name="patient", sockets=0):
        self.process = subprocess.Popen([sys.executable, "-c", PATIENT, name, str(sockets)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def top(*args, **kw):
    return Terminal([WEIR, "top", *args], cwd=DIR, **kw)


def quit(t, name):
    t.type("q")
    equal(t.end(), 0, name + ": q ends it")
    ok(t.restored(), name + ": the terminal is as it was")
    equal(t.screen.strange[:5], [], name + ": only known sequences were sent")
    t.close()


def test_screen(p):
    t = top(":%d" % p.port)
    ok(t.until(lambda s: "unaccepted" in s and "verdict" in s and "second look" not in s), "the first verdict comes", t.screen.text())
    rows = t.screen.lines()
    ok(rows[0].startswith("weir top  patient :%d" % p.port), "who", rows[0])
    ok("cost" in rows[0], "what it costs")
    ok(t.until(lambda s: "x3" in s.split("\n")[1]), "three wait for accept", rows[1])
    ok("unread" in rows[1] and "unread none" not in rows[1], "one is unread", rows[1])
    ok("3/600" in rows[2], "the accept queue", rows[2])
    ok("[#" in rows[2] and "." in rows[2], "as a bar", rows[2])
    ok("we owe 1" in rows[3], "one answer is owed", rows[3])
    ok(t.until("write pipe"), "a thread is blocked in a write", t.screen.text())
    ok(t.until("! write pipe"), "and for how long")
    ok("blocked none" not in t.screen.lines()[1], "its age leads", t.screen.lines()[1])
    ok(len(rows) == 24 and "enter explain" in rows[23], "keys in the last row")
    equal(t.screen.modes.get(1049), True, "on the second screen")
    return t


def test_keys(t, p):
    for key, text in (("2", "rtt/min"), ("3", "held by"), ("4", "what they are doing"), ("5", "rose by"), ("6", "came ago"),
                      ("0", "listens at"), ("h", "sixteen threads"), ("\x1b", "listens at"), ("t", "now"), ("t", "listens at"),
                      ("1", "what it is doing")):
        t.type(key)
        good = t.until(text, 20) if text != "now" else t.until(lambda s: "fix " in s or "nothing to treat" in s, 20)
        ok(good, "key %r" % key, t.screen.text())
    t.type("\r")
    ok(t.until(lambda s: "Why: " in s or "Nothing was found" in s), "enter explains", t.screen.text())
    t.type("\r")
    ok(t.until("what it is doing"), "and goes back")
    t.type("h")
    ok(t.until(" more"), "rows that do not fit are counted")
    t.type("\x1b[6~")
    ok(t.until("above"), "page down")
    t.type("\x1b[H")
    ok(t.until("1 workers    each"), "home")
    t.type("1 ")
    ok(t.until("PAUSED"), "space pauses")
    t.type(" ")
    ok(t.until(lambda s: "PAUSED" not in s), "and goes on")
    t.type("+")
    ok(t.until("interval 2.0 s"), "a longer interval")
    t.type("-")
    ok(t.until("interval 1.0 s"), "a shorter one")


def test_resize(t):
    t.size(40, 120)
    ok(t.until(lambda s: "enter explain" in s.split("\n")[39] and len(s.split("\n")[9]) > 80), "120x40", t.screen.text())
    t.size(10, 40)
    ok(t.until("weir top needs"), "40x10 is too small, and said so", t.screen.text())
    t.size(24, 80)
    ok(t.until(lambda s: "enter explain" in s.split("\n")[23]), "80x24 again", t.screen.text())
    for _ in range(30):
        t.size(random.randint(1, 60), random.randint(1, 200))
        t.read(0.02)
    t.size(24, 80)
    ok(t.until(lambda s: s.startswith("weir top  patient") and "enter explain" in s.split("\n")[23]), "after a storm of sizes",
       t.screen.text())
    t.screen.strange.clear()  # what was sent for one size may have arrived in another
    t.type("\x0c")
    ok(t.until(lambda s: "enter explain" in s), "drawn anew")


def test_record(t, p):
    t.type("r")
    ok(t.until("recorded in"), "r records", t.screen.text())
    files = glob.glob(os.path.join(DIR, "weir-top-*.facts"))
    equal(len(files), 1, "one file")
    once = subprocess.run([WEIR, "top", "--from", files[0], "--once"], capture_output=True, text=True, timeout=60)
    equal(once.returncode, 0, "the recording is shown")
    ok(":%d" % p.port in once.stdout and "x3" in once.stdout, "with what was there", once.stdout + once.stderr)
    ok(once.stdout.startswith("weir top  patient :%d" % p.port), "of the program that was meant", once.stdout)
    t2 = top("--from", files[0])
    ok(t2.until("recording"), "and on the screen")
    t2.type("3")
    ok(t2.until("held by"), "with its tables")
    quit(t2, "a recording")
    with open(files[0], "w") as f:
        f.write("weir-facts 1\nnonsense\x00 =\n")
    bad = subprocess.run([WEIR, "top", "--from", files[0], "--once"], capture_output=True, text=True, timeout=60)
    equal(bad.returncode, 1, "a damaged one is refused")
    ok("line" in bad.stderr, "with the line", bad.stderr)


def test_ways_out(p):
    target = ":%d" % p.port
    for name, act, want in (("SIGTERM", lambda t: t.process.terminate(), 143),
                            ("SIGHUP", lambda t: t.process.send_signal(signal.SIGHUP), 129),
                            ("Ctrl-C", lambda t: t.type("\x03"), 0)):
        t = top(target)
        t.until("what it is doing")
        act(t)
        equal(t.end(), want, name + " ends it")
        ok(t.restored(), name + ": the terminal is as it was")
        t.close()
    restored = 0
    for i in range(12):
        t = top(target, "--interval", "100ms")
        t.until("weir top")
        time.sleep(random.random() * 0.3)
        t.process.terminate()
        restored += t.end() == 143 and t.restored()
        t.close()
    equal(restored, 12, "killed at any moment, a look or a screen half way: always restored")
    t = top(target)
    t.until("what it is doing")
    os.close(t.master)
    t.master = -1
    try:
        t.process.wait(30)
        ok(True, "a terminal that goes away ends it")
    except subprocess.TimeoutExpired:
        ok(False, "a terminal that goes away ends it")
        t.process.kill()
    t.close()


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def test_stop(p):
    t = top(":%d" % p.port)
    t.until("what it is doing")
    t.type("\x1a")
    end = time.monotonic() + 20
    while state(t.process.pid) != "T" and time.monotonic() < end:
        t.read(0.1)
    equal(state(t.process.pid), "T", "Ctrl-Z stops it")
    while t.read(0.2):
        pass
    ok(t.restored(), "the shell has its terminal meanwhile")
    t.screen.clear()
    t.process.send_signal(signal.SIGCONT)
    ok(t.until("what it is doing"), "continued, it draws everything anew", t.screen.text())
    equal(t.screen.modes.get(1049), True, "on the second screen again")
    quit(t, "after a stop")


def test_plain(p):
    t = top(":%d" % p.port, env={"NO_COLOR": "1", "LANG": "C"})
    ok(t.until("what it is doing"), "without colours, in ASCII")
    equal(sorted(t.screen.colours), [], "NO_COLOR is obeyed")
    ok(all(b < 0x80 for b in t.raw), "only ASCII where the locale is not UTF-8")
    quit(t, "plain")
    t = top(":%d" % p.port)
    t.until("verdict ")
    ok(t.screen.colours or t.until(lambda s: bool(t.screen.colours)), "colours where nobody forbids them")
    quit(t, "coloured")


def column(line, text):
    """Where the text begins, in columns of the terminal."""
    return wide(line[:line.index(text)])


def wide(s):
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in s)


def test_chinese(p):
    t = top(":%d" % p.port, env={"LANG": "zh_CN.UTF-8"})
    ok(t.until(lambda s: "诊断 " in s and "第二次观察" not in s), "the first verdict comes, in Chinese", t.screen.text())
    ok(t.until(lambda s: "! write 管道" in s), "a thread is blocked in a write", t.screen.text())
    rows = t.screen.lines()
    ok("最久" in rows[1] and "未接受" in rows[1] and "秒" in rows[1], "ages with their units", rows[1])
    ok("回车 解释" in rows[23], "the keys", rows[23])
    equal([r for r in rows if wide(r) > 80], [], "no row is wider than the terminal")
    head = rows[8]
    row = next(r for r in rows[9:] if "write 管道" in r)
    equal(column(row, "patient"), column(head, "名称"), "names stand under their title")
    equal(wide(row), wide(head), "the last column ends where its title does")
    for key, text in (("2", "往返"), ("3", "持有者"), ("4", "在做什么"), ("6", "持续"), ("0", "监听于"), ("h", "十六个线程"), ("\x1b", "监听于")):
        t.type(key)
        ok(t.until(text, 20), "Chinese: key %r shows %s" % (key, text), t.screen.text())
        equal([r for r in t.screen.lines() if wide(r) > 80], [], "in 80 columns")
    quit(t, "Chinese")
    t = top(":%d" % p.port, env={"LANG": "zh_CN.GB18030"})
    ok(t.until("verdict "), "a terminal that is not UTF-8 is spoken to in English")
    quit(t, "English")
    r = run(":%d" % p.port, "--once", "--interval", "200ms", "--lang=zh", env={**os.environ, "LC_ALL": "C"})
    ok(r.returncode == 0 and "已运行" in r.stdout, "--lang=zh counts for more than the locale", r.stdout)
    r = run("--lang", "zh", "--once", ":1")
    ok(r.returncode == 3 and "不是这里的进程" in r.stderr, "complaints too", r.stderr)
    r = run("--help", "--lang=zh")
    ok(r.returncode == 0 and r.stdout.startswith("用法"), "--help too", r.stdout)


def test_hostile():
    p = Patient("\x1b[31m\u4e2d\\")
    t = top(str(p.pid))
    ok(t.until("\\x1b[31m\u4e2d\\\\"), "an escape in a name is shown, not sent", t.screen.lines()[0])
    quit(t, "a hostile name")
    p.end()


def run(*args, **kw):
    return subprocess.run([WEIR, "top", *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **kw)


def test_scripts(p):
    target = ":%d" % p.port
    r = run(target, "--once", "--interval", "200ms")
    equal(r.returncode, 0, "--once")
    rows = r.stdout.split("\n")
    equal(len(rows), 25, "24 lines")
    ok("\x1b" not in r.stdout and rows[0].startswith("weir top  patient"), "plain text", r.stdout)
    r = run(target, "--once", "--interval", "200ms", env={**os.environ, "LINES": "40", "COLUMNS": "130"})
    equal(len(r.stdout.split("\n")), 41, "as large as LINES says")
    r = run(target, "--json", "--once", "--interval", "200ms")
    o = json.loads(r.stdout)
    equal((o["pid"], o["unaccepted"]["n"], o["listeners"][0]["queue"], o["owed"]["n"]), (p.pid, 3, 3, 1), "--json")
    ok(any(w["is"] == "blocked" and w["stands_ms"] > 0 for w in o["workers"]), "with the blocked thread")
    q = subprocess.Popen([WEIR, "top", target, "--json", "--interval", "100ms"], stdout=subprocess.PIPE, text=True)
    lines = [json.loads(q.stdout.readline()) for _ in range(3)]
    q.terminate()
    q.wait(30)
    q.stdout.close()
    ok(lines[0]["wall_ms"] < lines[1]["wall_ms"] < lines[2]["wall_ms"], "one object a look")
    r = run("--once", "--interval", "200ms")
    ok(str(p.port) in r.stdout, "without a target: who listens", r.stdout)
    for args, status, word in ((["--colour"], 64, "--help"), (["--interval", "1ms"], 64, "100ms"), (["--from"], 64, "file"),
                               (["a", "b"], 64, "one target"), (["no-such-program-here", "--once"], 3, "no-such-program-here"),
                               (["--from", "/nonexistent/x", "--once"], 1, "/nonexistent/x"), (["--from", "/dev/null", "--once"], 1, "line 1"), ([target], 1, "--once"),
                               (["::", "--once"], 64, "::")):
        r = run(*args)
        equal(r.returncode, status, "status of %s" % args)
        ok(word in r.stderr and r.stderr.startswith("weir top: "), "its error says what to do", r.stderr)
    r = run("--help")
    ok(r.returncode == 0 and "usage: weir top" in r.stdout, "--help")
    t = top(target, env={"TERM": "dumb"})
    equal(t.end(), 1, "a dumb terminal is refused")
    ok(b"--once" in t.raw and b"\x1b" not in t.raw, "with the way out", repr(t.raw))
    t.close()


def test_end_of_target():
    p = Patient()
    t = top(str(p.pid))
    t.until("what it is doing")
    p.end()
    equal(t.end(), 3, "it ends with its target")
    ok(t.restored(), "and gives the terminal back")
    t.close()


def cpu_seconds(pid):
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[0]) / 1e9


def test_cost():
    p = Patient("many", 2000)
    t = top(":%d" % p.port)
    ok(t.until("open 2,000"), "two thousand connections", t.screen.text())
    end = time.monotonic() + 4
    while time.monotonic() < end:
        t.read(0.5)
    before, begun = cpu_seconds(t.process.pid), time.monotonic()
    while time.monotonic() < begun + 10:
        t.read(0.5)
    used = (cpu_seconds(t.process.pid) - before) / (time.monotonic() - begun)
    # A window of 10 s may hold one look more than its share: 0.8 % is what the intervals are made for.
    ok(used < 0.013, "it costs %.2f %% of a processor" % (used * 100))
    quit(t, "many connections")
    p.end()


def main():
    p = Patient()
    try:
        t = test_screen(p)
        test_keys(t, p)
        test_resize(t)
        test_record(t, p)
        quit(t, "the end")
        test_ways_out(p)
        test_stop(p)
        test_plain(p)
        test_chinese(p)
        test_scripts(p)
        test_hostile()
        test_end_of_target()
        test_cost()
    finally:
        p.end()
        shutil.rmtree(DIR)
    done()


main()
