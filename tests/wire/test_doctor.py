#!/usr/bin/env python3
"""weir doctor against a sick and a healthy server: exit status, options, JSON, recordings, forms of the output."""
import json, os, pty, re, select, shutil, signal, subprocess, sys, tempfile, threading, time

from doctor import BUILD, HERE, WEIR, Patient, burst, columns, connect, doctor, end_children, enter
from wire import done, equal, for_everybody, ok

enter(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
folder = tempfile.mkdtemp(prefix="weir-doctor-")
os.chmod(folder, 0o755)

well = Patient("well", 7001)
edge = Patient("edge", 7002, name=b"\x1b[2J\xff\nx")
clients = burst(edge, 6)
for c in clients[3:5]:
    c.close()
leak = Patient("leak", 7003)
for c in connect(7003, 60, block=True):
    c.close()

# ---- exit status
got = doctor(":7001", "-t", "300ms")
equal(got.exit, 0, "a healthy server: 0")
ok("OK" in got.out and "no finding" in got.out, "and it says so", got)
got = doctor(":7002", "-t", "300ms")
equal(got.exit, 2, "a critical finding: 2")
ok("edge-triggered listener is not drained" in got.out and "certain" in got.out, "which is named", got)
got = doctor(":7003", "-t", "1500ms")
equal(got.exit, 1, "a warning: 1")
ok("connections are never closed" in got.out, "which is named", got)
equal(doctor(":7003", "-t", "1500ms", "--fail-on", "crit").exit, 0, "--fail-on crit: a warning does not count")
equal(doctor(":7003", "-t", "1500ms", "--set", "close_wait_min=1000", "--set", "close_wait_grow=1000").exit, 0, "--set: another limit")
got = doctor(":7002", ":7003", "-t", "1500ms", "-q")
ok(got.exit == 2 and len(got.out.splitlines()) == 2, "two targets, -q: one line each", got)
equal(doctor(":7001", "-q", "-t", "300ms").out, "", "-q: nothing where there is nothing")

asleep = subprocess.Popen(["sleep", "280"])
for word, says in [(":7009", "nobody listens on :7009; listening here: :700"), ("4194000", "no process 4194000"), ("no-such-name", "no process of the name"),
                   ("unit:no-such.service", "no process belongs"), ("cgroup:/no/such", "no process belongs"), (str(asleep.pid), "nothing to examine")]:
    got = doctor(word, "-t", "100ms")
    ok(got.exit == 3 and says in got.err and not got.out, "no such target %s: 3, and why" % ("(a pid without sockets)" if word.isdigit() else word), got)

for words, says in [(["--nonsense"], "--help"), (["-t"], "-t 2s"), (["-t", "3h"], "600s"), ([":0"], "1 to 65535"), (["x:80"], "127.0.0.1:8080"), (["--explain", "x"], "--rules"),
                    (["--set", "x=1"], "--rules -v"), (["--fail-on", "x"], "warn or crit"), (["--lang", "x"], "en and zh"), (["--from", "/none", "--watch"], "need the machine"),
                    (["--from", "/none"], "No such file"), (["--from", "/dev/null"], "line 1"), (["--while", "true"], "--while -- "), (["--while", "--", "/no/such"], "no program"), (["--json", "-q"], "exclude"),
                    (["--record", "/no/such/file", ":7001", "-t", "100ms"], "No such file"), (["\x1b[2J:80"], "\\x1b")]:
    got = doctor(*words)
    ok(got.exit == 64 and says in got.err and "\x1b" not in got.err, "%s: 64 and a remedy" % " ".join(words).replace("\x1b", "ESC"), got)

asleep.kill()
asleep.wait()

# ---- targets
for word in [str(edge.pid), "127.0.0.1:7002", "*:7002"]:
    ok("et-listener-not-drained" in doctor(word, "-t", "200ms", "--json").out, "found by %s" % ("its pid" if word.isdigit() else word))
got = doctor("-t", "1500ms")
ok(got.exit == 2 and "listening programs" in got.out and "never closed" in got.out and "not drained" in got.out, "the whole host", got)
ok(re.search(r"^OK .*python", got.out, re.M), "those that are well stand in one line", got)

# ---- JSON
got = doctor(":7002", ":7001", "--json", "-t", "300ms")
equal(got.out.count("\n"), 1, "one object in one line")
j = got.json()
equal(sorted(j), sorted("v looked_at looks slow_look_ms exit host sockets target targets findings follows lost unreadable".split()), "its keys")
equal(sorted(j["target"]), ["listener", "name", "pid", "processes", "threads"], "of a target")
equal([t["pid"] for t in j["targets"]], [edge.pid, well.pid], "the targets as they were asked")
f = j["findings"][0]
equal(sorted(f), sorted("target id severity sure subject evidence victims oldest_ms explains treat text".split()), "of a finding")
equal((f["id"], f["severity"], f["sure"], f["subject"]["pid"]), ("et-listener-not-drained", "critical", "proof", edge.pid), "the finding")
equal(sorted(f["text"]), ["fix", "not", "now", "title", "what", "why"], "its texts")
e = {x["k"]: x for x in f["evidence"]}
ok(e["acceptq"]["b"] >= 4 and e["acceptq"]["limit"] == 128 and e["wakeups"]["b"] == 0, "its evidence", f)
equal((j["v"], j["exit"], got.exit), (1, 2, 2), "version and exit status")

# ---- hostile names
ok("\x1b" not in got.out and "\x1b" not in doctor(":7002", "-t", "100ms").out, "a hostile name reaches neither JSON nor text")
ok("\\x1b[2J" in doctor(":7002", "-t", "100ms").out, "it is shown escaped")

# ---- recordings
path = os.path.join(folder, "facts")
got = doctor(":7002", ":7003", "-t", "1500ms", "--json", "--record", path)
again = doctor("--from", path, "--json")
equal(again.exit, got.exit, "--from: the exit status of the recorded examination")
equal(again.json()["findings"], got.json()["findings"], "the same findings")
equal(again.json()["targets"], got.json()["targets"], "the same targets")
equal([f["id"] for f in doctor("--from", path, ":7003", "--json").json()["findings"]], [f["id"] for f in got.json()["findings"] if f["target"] == 1], "one target of a recording")
equal(doctor("--from", path, ":9").exit, 3, "one that is not in it: 3")
with open(path) as src:
    text = src.read()
equal(doctor("--from", "-", "--json", stdin=open(path)).json()["findings"], got.json()["findings"], "--from - reads standard input")
with open(path, "w") as dst:
    dst.write(text[:len(text) // 2])
got = doctor("--from", path)
ok(got.exit == 64 and re.search(r"line \d+", got.err), "a recording that is cut: 64 and the line", got)

# ---- forms
for width in (40, 60, 80, 200):
    for lang in ("en", "zh"):
        got = doctor(":7002", "-t", "100ms", "--lang", lang, env={"COLUMNS": str(width)})
        ok(columns(got.out) <= width, "%d columns, %s: widest line %d" % (width, lang, columns(got.out)), got)
got = doctor(":7002", "-t", "100ms", env={"LC_ALL": "zh_CN.UTF-8"})
ok("严重" in got.out and "没有取空" in got.out and "CRITICAL" not in got.out, "Chinese by the locale", got)
ok("CRITICAL" in doctor(":7002", "-t", "100ms", "--lang", "en", env={"LC_ALL": "zh_CN.UTF-8"}).out, "--lang overrules it")


def on_terminal(env):
    """What weir doctor prints on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(env)
        os.execv(WEIR, [WEIR, "doctor", ":7002", "-t", "100ms"])
    out = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.waitpid(pid, 0)
    os.close(fd)
    return out


ok(b"\x1b[1;31mCRITICAL" in on_terminal({"TERM": "xterm"}), "colour on a terminal")
ok(b"\x1b[" not in on_terminal({"TERM": "xterm", "NO_COLOR": "1"}), "none with NO_COLOR")
ok(b"\x1b[" not in on_terminal({"TERM": "dumb"}), "none on a dumb one")
ok("\x1b[" not in doctor(":7002", "-t", "100ms", env={"TERM": "xterm"}).out, "none in a pipe")

# ---- without rights
if os.getuid() == 0 and shutil.which("setpriv"):
    copy = for_everybody(WEIR)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    got = doctor(":7001", "-t", "200ms", before=nobody, weir=copy)
    ok(got.exit == 4 and "Not checked, as uid 65534" in got.out and "UNDECIDED" in got.out, "nobody, a healthy server: 4, and what was not checked", got)
    got = doctor(":7002", "-t", "200ms", before=nobody, weir=copy)
    ok(got.exit == 1 and "never accepted" in got.out and "Not checked" in got.out, "nobody, a sick one: the symptom that anybody sees", got)
    got = doctor(":7001", "-t", "200ms", "--lang", "zh", before=nobody, weir=copy)
    ok("属于其他用户" in got.out and "another user" not in got.out and "who else" not in got.out, "in Chinese, with the reasons", got)
    equal(doctor(str(well.pid), "-t", "200ms", before=nobody, weir=copy).exit, 4, "nobody, a pid: 4")
    deaf = Patient("deaf", 7005, backlog=3)
    full = connect(7005, 4, block=True)
    got = doctor(":7005", "-t", "300ms", before=nobody, weir=copy)
    ok(got.exit == 2 and "accept queue of 127.0.0.1:7005 is full" in got.out, "nobody, a full queue that drops nobody yet: the queue itself proves it", got)
    ok("why it does not accept is not known" in " ".join(got.out.split()) and "Not checked" in got.out, "and what is not known is said", got)
else:
    print("# skipped: to be nobody takes root and setpriv")

# ---- a master that dies meanwhile, and leaves a worker
MASTER = ("import os, socket, time; l = socket.create_server(('127.0.0.1', 7009)); pid = os.fork(); "
          "print('READY', flush=True) if pid else None; time.sleep(30)")
master = subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE, process_group=0)
master.stdout.readline()
threading.Timer(0.7, master.kill).start()
got = doctor(str(master.pid), "-t", "2s")
ok(got.exit == 3 and "ended while it was looked at" in got.err, "the one that was asked about has ended: 3", got)
os.killpg(master.pid, signal.SIGKILL)
master.wait()

# ---- what it knows
got = doctor("--rules")
rules = [line.split()[0] for line in got.out.splitlines() if line[0] != " "]
ok(got.exit == 0 and len(rules) >= 40 and "et-listener-not-drained" in rules, "--rules lists them", got)
bad = [r for r in rules if doctor("--explain", r).exit != 0 or "Needs" not in doctor("--explain", r).out]
equal(bad, [], "--explain knows each")
equal(columns(doctor("--rules", "-v", env={"COLUMNS": "80"}).out) <= 80, True, "--rules -v keeps within 80 columns")
ok("close_wait_min 50" in doctor("--explain", "close-wait-leak").out, "--explain prints the limits")
ok("close_wait_min 7" in doctor("--explain", "close-wait-leak", "--set", "close_wait_min=7").out, "as they were set")
source = os.path.join(TOP, "weir", "doctor", "rules")
ids = dict(re.findall(r'^X\((\w+), "([a-z-]+)"', open(os.path.join(source, "rules.def")).read(), re.M))
missing = []
for name in sorted(os.listdir(source)):
    if re.fullmatch(r"rule_\w+\.c", name) and not name.endswith("_test.c"):
        code = open(os.path.join(source, name)).read()
        of = set(re.findall(r"\bRULE_([A-Z_]+)\b", code)) - {"COUNT"}
        if len(of) == 1:
            told = doctor("--explain", ids[of.pop()]).out
            missing += [(name, limit) for limit in sorted(set(re.findall(r"THRESHOLD_([a-z_]+)", code))) if limit + " " not in told]
equal(missing, [], "all limits that a rule's file asks")
ok("usage: weir doctor" in doctor("--help").out, "--help")

end_children()
shutil.rmtree(folder)
done()
